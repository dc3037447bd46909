"""Builds the shop on a private RabbitMQ and keeps what the broker exports.

    python3 examples/shop/make_definitions.py            write definitions.json
    python3 examples/shop/make_definitions.py --check    compare, write nothing
    python3 examples/shop/make_definitions.py --try      publish the README's messages, show their queues

Needs Debian's rabbitmq-server (`python3 tests/oracles/broker.py install`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "oracles"))

from amqp091 import Client, Properties, Table
from broker import Broker, BrokerError
from vectors import unwind_on_signals

DEFINITIONS = HERE / "definitions.json"

UNROUTED = [["alternate-exchange", "S", "shop.unrouted"]]
DEAD_LETTERS = [["x-dead-letter-exchange", "S", "shop.dead"]]

# name, type, arguments; none is internal, because `rabbitmqctl export_definitions` of 3.10 leaves internal
# exchanges out and keeps their bindings
EXCHANGES: list[tuple[str, str, Table]] = [
    ("shop.orders", "topic", UNROUTED),
    ("shop.orders.eu", "topic", []),
    ("shop.orders.us", "topic", []),
    ("shop.orders.apac", "topic", []),
    ("shop.payments", "direct", UNROUTED),
    ("shop.invoices", "headers", UNROUTED),
    ("shop.notify", "topic", UNROUTED),
    ("shop.audit", "fanout", []),
    ("shop.unrouted", "fanout", []),
    ("shop.dead", "fanout", []),
]

QUEUES: list[tuple[str, Table]] = [
    ("eu.fulfilment", DEAD_LETTERS),
    ("eu.vat", []),
    ("us.fulfilment", DEAD_LETTERS),
    ("us.salestax", []),
    ("apac.fulfilment", DEAD_LETTERS),
    ("apac.customs", []),
    ("billing.invoicing", DEAD_LETTERS),
    ("returns.desk", []),
    ("fraud.check", [["x-max-priority", "B", 5]]),
    ("invoices.print", []),
    ("invoices.erp", []),
    ("invoices.urgent", [["x-message-ttl", "I", 3600000]]),
    ("notify.mail", []),
    ("notify.sms", []),
    ("audit.log", []),
    ("audit.lake", [["x-queue-mode", "S", "lazy"]]),
    ("unrouted.review", []),
    ("dead.letters", []),
]

# source, destination, binding key, arguments; a destination that is an exchange is bound as one
BINDINGS: list[tuple[str, str, str, Table]] = [
    ("shop.orders", "shop.orders.eu", "order.eu.#", []),
    ("shop.orders", "shop.orders.us", "order.us.#", []),
    ("shop.orders", "shop.orders.apac", "order.apac.#", []),
    ("shop.orders", "billing.invoicing", "order.*.paid", []),
    ("shop.orders", "fraud.check", "order.*.created", []),
    ("shop.orders", "returns.desk", "order.*.return.#", []),
    ("shop.orders", "shop.notify", "order.*.paid", []),
    ("shop.orders", "shop.notify", "order.*.shipped", []),
    ("shop.orders.eu", "eu.fulfilment", "order.eu.paid", []),
    ("shop.orders.eu", "eu.fulfilment", "order.eu.cancelled", []),
    ("shop.orders.eu", "eu.vat", "order.eu.paid", []),
    ("shop.orders.eu", "eu.vat", "order.eu.return.#", []),
    ("shop.orders.eu", "shop.audit", "#", []),
    ("shop.orders.us", "us.fulfilment", "order.us.paid", []),
    ("shop.orders.us", "us.fulfilment", "order.us.cancelled", []),
    ("shop.orders.us", "us.salestax", "order.us.paid", []),
    ("shop.orders.us", "shop.audit", "#", []),
    ("shop.orders.apac", "apac.fulfilment", "order.apac.paid", []),
    ("shop.orders.apac", "apac.fulfilment", "order.apac.cancelled", []),
    ("shop.orders.apac", "apac.customs", "order.apac.shipped", []),
    ("shop.orders.apac", "apac.customs", "order.apac.return.#", []),
    ("shop.orders.apac", "shop.audit", "#", []),
    ("shop.payments", "fraud.check", "card", []),
    ("shop.payments", "billing.invoicing", "transfer", []),
    ("shop.payments", "returns.desk", "refund", []),
    ("shop.payments", "shop.audit", "card", []),
    ("shop.payments", "shop.audit", "refund", []),
    ("shop.invoices", "invoices.print", "",
     [["x-match", "S", "all"], ["format", "S", "pdf"], ["delivery", "S", "post"]]),
    ("shop.invoices", "invoices.erp", "",
     [["x-match", "S", "any"], ["format", "S", "xml"], ["customer", "S", "business"]]),
    ("shop.invoices", "invoices.urgent", "", [["x-match", "S", "all"], ["priority", "I", 9]]),
    ("shop.invoices", "shop.audit", "", [["x-match", "S", "all"], ["booked", "t", True]]),
    ("shop.notify", "notify.mail", "order.#", []),
    ("shop.notify", "notify.mail", "mail.#", []),
    ("shop.notify", "notify.sms", "order.*.shipped", []),
    ("shop.notify", "notify.sms", "sms.#", []),
    ("shop.audit", "audit.log", "", []),
    ("shop.audit", "audit.lake", "", []),
    ("shop.unrouted", "unrouted.review", "", []),
    ("shop.dead", "dead.letters", "", []),
]

# exchange, routing key, headers, queues that the README promises
MESSAGES: list[tuple[str, str, Table, list[str]]] = [
    ("shop.orders", "order.eu.paid", [],
     ["audit.lake", "audit.log", "billing.invoicing", "eu.fulfilment", "eu.vat", "notify.mail"]),
    ("shop.invoices", "", [["format", "S", "pdf"], ["delivery", "S", "post"],
                           ["customer", "S", "business"]],
     ["invoices.erp", "invoices.print"]),
    ("shop.orders", "order.uk.cancelled", [], ["unrouted.review"]),
    ("shop.orders", "order.apac.shipped", [],
     ["apac.customs", "audit.lake", "audit.log", "notify.mail", "notify.sms"]),
    ("shop.invoices", "", [["priority", "I", 9], ["booked", "t", True]],
     ["audit.lake", "audit.log", "invoices.urgent"]),
    ("shop.payments", "card", [], ["audit.lake", "audit.log", "fraud.check"]),
]


def build(client: Client) -> None:
    for name, kind, arguments in EXCHANGES:
        client.exchange_declare(name, kind, durable=True, arguments=arguments)
    for name, arguments in QUEUES:
        client.queue_declare(name, durable=True, arguments=arguments)
    exchanges = {name for name, *_ in EXCHANGES}
    for source, destination, key, arguments in BINDINGS:
        bind = client.exchange_bind if destination in exchanges else client.queue_bind
        bind(destination, source, key, arguments)


def export(broker: Broker) -> str:
    """The broker's own export, taken when no account is left that could be exported."""
    broker.ctl("set_cluster_name", "shop")
    broker.ctl("set_policy", "--apply-to", "queues", "audit-cap", "^audit\\.",
               '{"max-length":100000}')
    broker.ctl("delete_user", broker.user)
    target = broker.folder / "export.json"
    broker.ctl("export_definitions", str(target))
    return target.read_text(encoding="utf-8")


