//! Tables and keys that somebody chose to do harm: answered correctly, without a panic, and built in a time that grows
//! with the number of bindings and no faster.

use std::time::Duration;

use keyrail_core::{
    BindError, Binding, Exchange, ExchangeId, ExchangeKind, Message, Outcome, Queue, QueueId, Router, Routes,
};
use keyrail_workload::{Hash, cpu_time, topic_matches};

struct Table {
    router: Router,
    exchange: ExchangeId,
    queues: Vec<QueueId>,
    routes: Routes,
}

impl Table {
    fn new(kind: ExchangeKind, queues: usize) -> Self {
        let mut router = Router::new();
        let exchange = router.declare_exchange("e", Exchange::new(kind)).unwrap();
        let queues =
            (0..queues).map(|name| router.declare_queue(&name.to_string(), Queue::new()).unwrap()).collect();
        Table { router, exchange, queues, routes: Routes::new() }
    }

    fn bind(&mut self, queue: usize, key: impl AsRef<[u8]>) {
        let binding = Binding::new(key.as_ref());
        assert_eq!(self.router.bind(self.exchange, self.queues[queue], &binding), Ok(true));
    }

    fn unbind(&mut self, queue: usize, key: impl AsRef<[u8]>) {
        let binding = Binding::new(key.as_ref());
        assert_eq!(self.router.unbind(self.exchange, self.queues[queue], &binding), Ok(true));
    }

    /// The numbers of the queues, sorted; routed twice, as what is remembered has to be right as well.
    fn route(&mut self, key: impl AsRef<[u8]>) -> Vec<usize> {
        let mut answers = [(); 2].map(|()| {
            let outcome = self.router.route(self.exchange, &Message::new(key.as_ref()), &mut self.routes);
            assert_eq!(outcome == Outcome::Routed, !self.routes.is_empty());
            self.routes.queues().to_vec()
        });
        assert_eq!(answers[0], answers[1]);
        let first = self.queues.first().map_or(0, |queue| queue.index());
        answers[0].sort_unstable();
        // INVARIANT: ids of a router that nothing was deleted from count up.
        answers[0].iter().map(|queue| (queue.index() - first) as usize).collect()
    }
}

/// CPU time of sixteen times as much against that of once: 16 if it is linear, 256 if it is quadratic. Caches that are
/// outgrown make it two or three times as much as linear.
fn grows_linearly(what: &str, small: usize, build: impl Fn(usize) -> Table) -> Table {
    let timed = |size| {
        let start = cpu_time();
        let table = build(size);
        (table, cpu_time() - start)
    };
    let (_, short) = timed(small);
    let (table, long) = timed(16 * small);
    let floor = Duration::from_millis(1);
    println!("{what}: {small} in {short:?}, sixteen times as many in {long:?}");
    assert!(
        long < 16 * 8 * short.max(floor),
        "{what}: {small} take {short:?}, sixteen times as many {long:?}"
    );
    table
}

#[test]
fn a_million_bindings_match_everything() {
    const ALL: usize = 1_000_000;
    let mut table = grows_linearly("bindings of `#`", ALL / 16, |size| {
        let mut table = Table::new(ExchangeKind::Topic, size);
        (0..size).for_each(|queue| table.bind(queue, "#"));
        table
    });
    for key in ["", "a", "a.b.c"] {
        assert_eq!(table.route(key).len(), ALL, "{key}");
    }
    // From the front, the middle and the end.
    let gone = [0, 1, ALL / 2, ALL - 1];
    gone.iter().for_each(|queue| table.unbind(*queue, "#"));
    let left = table.route("a");
    assert_eq!(left.len(), ALL - gone.len());
    assert!(gone.iter().all(|queue| left.binary_search(queue).is_err()));
}

#[test]
fn bindings_that_differ_in_their_last_byte_are_told_apart() {
    // The longest allowed: all of it is alike but the end.
    let ends = (b'!'..=b'~').filter(|end| !b"*#.".contains(end));
    let distinct: Vec<_> = ends.map(|end| format!("{}{}", "w.".repeat(127), char::from(end))).collect();
    for kind in [ExchangeKind::Topic, ExchangeKind::Direct] {
        let name = format!("long bindings of a {kind} exchange");
        let mut table = grows_linearly(&name, 200_000 / 16, |size| {
            let mut table = Table::new(kind, size);
            (0..size).for_each(|queue| table.bind(queue, &distinct[queue % distinct.len()]));
            table
        });
        let all: usize = distinct.iter().map(|key| table.route(key).len()).sum();
        assert_eq!(all, 200_000, "{kind}");
        let queues = table.route(&distinct[7]);
        assert!(queues.iter().all(|queue| distinct[queue % distinct.len()] == distinct[7]));
        assert_eq!(table.route(&distinct[7][..254]), [] as [usize; 0]);
    }
}

/// One word is all that differs, and it is the last: nothing that looks at a beginning tells them apart.
#[test]
fn bindings_that_differ_in_their_last_word_are_told_apart() {
    let key = |queue: usize| format!("{}{queue:06}", "a.".repeat(124));
    let mut table = grows_linearly("bindings with a common beginning", 200_000 / 16, |size| {
        let mut table = Table::new(ExchangeKind::Topic, size);
        (0..size).for_each(|queue| table.bind(queue, key(queue)));
        table
    });
    for queue in [0, 1, 99_999, 199_999] {
        assert_eq!(table.route(key(queue)), [queue]);
    }
    assert_eq!(table.route(key(200_000)), [] as [usize; 0]);
}

