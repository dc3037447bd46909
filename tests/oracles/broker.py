"""A private RabbitMQ node for recording: loopback only, data in a temporary folder, gone at the end.

    python3 tests/oracles/broker.py install    apt-get install rabbitmq-server, without starting it
    python3 tests/oracles/broker.py run        start a node, print its ports, stop on Ctrl-C

The machine's own RabbitMQ service is never touched: node name, ports, epmd, cookie, plugins and
configuration all belong to this run.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from vectors import unwind_on_signals

# The unwrapped scripts: Debian's wrappers in /usr/sbin change user and use the system's data.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
POLICY = Path("/usr/sbin/policy-rc.d")
PLUGINS = ("rabbitmq_management", "rabbitmq_consistent_hash_exchange", "rabbitmq_random_exchange")
START_SECONDS = 120
STOP_SECONDS = 30


class BrokerError(Exception):
    """The node could not be installed, started or asked."""


class Broker:
    """A running node; use it as a context manager."""

    user = "guest"
    password = "guest"

    def __init__(self) -> None:
        if not (SCRIPTS / "rabbitmq-server").exists():
            raise BrokerError("rabbitmq-server is missing: run `python3 tests/oracles/broker.py install` as root")
        self.amqp_port, self.http_port, dist_port, epmd_port = free_ports(4)
        self.folder = Path(tempfile.mkdtemp(prefix="keyrail-rabbitmq-"))
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.amqp_port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.http_port}\n")
        (self.folder / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        self.pid_file = self.folder / "pid"
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),  # holds this run's Erlang cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_NODENAME": "keyrail@localhost",
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.pid_file),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            # One scheduler that sleeps when idle: recording is round trips, not throughput.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        self.epmd: subprocess.Popen[bytes] | None = None
        self.node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            # Our own epmd in the foreground: one that Erlang starts would outlive the node.
            self.epmd = self._spawn(["epmd", "-address", "127.0.0.1",
                                     "-port", self.environment["ERL_EPMD_PORT"]])
            self.node = self._spawn([str(SCRIPTS / "rabbitmq-server")])
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.folder / "output.log", "ab") as output:
            return subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if any(process and process.poll() is not None for process in (self.epmd, self.node)):
                break
            try:
                self.http("GET", "/api/overview")
                with socket.create_connection(("127.0.0.1", self.amqp_port), 1):
                    return
            except (OSError, BrokerError, http.client.HTTPException):
                time.sleep(0.3)
        output = (self.folder / "output.log").read_text(errors="replace")
        raise BrokerError(f"RabbitMQ did not start:\n{output[-2000:]}")

    def stop(self) -> None:
        """Ends the node and then its epmd, by their pids, and removes the data."""
        if self.node:
            # The script only waits for Erlang, whose pid is in the file once there is a node.
            started = self.pid_file.exists()
            pid = int(self.pid_file.read_text()) if started else self.node.pid
            signal_quietly(pid, signal.SIGTERM)
            self._await_end(self.node)
        if self.epmd:
            self.epmd.terminate()
            self._await_end(self.epmd)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the process group that _spawn made
            process.wait()

    def ctl(self, *arguments: str) -> str:
        """Runs rabbitmqctl against this node; about a second each, so never in a loop."""
        done = subprocess.run([str(SCRIPTS / "rabbitmqctl"), *arguments], env=self.environment,
                              cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"rabbitmqctl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def http(self, method: str, path: str, body: Any = None) -> Any:
        """Asks the management API, a JSON answer or None."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Authorization": f"Basic {token}",
                                "Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise BrokerError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return json.loads(content) if content else None

    def add_vhost(self, name: str) -> None:
        self.http("PUT", f"/api/vhosts/{quote(name, safe='')}", {})

    def delete_vhost(self, name: str) -> None:
        self.http("DELETE", f"/api/vhosts/{quote(name, safe='')}")


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports, free now; all are held open until the last one is chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def signal_quietly(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def install() -> None:
    """Installs Debian's packages; a temporary policy keeps dpkg from starting the service."""
    if os.geteuid() != 0:
        raise BrokerError("installing needs root: sudo apt-get install rabbitmq-server")
    guarded = not POLICY.exists()
    if guarded:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"],
                        ["apt-get", "install", "-y", "-q", "--no-install-recommends", "rabbitmq-server"]):
            subprocess.run(command, env=environment, check=True)
    finally:
        if guarded:
            POLICY.unlink()


def main(arguments: list[str]) -> int:
    unwind_on_signals()
    match arguments:
        case ["install"]:
            install()
        case ["run"]:
            with Broker() as broker:
                print(f"AMQP 127.0.0.1:{broker.amqp_port}, management http://127.0.0.1:{broker.http_port}, "
                      f"user {broker.user}, password {broker.password}; Ctrl-C stops it", flush=True)
                signal.pause()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokerError as error:
        sys.exit(f"broker.py: {error}")
