"""A worker of the kill tests that is not keyrail: kill_worker.py kombu|celery URL. Writes `done N` before each ack."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any

from celery import Celery
from kombu import Connection, Consumer, Queue

QUEUE = "work"
# As keyrail's workers; looking for what was left behind every second.
OPTIONS = {"visibility_timeout": 4, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}


def done(number: int) -> None:
    """In one write, so that a kill leaves the whole line or none."""
    os.write(1, f"done {number}\n".encode())


def kombu_worker(url: str) -> None:
    def received(body: Any, message: Any) -> None:
        done(int(body))
        message.ack()

    def stop(*_: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    with Connection(url, transport_options=OPTIONS) as connection, connection.channel() as channel:
        with Consumer(channel, [Queue(QUEUE, routing_key=QUEUE)], callbacks=[received], accept=["text/plain"],
                      prefetch_count=64):
            while True:
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)


def celery_worker(url: str) -> None:
    app = Celery("kill", broker=url)
    app.conf.update(broker_transport_options=OPTIONS, task_acks_late=True, worker_prefetch_multiplier=64,
                    task_ignore_result=True)

    @app.task(name="shop.work")
    def work(number: int) -> None:
        done(number)

    app.worker_main(["worker", "--pool", "solo", "-c", "1", "-Q", QUEUE, "--loglevel", "error",
                     "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    {"kombu": kombu_worker, "celery": celery_worker}[sys.argv[1]](sys.argv[2])
