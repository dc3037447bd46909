"""Re-records Kombu's vectors with the Kombu of the Python that runs this file.

    PYTHON tests/oracles/kombu_virtual.py --check tests/vectors/kombu57.jsonl
    PYTHON tests/oracles/kombu_virtual.py --output FOLDER tests/vectors/kombu57.jsonl

PYTHON is the interpreter of a virtual environment with `kombu[redis]==5.7.0` or `==5.6.2`.
Transport `virtual` is published through Kombu's in-memory transport, which uses the lookup of every
virtual transport; `redis-fanout` goes over a real Redis that is started for the run.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu
from kombu import Connection
from kombu.transport.memory import Channel as MemoryChannel
from kombu.transport.memory import Transport as MemoryTransport

import vectors
from amqp_answer import amqp_queues

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from redis_server import RedisServer, RedisServerError

EXCHANGE = "x"
MARKER = "marker"
MARKER_SECONDS = 10.0


def record_virtual(scenario: vectors.Scenario) -> vectors.Scenario:
    # The in-memory broker belongs to the class, not to the connection.
    MemoryTransport.global_state.clear()
    MemoryChannel.queues.clear()
    exchange_type, bindings = scenario["exchange_type"], scenario["bindings"]
    exchange = "" if exchange_type == "default" else EXCHANGE
    with Connection("memory://") as connection:
        channel = connection.channel()
        if exchange:
            channel.exchange_declare(exchange, exchange_type)
        for binding in bindings:
            channel.queue_declare(binding["queue"])
            channel.queue_bind(binding["queue"], exchange, binding["routing_key"])
        fresh = [with_pattern(channel, exchange, binding) for binding in bindings]
        publishes = []
        for publish in scenario["publishes"]:
            key, error = publish["routing_key"], None
            try:
                channel.basic_publish(channel.prepare_message("x"), exchange, key)
            except re.error as raised:
                error = f"re.error: {raised}"
            queues = [name for name in MemoryChannel.queues if channel._size(name)]
            for name in queues:
                if channel._purge(name) != 1:
                    raise ValueError(f"more than one copy in {name!r}")
            publishes.append(answer(scenario, key, queues, error))
    return scenario | {"kombu": kombu.__version__, "bindings": fresh, "publishes": publishes}


def with_pattern(channel: Any, exchange: str, binding: dict[str, str]) -> dict[str, str]:
    """The binding with the text that Kombu would store in Redis beside its key."""
    key, queue = binding["routing_key"], binding["queue"]
    _, pattern, _ = channel.typeof(exchange).prepare_bind(queue, exchange, key, None)
    return {"queue": queue, "routing_key": key} | ({"pattern": pattern} if pattern else {})


class FanoutQueue:
    """One queue on a connection of its own: a Kombu channel hears one queue per fanout exchange."""

    def __init__(self, url: str, queue: str, keys: list[str]) -> None:
        self.queue = queue
        self.received: list[str] = []
        self.connection = Connection(url)
        channel = self.connection.channel()
        # Redis delivers in order, so whatever came before the marker has arrived with the marker.
        marker_queue = f"{MARKER}.{queue}"
        for exchange, name, binding_keys in ((EXCHANGE, queue, keys), (MARKER, marker_queue, [""])):
            channel.exchange_declare(exchange, "fanout")
            channel.queue_declare(name)
            for key in binding_keys:
                channel.queue_bind(name, exchange, key)
            channel.basic_consume(name, True, self.take, name)

    def take(self, message: Any) -> None:
        self.received.append(message.body.decode())

    def wait_for(self, marker: str, seconds: float) -> bool:
        """Reads until the marker came; false if it did not come in time."""
        deadline = time.monotonic() + seconds
        while marker not in self.received:
            try:
                self.connection.drain_events(timeout=max(deadline - time.monotonic(), 0.01))
            except TimeoutError:
                return False
        return True


def record_redis_fanout(scenario: vectors.Scenario, server: RedisServer) -> vectors.Scenario:
    server.command("FLUSHALL")
    keys: dict[str, list[str]] = {}
    for binding in scenario["bindings"]:
        keys.setdefault(binding["queue"], []).append(binding["routing_key"])
    consumers = [FanoutQueue(server.url, queue, bound) for queue, bound in keys.items()]
    publishes = []
    try:
        with Connection(server.url) as connection:
            channel = connection.channel()
            for exchange in (EXCHANGE, MARKER):
                channel.exchange_declare(exchange, "fanout")

            def send(exchange: str, key: str, body: str) -> None:
                channel.basic_publish(channel.prepare_message(body), exchange, key)

            for consumer in consumers:
                await_subscription(consumer, send)
            for publish in scenario["publishes"]:
                message, marker = uuid.uuid4().hex, uuid.uuid4().hex
                send(EXCHANGE, publish["routing_key"], message)
                send(MARKER, "", marker)
                queues = []
                for consumer in consumers:
                    if not consumer.wait_for(marker, MARKER_SECONDS):
                        raise ValueError(f"{consumer.queue} heard no marker")
                    copies = consumer.received.count(message)
                    if copies > 1:
                        raise ValueError(f"more than one copy in {consumer.queue}")
                    queues += [consumer.queue] * copies
                    consumer.received.clear()
                publishes.append(answer(scenario, publish["routing_key"], queues, None))
    finally:
        for consumer in consumers:
            consumer.connection.close()
    return scenario | {"kombu": kombu.__version__, "publishes": publishes}


def await_subscription(consumer: FanoutQueue, send: Callable[[str, str, str], None]) -> None:
    """Kombu subscribes to all its exchanges at once when it first reads: ask until it hears."""
    deadline = time.monotonic() + MARKER_SECONDS
    while time.monotonic() < deadline:
        marker = uuid.uuid4().hex
        send(MARKER, "", marker)
        if consumer.wait_for(marker, 0.2):
            return
    raise ValueError(f"{consumer.queue} never subscribed")


def answer(scenario: vectors.Scenario, key: str, queues: list[str],
           error: str | None) -> dict[str, Any]:
    """A publish of the vectors: Kombu's answer, and AMQP's where it is another."""
    reached, amqp = sorted(queues), amqp_queues(scenario["exchange_type"], scenario["bindings"], key)
    fresh: dict[str, Any] = {"routing_key": key, "queues": reached}
    if error is not None:
        fresh["error"] = error
    if amqp != reached:
        fresh["amqp"] = amqp
    return fresh


def main() -> int:
    options = vectors.arguments(__doc__)
    vectors.unwind_on_signals()
    if options.check:
        for path in options.files:
            recorded = next(vectors.read(path))["kombu"]
            if recorded != kombu.__version__:
                sys.exit(f"kombu_virtual.py: {path.name} is of kombu {recorded}, "
                         f"this Python has {kombu.__version__}")
    with RedisServer() as server:

        def record(scenario: vectors.Scenario) -> vectors.Scenario:
            match scenario["transport"]:
                case "virtual":
                    return record_virtual(scenario)
                case "redis-fanout":
                    return record_redis_fanout(scenario, server)
            raise ValueError(f"unknown transport {scenario['transport']}")

        return vectors.rerecord(options, record, json.dumps)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RedisServerError as error:
        sys.exit(f"kombu_virtual.py: {error}")
