"""The application of the tests that publish from JavaScript; the address comes from the environment."""

import os

from celery import Celery
from kombu import Exchange, Queue

app = Celery("shop", broker=os.environ["KEYRAIL_TEST_REDIS"], backend=os.environ["KEYRAIL_TEST_REDIS"])
shop = Exchange("shop.topic", type="topic")
desk = Exchange("shop.direct", type="direct")
app.conf.task_queues = [
    Queue("celery", Exchange("celery", type="direct"), routing_key="celery"),
    Queue("orders", shop, routing_key="order.#"),
    Queue("eu", shop, routing_key="order.eu.*"),
    Queue("desk", desk, routing_key="desk"),
]
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_connection_retry_on_startup = True


@app.task(name="shop.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shop.fail")
def fail(*arguments: object) -> None:
    raise ValueError(*arguments)


@app.task(name="shop.seen", bind=True)
def seen(self: object, *args: object, **kwargs: object) -> dict[str, object]:
    """What the worker got to see of a call."""
    request = self.request
    info = request.delivery_info
    return {
        "args": list(args), "kwargs": kwargs, "id": request.id, "retries": request.retries,
        "eta": request.eta, "expires": request.expires, "timelimit": request.timelimit,
        "headers": request.headers, "reply_to": request.reply_to, "origin": request.origin,
        "exchange": info["exchange"], "routing_key": info["routing_key"], "priority": info["priority"],
        "root_id": request.root_id, "parent_id": request.parent_id, "group": request.group,
    }


# The tasks of celery-node's examples.
@app.task(name="tasks.add")
def tasks_add(a: int, b: int) -> int:
    return a + b


@app.task(name="tasks.add_kwargs")
def tasks_add_kwargs(*, a: int, b: int) -> int:
    return a + b


@app.task(name="tasks.error")
def tasks_error(msg: str) -> None:
    raise RuntimeError(msg)
