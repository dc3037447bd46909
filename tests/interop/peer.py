"""A real Kombu in a process: peer.py URL VERB OPTIONS. Prints one JSON value a line; the first says it is ready.

The version of Kombu is that of the interpreter.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

import kombu
from kombu import Connection, Consumer, Exchange, Producer, Queue

SECONDS = 60


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def queue_of(options: dict[str, Any]) -> Queue:
    exchange = Exchange(options["exchange"], type=options["type"], durable=True)
    return Queue(options["queue"], exchange, routing_key=options.get("key", ""))


def bind(connection: Connection, options: dict[str, Any]) -> None:
    """Declares a queue and its binding, as every Kombu consumer does."""
    with connection.channel() as channel:
        queue_of(options)(channel).declare()
    say({"bound": options["queue"]})


def delete(connection: Connection, options: dict[str, Any]) -> None:
    """Declares a queue and its binding, and deletes the queue: Kombu knows the bindings of its own connection only."""
    with connection.channel() as channel:
        queue = queue_of(options)(channel)
        queue.declare()
        queue.delete()
    say({"deleted": options["queue"]})


def consume(connection: Connection, options: dict[str, Any]) -> None:
    """Declares, consumes `count` messages, acks each, prints what came."""
    left = options["count"]

    def received(body: Any, message: Any) -> None:
        nonlocal left
        message.ack()
        left -= 1
        say({
            "body": body,
            "headers": message.headers,
            "key": message.delivery_info.get("routing_key"),
            "exchange": message.delivery_info.get("exchange"),
            "tag": message.properties["delivery_tag"],
            "priority": message.properties.get("priority"),
        })

    with connection.channel() as channel:
        with Consumer(channel, [queue_of(options)], callbacks=[received], accept=["json", "text/plain"],
                      no_ack=False, prefetch_count=1):
            say({"ready": options["queue"]})
            deadline = time.monotonic() + SECONDS
            while left > 0 and time.monotonic() < deadline:
                # Kombu restores what others left behind only after a wait in which nothing came.
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=1)
            if left > 0:
                raise TimeoutError(f"{left} messages did not come within {SECONDS} s")


def requeue_once(connection: Connection, options: dict[str, Any]) -> None:
    """Consumes until `count` messages are acked: each goes back once, and is acked when it comes again."""
    left = options["count"]

    def received(body: Any, message: Any) -> None:
        nonlocal left
        del body
        again = bool(message.delivery_info.get("redelivered"))
        say({"key": message.delivery_info.get("routing_key"), "redelivered": again})
        if not again:
            message.requeue()
            return
        message.ack()
        left -= 1

    with connection.channel() as channel:
        with Consumer(channel, [queue_of(options)], callbacks=[received], accept=["text/plain"], prefetch_count=1):
            say({"ready": options["queue"]})
            while left > 0:
                connection.drain_events(timeout=SECONDS)


def hold(connection: Connection, options: dict[str, Any]) -> None:
    """Takes a message and keeps it until the process is killed."""
    with connection.channel() as channel:
        taken = []
        with Consumer(channel, [queue_of(options)], callbacks=[lambda body, message: taken.append(message)],
                      accept=["text/plain"], prefetch_count=1):
            say({"ready": options["queue"]})
            while not taken:
                connection.drain_events(timeout=SECONDS)
            say({"held": taken[0].properties["delivery_tag"]})
            time.sleep(SECONDS)


def expire(connection: Connection, options: dict[str, Any]) -> None:
    """Consumes an expiring queue for a moment, long enough for its channel's maintenance; may also sweep."""
    queue = Queue(options["queue"], Exchange(options["exchange"], type="direct"), routing_key="k",
                  expires=options["expires"])
    with connection.channel() as channel:
        with Consumer(channel, [queue], callbacks=[lambda body, message: message.ack()]):
            if options.get("sweep"):
                channel.maybe_refresh_binding_expiry()
            say({"deadlines": len(channel.client.zrange(channel.keyprefix_binding_deadlines, 0, -1))})


def publish(connection: Connection, options: dict[str, Any]) -> None:
    """Publishes the `messages`: each a body, how often it is repeated within the message, and publish options."""
    kind = options.get("type", "direct")
    exchange = Exchange(options["exchange"], type=kind, durable=True) if options.get("exchange") else None
    with connection.channel() as channel:
        producer = Producer(channel, exchange=exchange)
        for message in options["messages"]:
            body, times = message.pop("body"), message.pop("times", 1)
            producer.publish(body * times if times > 1 else body, **message)
    say({"published": len(options["messages"])})


def route(connection: Connection, options: dict[str, Any]) -> None:
    """Publishes each message of a file and says which of its queues got it."""
    with open(options["file"], encoding="utf-8") as file:
        publishes = json.load(file)
    answers = []
    with connection.channel() as channel:
        producers: dict[str, Producer] = {}
        for publish in publishes:
            name = publish["exchange"]
            if name not in producers:
                producers[name] = Producer(channel, exchange=Exchange(name, type=publish["type"], durable=True))
            producers[name].publish("x", routing_key=publish["key"])
            pipeline = channel.client.pipeline(transaction=False)
            for queue in publish["queues"]:
                pipeline.rpop(queue)
            popped = pipeline.execute()
            answers.append([queue for queue, got in zip(publish["queues"], popped, strict=True) if got])
    say({"queues": answers})


def slowest(connection: Connection, options: dict[str, Any]) -> None:
    """Looks every key up in every exchange and says how long the slowest took, compiled texts in the cache."""
    worst = {"seconds": 0.0}
    with connection.channel() as channel:
        for name in options["exchanges"]:
            Exchange(name, type="topic", durable=True)(channel).declare()
            for key in options["keys"]:
                channel._lookup(name, key)
                started = time.process_time()
                channel._lookup(name, key)
                seconds = time.process_time() - started
                if seconds > worst["seconds"]:
                    worst = {"seconds": seconds, "exchange": name, "key": key}
    say(worst)


def version(connection: Connection, options: dict[str, Any]) -> None:
    """Says which Kombu this is."""
    del connection, options
    say({"kombu": kombu.__version__})


VERBS = {
    "bind": bind,
    "consume": consume,
    "delete": delete,
    "expire": expire,
    "hold": hold,
    "publish": publish,
    "requeue_once": requeue_once,
    "route": route,
    "slowest": slowest,
    "version": version,
}


def main() -> None:
    url, verb, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with Connection(url, transport_options=options.pop("transport_options", {})) as connection:
        VERBS[verb](connection, options)


if __name__ == "__main__":
    main()
