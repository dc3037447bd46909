"""What the interop tests share: a Redis per test, keyrail as a process, peers as processes, deadlines."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Self

from redis_server import RedisServer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Generous, because the machine may be busy; nothing waits for it when all is well.
PATIENCE = 60


def environment_path(name: str, default: Path) -> str:
    """A program from the environment, or its usual place; a missing one is an error, never a skip."""
    path = os.environ.get(name, str(default))
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing: run `make interop`, or set {name}")
    return path


def keyrail_bin() -> str:
    return environment_path("KEYRAIL_BIN", ROOT / "target/release/keyrail")


def keyrail_peer() -> str:
    """The program on keyrail's library."""
    return environment_path("KEYRAIL_PEER", ROOT / "target/release/keyrail-peer")


def peer_python(kombu: str) -> str:
    """The interpreter that has this Kombu: `57` or `56`."""
    return environment_path(f"KOMBU{kombu}_PYTHON", ROOT / f".tools/python/kombu{kombu}/bin/python")


def until(what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Waits until `condition` is true and returns it; fails with `what` if it takes too long."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.02)


class Resp:
    """A Redis client of a few lines: tests that look into Redis should not trust a peer's own client."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.reader = self.socket.makefile("rb")

    def close(self) -> None:
        self.reader.close()
        self.socket.close()

    def __call__(self, *args: bytes | str | int) -> Any:
        parts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        framed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.socket.sendall(b"*%d\r\n%s" % (len(parts), framed))
        return self._read()

    def _read(self) -> Any:
        line = self.reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        raise RuntimeError(f"unexpected answer {line!r}")


class Process:
    """A child that writes one JSON value a line, or lines of any kind; stopped by its pid."""

    def __init__(self, *command: str, cwd: Path | None = None) -> None:
        self.command = command
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd)
        for stream in (self.child.stdout, self.child.stderr):
            os.set_blocking(stream.fileno(), False)
        self.raw = {"out": b"", "err": b""}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for stream in (self.child.stdout, self.child.stderr):
            stream.close()

    def _read(self) -> None:
        # An empty pipe reads as None, a closed one as b"".
        self.raw["out"] += self.child.stdout.read() or b""
        self.raw["err"] += self.child.stderr.read() or b""

    @property
    def out(self) -> str:
        return self.raw["out"].decode(errors="replace")

    @property
    def err(self) -> str:
        return self.raw["err"].decode(errors="replace")

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        def check() -> Any:
            ended = self.child.poll() is not None
            self._read()
            result = condition()
            if ended and not result:
                raise AssertionError(
                    f"{what}: {self.command[0]} ended with {self.child.returncode}\n{self.out}{self.err}")
            return result

        try:
            return until(what, check)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.out}{self.err}") from None

    def lines(self) -> list[Any]:
        """The complete lines so far, as JSON."""
        self._read()
        return [json.loads(line) for line in self.out.splitlines(keepends=True) if line.endswith("\n")]

    def wait_lines(self, count: int) -> list[Any]:
        return self.until(f"{count} lines", lambda: len(self.lines()) >= count and self.lines())

    def wait(self) -> int:
        code = self.child.wait(PATIENCE)
        self._read()
        return code

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self._read()


class Peer:
    """A process that does what it is told until it is stopped: a real Kombu (matrix_peer.py), or a program on keyrail's
    library (`../src/peer.rs`)."""

    def __init__(self, name: str) -> None:
        command = [keyrail_peer()] if name == "library" else [peer_python(name), str(HERE / "matrix_peer.py")]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self) -> None:
        self.child.stdin.close()
        self.child.wait(PATIENCE)
        self.child.stdout.close()

    def __call__(self, verb: str, **order: Any) -> Any:
        self.child.stdin.write(json.dumps({"verb": verb, **order}) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["done"]


class InteropCase(unittest.TestCase):
    """Each test has a Redis of its own."""

    def setUp(self) -> None:
        self.redis = self.enterContext(RedisServer())
        self.ask = Resp(self.redis.port)
        self.addCleanup(self.ask.close)

    def keyrail(self, *args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs keyrail on the test's Redis to its end and expects this exit status."""
        command = [keyrail_bin(), args[0], "--redis", self.redis.url, *args[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, status, f"{command}\n{done.stdout}{done.stderr}")
        return done

    def keyrail_process(self, *args: str) -> Process:
        command = [keyrail_bin(), args[0], "--redis", self.redis.url, *args[1:]]
        return self.enterContext(Process(*command))

    def peer(self, kombu: str, verb: str, **options: Any) -> Process:
        """A real Kombu in a process of its own, doing `verb` of peer.py."""
        command = [peer_python(kombu), str(HERE / "peer.py"), self.redis.url, verb, json.dumps(options)]
        return self.enterContext(Process(*command))

    def run_peer(self, kombu: str, verb: str, **options: Any) -> list[Any]:
        """The same to its end; its lines."""
        peer = self.peer(kombu, verb, **options)
        code = peer.wait()
        self.assertEqual(code, 0, peer.out + peer.err)
        return peer.lines()

    def assert_nothing_unacked(self) -> None:
        until("unacked is empty", lambda: self.ask("EXISTS", "unacked", "unacked_index") == 0)


if sys.version_info < (3, 11):
    raise RuntimeError("the interop tests need Python 3.11 or newer")
