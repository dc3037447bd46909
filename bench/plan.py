"""What the bench measures, and what keyrail is to reach: `rows` and `targets`."""

from dataclasses import dataclass, field

SIZES = {"10": 10, "1k": 1_000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}

RUST = {
    "keyrail", "keyrail-no-cache", "keyrail-cold", "mqtt-topic-engine", "quill-pubsub", "submap", "zenoh-keyexpr", "regex-set",
    "aho-corasick", "matchit", "ahash", "foldhash", "copy", "scan",
}
JAVASCRIPT = {
    "qlobber", "qlobber-map", "qlobber-dedup", "qlobber-unguarded", "smqp", "mqemitter", "keyrail-npm",
    "keyrail-npm-batch",
}
PYTHON = {"kombu"}
WASM = {"keyrail-wasm"}
# Measured by the clock on the wall, all threads together.
THREADS = {"keyrail-1-thread": 1, "keyrail-2-threads": 2}

# RabbitMQ's ETS trie without the broker, in nanoseconds, on these files and an older machine, on which the peers took
# 1.5 to 2 times as long as on the one of README.md: the ratio flatters by as much.
RABBITMQ_TRIE = [4376, 18_000, 45_700, 64_400, 92_300]

# How much faster keyrail is than who does not take the table or its keys at all.
REFUSED = float("inf")

# The pattern and the key that backtrack most, beside the tables of the workload.
HASHES = ("#.#.#.#.#.z", ".".join(["a"] * 127) + "b")


@dataclass
class Row:
    """One table with one file of keys, and who is measured on it."""

    kind: str
    table: str
    keys: str
    engines: list
    size: int = 0
    # Nanoseconds that cannot be measured here, by who was measured.
    recorded: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.table} {self.keys}"


def aimed(row):
    """The engines of a row without which a target could not be told."""
    wanted = asked()
    return [engine for engine in row.engines if (row.name, engine) in wanted]


def asked(known=set()):
    """What the targets look at, as pairs of a row and an engine."""
    class Asked:
        def get(self, pair, _):
            known.add(pair)
            # A ratio is to keyrail's time in the same row; hostile tables are compared with what remembers no answers.
            row, engine = pair
            if engine not in ("keyrail-no-cache", *THREADS) and not row.startswith("adv"):
                known.add((row, "keyrail"))
            return {}

    if not known:
        list(targets(Asked()))
    return known


def sized(kind, keys, engines, recorded=None, prefix=None):
    """A row for each size. `engines` gives each engine's smallest and largest table, or the largest alone."""
    prefix = prefix or kind
    for at, (name, size) in enumerate(SIZES.items()):
        within = lambda between: SIZES[between.split()[0]] * (" " in between) <= size <= SIZES[between.split()[-1]]
        yield Row(
            kind, f"{prefix}_{name}", f"{kind}_{name}.{keys}",
            ["keyrail", *(engine for engine, between in engines.items() if within(between))],
            size, {who: figures[at] for who, figures in (recorded or {}).items()},
        )


def rows():
    yield from sized(
        "topic", "uniq",
        {"qlobber": "1m", "qlobber-dedup": "100k", "zenoh-keyexpr": "100k", "regex-set": "10k",
         "aho-corasick": "100k", "smqp": "10k", "kombu": "10k", "keyrail-npm": "100k",
         "keyrail-npm-batch": "100k", "keyrail-wasm": "1k 100k",
         "keyrail-1-thread": "1k 10k", "keyrail-2-threads": "1k 10k"},
        {"rabbitmq-trie": RABBITMQ_TRIE},
    )
    yield from sized(
        "topic", "zipf",
        {"qlobber": "1m", "qlobber-map": "100k", "zenoh-keyexpr": "10k", "foldhash": "1m", "keyrail-npm": "100k",
         "keyrail-wasm": "1k 100k"},
    )
    yield from sized(
        "topic", "uniq",
        {"mqtt-topic-engine": "1m", "quill-pubsub": "1m", "submap": "100k", "mqemitter": "100k"},
        prefix="topicend",
    )
    for keys in ("uniq", "zipf"):
        yield from sized("direct", keys, {"foldhash": "1m", "ahash": "1m", "matchit": "100k", "kombu": "10k"})
    for name in ("10", "1k", "100k"):
        yield Row("fanout", f"fanout_{name}", "fanout", ["keyrail", "copy", "kombu"], SIZES[name])
    yield Row("headers", "headers_4k", "headers_4k", ["keyrail", "scan"], 4_000)
    # Their few keys come again and again, which is easy for who remembers answers, and for regex-set its states.
    engines = ["keyrail", "keyrail-no-cache", "keyrail-cold", "zenoh-keyexpr", "regex-set", "aho-corasick", "qlobber",
               "qlobber-unguarded", "smqp", "kombu", "keyrail-npm"]
    for number in (1, 2, 3, 4):
        yield Row("topic", f"adv{number}", f"adv{number}", engines, 10_000)
    yield Row("topic", "hashes", "hashes", ["keyrail", "keyrail-no-cache", "keyrail-cold", "zenoh-keyexpr", "regex-set"], 1)


