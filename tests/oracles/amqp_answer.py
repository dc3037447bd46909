"""What AMQP 0-9-1 says about one exchange, as short as it can be said."""

from __future__ import annotations


def amqp_queues(exchange_type: str, bindings: list[dict[str, str]], key: str) -> list[str]:
    """Sorted queues that an AMQP broker would give the message to."""
    match exchange_type:
        case "default":
            return [key]
        case "fanout":
            return sorted({row["queue"] for row in bindings})
        case "direct":
            return sorted({row["queue"] for row in bindings if row["routing_key"] == key})
        case "topic":
            return sorted({row["queue"] for row in bindings
                           if topic_matches(words(row["routing_key"]), words(key))})
    raise ValueError(f"unknown exchange type {exchange_type}")


def words(key: str) -> list[str]:
    return key.split(".") if key else []


def topic_matches(pattern: list[str], key: list[str]) -> bool:
    """Walks the pattern once with every position in the key reached so far: no backtracking."""
    reached = {0}
    for word in pattern:
        if word == "#":
            reached = set(range(min(reached), len(key) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(key) and word in ("*", key[at])}
        if not reached:
            return False
    return len(key) in reached