/// 255 bytes of which each is a dot, a letter or a wildcard: as many words as a key can have.
#[test]
fn keys_of_256_words_are_matched_by_the_definition() {
    let patterns: Vec<String> = [
        ".".repeat(255),
        ".".repeat(254),
        format!("{}*", "*.".repeat(127)),
        format!("{}#", "#.".repeat(127)),
        format!("{}#", "*.".repeat(127)),
        format!("#{}", ".".repeat(254)),
        format!("{}#", ".".repeat(254)),
        format!("{}#{}", ".".repeat(127), ".".repeat(127)),
        format!("{}*{}", ".".repeat(127), ".".repeat(127)),
        format!("{}a", "#..".repeat(84)),
        format!("{}z", "#.a.".repeat(63)),
        format!("#.{}a.#", "a.".repeat(125)),
        format!("{}#.b", "*.#.".repeat(62)),
        "#".into(),
        "*".into(),
        String::new(),
    ]
    .into();
    let keys: Vec<String> = [
        ".".repeat(255),
        ".".repeat(254),
        format!("{}a", ".".repeat(254)),
        format!("a{}", ".".repeat(254)),
        format!("{}a{}", ".".repeat(127), ".".repeat(127)),
        format!("{}a", "a.".repeat(127)),
        format!("{}b", "a.".repeat(127)),
        format!("{}z", "a.".repeat(127)),
        format!("{}b", ".a".repeat(127)),
        "x".repeat(255),
        "a".into(),
        String::new(),
    ]
    .into();
    let mut table = Table::new(ExchangeKind::Topic, patterns.len());
    for (queue, pattern) in patterns.iter().enumerate() {
        assert!(pattern.len() <= 255, "{}", pattern.len());
        table.bind(queue, pattern);
    }
    let matches =
        |pattern: &String, key: &String| topic_matches(pattern.as_bytes(), key.as_bytes(), Hash::ZeroOrMore);
    let mut found = 0;
    for key in &keys {
        let expected: Vec<_> = (0..patterns.len()).filter(|at| matches(&patterns[*at], key)).collect();
        assert_eq!(table.route(key), expected, "{key}");
        found += expected.len();
    }
    assert!(found > 2 * keys.len(), "{found}");
    // One byte more is refused by name, in a binding and in a publish.
    let long = ".".repeat(256);
    let refused = table.router.bind(table.exchange, table.queues[0], &Binding::new(&long));
    assert_eq!(refused, Err(BindError::KeyTooLong { length: 256, limit: 255 }));
    assert!(table.router.message("e", &long, None).is_err());
}

/// An empty word is a word: `*` takes it, and it is equal to another one only.
#[test]
fn empty_words_are_words() {
    let words = ["", "a", "*", "#"];
    let mut patterns: Vec<String> = Vec::new();
    for first in words {
        patterns.push(first.into());
        for second in words {
            patterns.push(format!("{first}.{second}"));
            patterns.extend(words.map(|third| format!("{first}.{second}.{third}")));
        }
    }
    let mut table = Table::new(ExchangeKind::Topic, patterns.len());
    for (queue, pattern) in patterns.iter().enumerate() {
        table.bind(queue, pattern);
    }
    for key in ["", ".", "..", "...", "a", "a.", ".a", "a..", "..a", ".a.", "a.a", "a.b.", "b"] {
        let matches = |at: &usize| topic_matches(patterns[*at].as_bytes(), key.as_bytes(), Hash::ZeroOrMore);
        let expected: Vec<_> = (0..patterns.len()).filter(matches).collect();
        assert_eq!(table.route(key), expected, "`{key}`");
    }
}

/// AMQP's keys are bytes. Routing takes any; a binding that is no UTF-8 is refused by name, since no topology that is
/// written down could hold it.
#[test]
fn routing_keys_may_be_any_bytes() {
    let mut table = Table::new(ExchangeKind::Topic, 5);
    for (queue, pattern) in ["#", "a.*", "*.é", "#.é.#", "\u{fffd}"].iter().enumerate() {
        table.bind(queue, pattern);
    }
    for (key, expected) in [
        (&b"\xff"[..], &[0][..]),
        (b"a.\xff\xfe\x00", &[0, 1]),
        (b"\x80.\xc3\xa9", &[0, 2, 3]),
        (b"\xc3", &[0]),
        (b"\xc3.\xa9", &[0]),
        (b"a.b.\xc3\xa9.\xed\xa0\x80", &[0, 3]),
        ("\u{fffd}".as_bytes(), &[0, 4]),
        (&[0; 255], &[0]),
        (&[0xff; 255], &[0]),
    ] {
        assert_eq!(table.route(key), expected, "{}", key.escape_ascii());
    }
    for kind in [ExchangeKind::Topic, ExchangeKind::Direct] {
        let mut table = Table::new(kind, 1);
        let refused = table.router.bind(table.exchange, table.queues[0], &Binding::new(&b"a.\xff"[..]));
        assert_eq!(refused.map_err(|error| error.code()), Err("key-not-utf8"));
        assert_eq!(table.router.counts().2, 0);
        assert_eq!(table.route(b"a.\xff"), [] as [usize; 0]);
    }
}
