"""A private redis-server for a test: loopback, no persistence, gone at the end.

    with RedisServer() as redis:
        connect(redis.url)
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 20
STOP_SECONDS = 10


class RedisServerError(Exception):
    """redis-server is missing or did not start."""


class RedisServer:
    """A running server on a free port; use it as a context manager."""

    def __init__(self, *arguments: str) -> None:
        """`arguments` are further redis-server options, for example `--maxmemory 10mb`."""
        binary = shutil.which(os.environ.get("REDIS_SERVER", "redis-server"))
        if binary is None:
            raise RedisServerError("redis-server is missing: apt-get install redis-server")
        self.binary = binary
        self.arguments = arguments
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="keyrail-redis-"))
        self.port = free_port()
        self.log = self.folder / "redis.log"
        self.process = subprocess.Popen(
            [self.binary, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--appendonly", "no", "--dir", str(self.folder), "--logfile", str(self.log),
             "--daemonize", "no", *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        # A server that lost the race for its port has exited: whoever answers there is not ours.
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.command("PING") == b"+PONG\r\n" and self.process.poll() is None:
                return
            time.sleep(0.02)
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        raise RedisServerError(f"redis-server did not start:\n{log[-2000:]}")

    def command(self, line: str) -> bytes:
        """Sends one inline command; the first bytes of the raw answer, or b"" if nobody listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(line.encode() + b"\r\n")
                return connection.recv(4096)
        except OSError:
            return b""

    def stop(self) -> None:
        """Ends the server by its pid and removes its folder; a second call does nothing."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])
