"""Kombu as a peer: one request a line on stdin, one answer a line on stdout."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from kombu import Connection, Exchange, Queue

URL = os.environ["KEYRAIL_TEST_REDIS"]
connection = Connection(URL)
listening: dict[str, Any] = {}


def bind(exchange: str, kind: str, queue: str, key: str = "") -> None:
    # A connection writes a binding once, whatever became of it since.
    with Connection(URL) as own:
        Queue(queue, Exchange(exchange, type=kind), routing_key=key)(own.channel()).declare()


def unbind(exchange: str, kind: str, queue: str, key: str = "") -> None:
    """Deletes the queue that this process bound, and its row with it."""
    with Connection(URL) as own:
        bound = Queue(queue, Exchange(exchange, type=kind), routing_key=key)(own.channel())
        bound.declare()
        bound.delete()


def publish(exchange: str, kind: str, key: str, body: Any, **options: Any) -> None:
    producer = connection.Producer(exchange=Exchange(exchange, type=kind))
    producer.publish(body, routing_key=key, **options)


def send_task(name: str, args: list[Any], kwargs: dict[str, Any], **options: Any) -> str:
    """Calls a task by Celery itself."""
    from celery_app import app

    return app.tasks[name].apply_async(tuple(args), kwargs, **options).id


def get(queue: str) -> Any:
    """The next message as Kombu reads it."""
    message = connection.channel().basic_get(queue)
    if message is None:
        return None
    message.ack()
    return {"body": message.payload, "headers": message.headers, "properties": message.properties,
            "info": message.delivery_info, "type": message.content_type}


def listen(exchange: str, queue: str, key: str = "") -> None:
    """Consumes from a fanout exchange; `heard` gives what came."""
    heard: list[Any] = []
    bound = Queue(queue, Exchange(exchange, type="fanout"), routing_key=key)
    own = Connection(URL)
    consumer = own.Consumer([bound], callbacks=[lambda body, message: heard.append(body)], no_ack=True)
    consumer.consume()
    listening[queue] = (own, heard)


def heard(queue: str) -> Any:
    own, messages = listening[queue]
    try:
        own.drain_events(timeout=0.2)
    except TimeoutError:
        pass
    return messages


def deaf(queue: str) -> None:
    own, _ = listening.pop(queue)
    own.close()


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": globals()[request.pop("verb")](**request)}
    except Exception as error:  # noqa: BLE001 - the test says what it makes of it
        answer = {"error": repr(error)}
    print(json.dumps(answer, default=str), flush=True)