@dataclass
class Target:
    """What is to be reached, table by table: at least these figures, or at most."""

    table: str
    keys: str
    what: str
    # By the name of the table or size: the aim, and what was measured, None if it was not.
    figures: dict
    most: bool = False

    def verdict(self):
        """`met`, or where it is missed and what was not measured."""
        missed = [name for name, (aim, got) in self.figures.items()
                  if got is not None and (got > aim if self.most else got < aim)]
        absent = [name for name, (_, got) in self.figures.items() if got is None]
        said = (f"missed: {', '.join(missed)}" if missed else "met") if len(absent) < len(self.figures) else ""
        return "; ".join(part for part in (said, f"not measured: {', '.join(absent)}" if absent else "") if part)


def targets(measured):
    """The table of what keyrail is to reach. `measured` gives a row's and engine's `ns`, `ratio` to keyrail's time,
    `bytes_per_binding` and `build_ms`."""

    def of(table, keys, engine, what="ratio"):
        return measured.get((f"{table} {keys}", engine), {}).get(what)

    def sizes(prefix, kind, keys, aims, figure):
        """`figure` of each size that has an aim."""
        return {size: (aim, figure(f"{prefix}_{size}", f"{kind}_{size}.{keys}")) for size, aim in zip(SIZES, aims)}

    def ratio(*engines):
        """The fastest one's time in times of keyrail's."""
        def of_one(table, keys):
            found = [of(table, keys, engine) for engine in engines]
            return min((each for each in found if each is not None), default=None)
        return of_one

    def inverse(engine):
        """keyrail's time in times of another's."""
        def of_one(table, keys):
            found = of(table, keys, engine)
            return found and 1 / found
        return of_one

    for engine, aims in {
        "qlobber": [11, 12, 7, 10, 25], "kombu": [50, 2000, 13000], "zenoh-keyexpr": [10, 90, 180, 700],
        "regex-set": [1.8, 8, 24],
    }.items():
        yield Target("topic", "unique", f"times as fast as {engine}", sizes("topic", "topic", "uniq", aims, ratio(engine)))
    yield Target("topic", "unique", "times as fast as RabbitMQ's trie, as recorded",
                 sizes("topic", "topic", "uniq", [60, 140, 95, 80, 70], ratio("rabbitmq-trie")))
    yield Target("topic", "repeated", "times as fast as qlobber",
                 sizes("topic", "topic", "zipf", [20, 25, 20, 30, 60], ratio("qlobber")))
    yield Target("topic", "repeated", "times the time of a bare foldhash look-up",
                 sizes("topic", "topic", "zipf", [2.5] * 5, inverse("foldhash")), most=True)
    yield Target("trailing #", "unique", "times as fast as the better of mqtt-topic-engine and quill-pubsub",
                 sizes("topicend", "topic", "uniq", [5, 5, 4.5, 3.5, 5], ratio("mqtt-topic-engine", "quill-pubsub")))
    for keys, name in (("uniq", "spread"), ("zipf", "repeated")):
        yield Target("direct", name, "times the time of a bare foldhash map",
                     sizes("direct", "direct", keys, [1.1, 1.1, 1.1, 1, 1], inverse("foldhash")), most=True)
    yield Target("fanout", "", "times the time of copying the ids",
                 {"100k": (2, inverse("copy")("fanout_100k", "fanout"))}, most=True)
    yield Target("headers", "typed", "times as fast as a scan", {"4k": (50, of("headers_4k", "headers_4k", "scan"))})
    hostile = [f"adv{number}" for number in (1, 2, 3, 4)]
    # What nothing was remembered for.
    cold = lambda name, engine: [of(name, name, who, "ns") for who in ("keyrail-no-cache", engine)]
    times = lambda over, under: over and under and over / under
    yield Target("adversarial", "matched anew", "times as fast as zenoh-keyexpr", {
        name: (aim, times(*reversed(cold(name, "zenoh-keyexpr")))) for name, aim in zip(hostile, (48, 28, 4000, 70))
    })
    yield Target("adversarial", "matched anew", "times the time of regex-set",
                 {name: (3, times(*cold(name, "regex-set"))) for name in hostile}, most=True)
    hashes = of("hashes", "hashes", "keyrail-no-cache", "ns")
    yield Target(HASHES[0], "254 bytes", "microseconds", {"": (10, hashes and hashes / 1e3)}, most=True)

    large, larger = (of(f"topic_{size}", f"topic_{size}.uniq", "keyrail", "ns") for size in ("100k", "1m"))
    yield Target("topic", "unique", "times the time at 100k", {"1m": (2.5, large and larger and larger / large)}, most=True)
    held = of("topic_1m", "topic_1m.uniq", "keyrail", "bytes_per_binding")
    yield Target("topic", "", "bytes a binding", {"1m": (160, held)}, most=True)
    wasm = {"1k": 2.2, "10k": 2.2, "100k": 2.2}
    for keys, name in (("uniq", "unique"), ("zipf", "repeated")):
        figure = lambda size: of(f"topic_{size}", f"topic_{size}.{keys}", "keyrail-wasm")
        yield Target("topic", name, "times native in WebAssembly, in batches",
                     {size: (aim, figure(size)) for size, aim in wasm.items()}, most=True)

    def npm(engine, keys, aims, mine="keyrail-npm"):
        """Another's time in times of the package's, of each size that has an aim."""
        found = {size: [of(f"topic_{size}", f"topic_{size}.{keys}", who) for who in (engine, mine)] for size in aims}
        return {size: (aim, times(*found[size])) for size, aim in aims.items()}

    four = lambda *aims: dict(zip(SIZES, aims))
    yield Target("topic", "unique", "times as fast as qlobber, the npm package", npm("qlobber", "uniq", four(3, 5, 4, 6)))
    yield Target("topic", "unique", "times as fast as qlobber, the npm package in batches of 64",
                 npm("qlobber", "uniq", four(4, 6, 4.5, 7), "keyrail-npm-batch"))
    yield Target("topic", "repeated", "times as fast as qlobber, the npm package",
                 npm("qlobber", "zipf", four(4.5, 6, 9, 15)))
    yield Target("topic", "repeated", "times as fast as qlobber behind a Map, the npm package",
                 npm("qlobber-map", "zipf", four(1, 1, 1, 1)))
    def against_qlobber(name):
        mine, theirs, said = of(name, name, "keyrail-npm", "ns"), of(name, name, "qlobber", "ns"), of(name, name, "qlobber", "said")
        return REFUSED if mine and (said or "").startswith("refuses ") else times(theirs, mine)

    yield Target("adversarial", "few keys again", "times as fast as qlobber, the npm package, or qlobber refuses the table or its keys",
                 {name: (1, against_qlobber(name)) for name in hostile})
    for keys, name in (("uniq", "unique"), ("zipf", "repeated")):
        figure = lambda size: of(f"topic_{size}", f"topic_{size}.{keys}", "keyrail-npm")
        yield Target("topic", name, "times native, the npm package",
                     {size: (2, figure(size)) for size in ("10k", "100k")}, most=True)
    figures = {}
    for size in ("1k", "10k"):
        one, two = (of(f"topic_{size}", f"topic_{size}.uniq", engine, "ns") for engine in THREADS)
        figures[size] = (1.7, one and two and one / two)
    yield Target("topic", "unique", "times the routes a second of one thread in two", figures)