def comparable(text: str) -> Any:
    """The export without the order of its rows, which differs from run to run."""
    return {section: sorted(rows, key=json.dumps) if isinstance(rows, list) else rows
            for section, rows in json.loads(text).items()}


def try_messages(client: Client) -> bool:
    """Publishes each message for real and shows where it went; true if all went as promised."""
    names = [name for name, _ in QUEUES]
    encoded = [name.encode() for name in names]
    as_promised = True
    for exchange, key, headers, promised in MESSAGES:
        client.publish(exchange, key, Properties(headers=headers))
        reached = sorted(name for name, copies in zip(names, client.drain(encoded, 1)) if copies)
        as_promised &= reached == promised
        shown = ", ".join(f"{name}={value}" for name, _, value in headers)
        print(f"{exchange} `{key}` {{{shown}}} -> {', '.join(reached)}")
    return as_promised


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"], ["--try"]):
        print(__doc__, file=sys.stderr)
        return 2
    unwind_on_signals()
    with Broker() as broker:
        client = Client(broker.amqp_port, "/")
        build(client)
        if arguments == ["--try"]:
            as_promised = try_messages(client)
            client.close()
            return 0 if as_promised else 1
        client.close()
        text = export(broker)
    if not arguments:
        DEFINITIONS.write_text(text, encoding="utf-8")
        print(f"wrote {DEFINITIONS.name}: {len(EXCHANGES)} exchanges, {len(QUEUES)} queues, "
              f"{len(BINDINGS)} bindings")
        return 0
    same = comparable(text) == comparable(DEFINITIONS.read_text(encoding="utf-8"))
    print("definitions.json agrees with the broker" if same else "definitions.json differs")
    return 0 if same else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokerError as error:
        sys.exit(f"make_definitions.py: {error}")
