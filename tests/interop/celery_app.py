"""The application of the Celery test; the address comes from the environment."""

import os

from celery import Celery

app = Celery("shop", broker=os.environ["KEYRAIL_TEST_REDIS"], backend=os.environ["KEYRAIL_TEST_REDIS"])


@app.task(name="shop.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shop.fail")
def fail() -> None:
    raise ValueError("nope")
