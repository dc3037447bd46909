"""Re-records AMQP vectors from a real RabbitMQ.

    python3 tests/oracles/rabbitmq.py --check tests/vectors/amqp.jsonl
    python3 tests/oracles/rabbitmq.py --output FOLDER tests/vectors/amqp.jsonl

Starts a private broker on loopback, gives each scenario a virtual host of its own, runs every step
and keeps what the broker did as the step's `expect`.
"""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any
from urllib.parse import quote

import vectors
from amqp091 import AmqpError, Client, Properties, header_names, raw
from broker import Broker, BrokerError

Step = dict[str, Any]


class VirtualHost:
    """One scenario's broker: its own virtual host, one connection at a time."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.path = quote(name, safe="")
        self.queues: set[bytes] = set()
        broker.add_vhost(name)
        self.client = self.connect()

    def connect(self) -> Client:
        return Client(self.broker.amqp_port, self.name, self.broker.user, self.broker.password)

    def close(self) -> None:
        try:
            self.client.close()
        finally:
            self.broker.delete_vhost(self.name)

    def run(self, step: Step) -> Any:
        """Performs one step and returns its `expect`; the next step finds a working channel."""
        try:
            return self.perform(step)
        except AmqpError as error:
            if error.scope == "channel":
                self.client.open_channel()
            else:
                self.client = self.connect()
            return {"error": {"scope": error.scope, "code": error.code, "name": error.name}}

    def perform(self, step: Step) -> Any:
        match step["op"]:
            case "publish":
                return self.publish(step)
            case "publish.repeat":
                return self.publish_repeat(step)
            case "bindings.list":
                return {"bindings": self.bindings(step)}
            case "policy.set":
                self.broker.http("PUT", f"/api/policies/{self.path}/{quote(step['name'], safe='')}", {
                    "pattern": step["pattern"], "priority": step.get("priority", 0),
                    "apply-to": "exchanges", "definition": {"alternate-exchange": step["alternate"]}})
            case "policy.clear":
                self.broker.http("DELETE", f"/api/policies/{self.path}/{quote(step['name'], safe='')}")
            case _:
                self.change_topology(step)
        return "ok"

    def change_topology(self, step: Step) -> None:
        client, arguments = self.client, step.get("arguments", [])
        key = step.get("routing_key", "")
        match step["op"]:
            case "exchange.declare":
                client.exchange_declare(
                    step["exchange"], step.get("type", "direct"), arguments=arguments,
                    **flags(step, "passive", "durable", "auto_delete", "internal"))
            case "exchange.delete":
                client.exchange_delete(step["exchange"], **flags(step, "if_unused"))
            case "queue.declare":
                self.queues.add(client.queue_declare(
                    step["queue"], arguments=arguments,
                    **flags(step, "passive", "durable", "auto_delete")))
            case "queue.delete":
                client.queue_delete(step["queue"], **flags(step, "if_unused", "if_empty"))
                # The broker strips line ends from names.
                self.queues.discard(raw(step["queue"]).translate(None, b"\r\n"))
            case "queue.bind":
                client.queue_bind(step["queue"], step["exchange"], key, arguments)
            case "queue.unbind":
                client.queue_unbind(step["queue"], step["exchange"], key, arguments)
            case "exchange.bind":
                client.exchange_bind(step["destination"], step["source"], key, arguments)
            case "exchange.unbind":
                client.exchange_unbind(step["destination"], step["source"], key, arguments)
            case op:
                raise ValueError(f"unknown operation {op}")

    def publish(self, step: Step) -> Any:
        properties = Properties(step.get("headers"), step.get("correlation_id"),
                                step.get("message_id"), step.get("timestamp"))
        returned = self.client.publish(step["exchange"], step["routing_key"], properties,
                                       mandatory=step.get("mandatory", True))
        copies = self.collect()
        expect: dict[str, Any] = {"queues": sorted(copies), "returned": returned}
        if step.get("record_headers"):
            names = {name for header in copies.values() for name in header_names(header)}
            expect["delivered_headers"] = sorted(name.decode() for name in names)
        return expect

    def publish_repeat(self, step: Step) -> Any:
        reached = []
        for _ in range(step["times"]):
            self.client.publish(step["exchange"], step["routing_key"], Properties())
            reached.append(self.collect().keys())
        return {"each": sorted({len(queues) for queues in reached}),
                "union": sorted(set().union(*reached))}

    def collect(self) -> dict[str, bytes]:
        """Takes the last message out of every queue; a second copy anywhere is an error."""
        queues = sorted(self.queues)
        copies = {}
        for queue, headers in zip(queues, self.client.drain(queues, copies=2)):
            if len(headers) > 1:
                raise ValueError(f"more than one copy in {queue!r}")
            if headers:
                copies[queue.decode()] = headers[0]
        return copies

    def bindings(self, step: Step) -> list[Any]:
        if "queue" in step:
            address = f"queues/{self.path}/{quote(step['queue'], safe='')}/bindings"
        else:
            end = "source" if "source" in step else "destination"
            # the management API's name of the default exchange
            exchange = quote(step[end] or "amq.default", safe="")
            address = f"exchanges/{self.path}/{exchange}/bindings/{end}"
        return sorted([row["source"], row["destination_type"], row["destination"],
                       row["routing_key"], len(row["arguments"])]
                      for row in self.broker.http("GET", f"/api/{address}"))


def flags(step: Step, *names: str) -> dict[str, bool]:
    return {name: step.get(name, False) for name in names}


def to_line(scenario: vectors.Scenario) -> str:
    return json.dumps(scenario, ensure_ascii=False, separators=(",", ":"))


def main() -> int:
    options = vectors.arguments(__doc__)
    vectors.unwind_on_signals()
    numbers = itertools.count(1)
    with Broker() as broker:

        def record(scenario: vectors.Scenario) -> vectors.Scenario:
            host = VirtualHost(broker, f"scenario-{next(numbers)}")
            try:
                steps = [step | {"expect": host.run(step)} for step in scenario["steps"]]
            finally:
                host.close()
            return scenario | {"steps": steps}

        return vectors.rerecord(options, record, to_line)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokerError as error:
        sys.exit(f"rabbitmq.py: {error}")
