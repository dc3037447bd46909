"""A real Celery that calls a worker: celery_caller.py URL VERB ARGUMENTS. Prints JSON."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from celery import Celery
from celery.events import EventReceiver
from celery.events.state import State

SECONDS = 30


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def options_of(app: Celery, options: dict[str, Any]) -> dict[str, Any]:
    if "link" in options:
        options["link"] = app.signature(options["link"])
    return options


def send(app: Celery, *calls: list[Any]) -> list[Any]:
    return [app.send_task(name, args, kwargs, **options_of(app, *rest or [{}])) for name, args, kwargs, *rest in calls]


def call(app: Celery, *calls: list[Any]) -> None:
    """Sends tasks and waits for their results."""
    answers = []
    for result in send(app, *calls):
        value = result.get(timeout=SECONDS, propagate=False)
        if result.status == "SUCCESS":
            answers.append({"status": result.status, "result": value})
        else:
            answers.append({"status": result.status, "type": type(value).__name__, "result": str(value),
                            "traceback": result.traceback})
    say(answers)


def result_of(app: Celery, task_id: str) -> None:
    """Waits for a result that somebody else writes, as the caller of a task does."""
    result = app.AsyncResult(task_id)
    value = result.get(timeout=SECONDS, propagate=False)
    failed = result.status != "SUCCESS"
    say({"status": result.status, "ready": result.ready(), "type": type(value).__name__,
         "result": str(value) if failed else value, "done": result.date_done is not None})


def state_of(app: Celery, task_id: str) -> None:
    """What is known of a task that is not ready."""
    result = app.AsyncResult(task_id)
    say({"status": result.status, "ready": result.ready(), "info": result.info})


def store(app: Celery, task_id: str, value: Any, status: str) -> None:
    """Celery's own backend writes a result."""
    if status == "FAILURE":
        value = ValueError(value)
    app.backend.store_result(task_id, value, status)
    say(None)


def inspect(app: Celery, *methods: str) -> None:
    say([getattr(app.control.inspect(timeout=5, limit=1), method)() for method in methods])


def watch(app: Celery) -> None:
    """Prints the workers and tasks that Celery sees, after each event, as Flower does."""
    state = State()

    def seen(event: dict[str, Any]) -> None:
        state.event(event)
        say({"type": event["type"], "workers": {name: worker.alive for name, worker in state.workers.items()},
             "tasks": {uuid: task.state for uuid, task in state.tasks.items()}})

    with app.connection() as connection:
        receiver = EventReceiver(connection, handlers={"*": seen}, app=app)
        threading.Timer(0.5, say, [{"ready": True}]).start()
        receiver.capture(limit=None, timeout=SECONDS, wakeup=False)


def main() -> None:
    url, verb, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    app = Celery("caller", broker=url, backend=url)
    if verb == "call":
        call(app, *arguments)
    elif verb == "send":
        send(app, *arguments)
        say(None)
    elif verb == "pickle":
        app.send_task("shop.add", [1], serializer="pickle")
        say(None)
    elif verb in ("result_of", "state_of", "store"):
        {"result_of": result_of, "state_of": state_of, "store": store}[verb](app, *arguments)
    elif verb == "inspect":
        inspect(app, *arguments)
    elif verb == "queue":
        say(app.amqp.queues["celery"].as_dict(recurse=True))
    elif verb == "inspect_other":
        say(app.control.inspect(destination=["somebody@else"], timeout=0.5).ping())
    elif verb == "inspect_nobody":
        # Waits for replies until it is killed.
        app.control.inspect(destination=["nobody@else"], timeout=SECONDS).ping()
    elif verb == "enable_events":
        app.control.enable_events(reply=True, timeout=5, limit=1)
        say(None)
    elif verb == "watch":
        watch(app)


if __name__ == "__main__":
    main()
