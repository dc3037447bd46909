"""What the bench measures: which engines on which tables, and how far ahead of each keyrail is to be."""

from dataclasses import dataclass, field

SIZES = {"10": 10, "1k": 1_000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}

RUST = {
    "keyrail", "mqtt-topic-engine", "quill-pubsub", "submap", "zenoh-keyexpr", "regex-set", "aho-corasick", "matchit",
    "ahash", "foldhash", "copy", "scan",
}
JAVASCRIPT = {"qlobber", "qlobber-dedup", "qlobber-unguarded", "smqp", "mqemitter", "keyrail-npm"}
PYTHON = {"kombu"}


@dataclass
class Row:
    """One table with one file of keys, and who is measured on it."""

    kind: str
    table: str
    keys: str
    engines: list
    # Engine to ratio: its time is to be at least so many times keyrail's.
    aims: dict = field(default_factory=dict)
    # Nanoseconds that cannot be measured here, by who was measured.
    recorded: dict = field(default_factory=dict)
    size: int = 0

    @property
    def name(self):
        return f"{self.table} {self.keys}"


def sized(kind, keys, engines, aims=None, recorded=None, prefix=None):
    """A row for each size. `engines` gives each engine's largest table; lists of aims and records follow SIZES."""
    prefix = prefix or kind
    for at, (name, size) in enumerate(SIZES.items()):
        pick = lambda lists: {who: values[at] for who, values in (lists or {}).items() if at < len(values)}
        yield Row(
            kind, f"{prefix}_{name}", f"{kind}_{name}.{keys}",
            ["keyrail", *(engine for engine, largest in engines.items() if size <= SIZES[largest])],
            pick(aims), pick(recorded), size,
        )


def rows():
    yield from sized(
        "topic", "uniq",
        {"qlobber": "1m", "qlobber-dedup": "100k", "zenoh-keyexpr": "100k", "regex-set": "10k",
         "aho-corasick": "100k", "smqp": "10k", "kombu": "10k", "keyrail-npm": "100k"},
        {"qlobber": [11, 12, 7, 10, 25], "kombu": [50, 2000, 13000], "zenoh-keyexpr": [10, 90, 180, 700],
         "regex-set": [1.8, 8, 24], "rabbitmq-trie": [60, 140, 95, 80, 70]},
        # RabbitMQ's ETS trie without the broker, on these files and an older machine, on which the peers took 1.5 to 2
        # times as long as on the one of README.md: the ratio flatters by as much.
        {"rabbitmq-trie": [4376, 18_000, 45_700, 64_400, 92_300]},
    )
    yield from sized(
        "topic", "zipf",
        {"qlobber": "1m", "zenoh-keyexpr": "10k", "foldhash": "1m", "keyrail-npm": "100k"},
        {"qlobber": [20, 25, 20, 30, 60], "foldhash": [1 / 2.5] * 5},
    )
    yield from sized(
        "topic", "uniq",
        {"mqtt-topic-engine": "1m", "quill-pubsub": "1m", "submap": "100k", "mqemitter": "100k"},
        {"mqtt-topic-engine": [5, 5, 4.5, 3.5, 5], "quill-pubsub": [5, 5, 4.5, 3.5, 5]},
        prefix="topicend",
    )
    for keys in ("uniq", "zipf"):
        yield from sized(
            "direct", keys,
            {"foldhash": "1m", "ahash": "1m", "matchit": "100k", "kombu": "10k"},
            {"foldhash": [1 / 1.1, 1 / 1.1, 1 / 1.1, 1, 1]},
        )
    for name in ("10", "1k", "100k"):
        engines = ["keyrail", "copy", "kombu"]
        yield Row("fanout", f"fanout_{name}", "fanout", engines, {"copy": 1 / 2} if name == "100k" else {},
                  size=SIZES[name])
    yield Row("headers", "headers_4k", "headers_4k", ["keyrail", "scan"], {"scan": 50}, size=4_000)
    engines = ["keyrail", "zenoh-keyexpr", "regex-set", "aho-corasick", "qlobber", "qlobber-unguarded", "smqp", "kombu"]
    for number, zenoh in enumerate((48, 28, 4000, 70), 1):
        name = f"adv{number}"
        yield Row("topic", name, name, engines, {"zenoh-keyexpr": zenoh, "regex-set": 1 / 3}, size=10_000)


def beyond(measured):
    """Aims that compare keyrail with itself or with a number: text, figure, aim, met."""
    figure = lambda name, what: measured.get((name, "keyrail"), {}).get(what)
    large, larger = (figure(f"topic_{size} topic_{size}.uniq", "ns") for size in ("100k", "1m"))
    if large and larger:
        yield "1m unique against 100k", f"{larger / large:.2f} times", "2.5 times at most", larger <= 2.5 * large
    for size in ("100k", "1m"):
        name = f"topic_{size} topic_{size}.uniq"
        held, build = figure(name, "bytes_per_binding"), figure(name, "build_ms")
        if held is not None:
            aim = ("160 at most", held <= 160) if size == "1m" else ("", True)
            yield f"bytes a binding at {size} topics", f"{held:.0f}", *aim
            yield f"building {size} topics", f"{build / 1000:.2f} s", "", True
