//! What a fuzz target does with its input, one function each: reads it as its importer does, and asserts of what is taken
//! that it comes back the same and is safe to use.
//!
//! The targets and `tests/tests/corpus.rs` both compile this file, so that the files of the corpus go the way that the
//! fuzzer goes.

#![allow(dead_code)] // A program takes one of them.

use std::{fmt::Display, path::Path};

use keyrail_core::{
    Definitions, Dialect, ExchangeKind, FollowError, Follower, Limits, Message, Operation, Policy, Queue,
    Router, Routes, Source, Topology, Update,
    kombu::{
        BindingSets, BindingTable, CeleryConfig, ForeignPattern, GluedPattern, Json, Layout, Member,
        Received, Recognised, recognise, translate,
    },
};
use keyrail_workload::{Bindings, Keys, Kind, Loaded};
use serde::de::DeserializeOwned;

/// Takes the input, or says why not.
pub(crate) type Target = fn(&[u8]) -> Result<(), String>;

/// Every target under the name of its program and of its folder in `tests/corpus`.
pub(crate) const ALL: [(&str, Target); 12] = [
    ("topology", topology),
    ("definitions", definitions),
    ("lines", lines),
    ("kombu", kombu),
    ("celery", celery),
    ("snapshot", snapshot),
    ("update", update),
    ("operations", operations),
    ("pattern", pattern),
    ("rows", rows),
    ("envelope", envelope),
    ("workload", workload),
];

/// keyrail's JSON.
pub(crate) fn topology(bytes: &[u8]) -> Result<(), String> {
    let topology: Topology = json(bytes)?;
    let written = serde_json::to_string(&topology).unwrap();
    assert_eq!(json::<Topology>(written.as_bytes()).unwrap(), topology);
    let router = topology.router().map_err(shown)?;
    assert_rebuilt(&router);
    Ok(())
}

/// RabbitMQ's definitions: every virtual host, and written again.
pub(crate) fn definitions(bytes: &[u8]) -> Result<(), String> {
    let mut definitions: Definitions = json(bytes)?;
    let vhosts: Vec<String> = definitions.vhosts().into_iter().map(Into::into).collect();
    for vhost in vhosts {
        let Ok(topology) = definitions.topology(&vhost) else { continue };
        if definitions.set_topology(&vhost, &topology).is_ok() {
            assert_eq!(definitions.topology(&vhost).unwrap(), topology);
        }
        let _ = topology.router();
    }
    definitions.topology("/").map_err(shown)?.router().map_err(shown)?;
    Ok(())
}

/// Lines that people write.
pub(crate) fn lines(bytes: &[u8]) -> Result<(), String> {
    let topology = Topology::from_lines(text(bytes)?).map_err(shown)?;
    assert_eq!(Topology::from_lines(&topology.to_lines()).unwrap(), topology);
    topology.router().map_err(shown)?;
    Ok(())
}

/// A dump of Kombu's binding sets.
pub(crate) fn kombu(bytes: &[u8]) -> Result<(), String> {
    let sets: BindingSets = json(bytes)?;
    let layout = Layout::default();
    let topology = sets.topology(&layout, &Default::default()).map_err(shown)?;
    let _ = BindingSets::of(&topology, &layout, Dialect::Kombu57);
    topology.router().map_err(shown)?;
    Ok(())
}

/// Celery's settings.
pub(crate) fn celery(bytes: &[u8]) -> Result<(), String> {
    let config: CeleryConfig = json(bytes)?;
    config.topology(Dialect::Kombu57).map_err(shown)?.router().map_err(shown)?;
    Ok(())
}

/// A snapshot, also with the right head and checksum around wrong bytes.
pub(crate) fn snapshot(bytes: &[u8]) -> Result<(), String> {
    let taken = load(bytes);
    let _ = load(&seal(bytes));
    taken
}

/// What is taken answers as if it had been declared and bound.
fn load(bytes: &[u8]) -> Result<(), String> {
    let router = Router::from_snapshot(bytes).map_err(shown)?;
    let again = Router::from_snapshot(&router.snapshot()).unwrap();
    assert_eq!(Topology::of(&again), Topology::of(&router));
    assert_rebuilt(&router);
    Ok(())
}

/// The bytes as the content of a snapshot, since no fuzzer finds a checksum.
fn seal(content: &[u8]) -> Vec<u8> {
    // Whatever the version is.
    let mut bytes = Router::new().snapshot()[..9].to_vec();
    bytes.extend_from_slice(content);
    let checksum = xxhash_rust::xxh64::xxh64(&bytes, 0);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// What brings a copy up to date, as JSON: followed, or nothing is changed, or a snapshot is asked for.
pub(crate) fn update(bytes: &[u8]) -> Result<(), String> {
    let update: Update = json(bytes)?;
    let mut router = Router::new();
    router.declare_queue("audit", Queue::new()).unwrap();
    let source = Source::new(router, 7, 10);
    let mut follower = Follower::new();
    follower.follow(source.since(None)).unwrap();
    let (before, position) = (Topology::of(follower.router()), follower.position());
    match follower.follow(update) {
        Ok(()) => {
            assert_rebuilt(follower.router());
            Ok(())
        }
        Err(error) => {
            match error {
                FollowError::Diverged { .. } => assert_eq!(follower.position(), None),
                _ => {
                    assert_eq!((Topology::of(follower.router()), follower.position()), (before, position));
                }
            }
            // Whatever went wrong: the next answer of the source mends it.
            follower.follow(source.since(follower.position())).unwrap();
            assert_eq!(Topology::of(follower.router()), Topology::of(source.router()));
            Err(shown(error))
        }
    }
}

/// A list of operations: those that are refused change nothing.
pub(crate) fn operations(bytes: &[u8]) -> Result<(), String> {
    let operations: Vec<Operation> = json(bytes)?;
    let written = serde_json::to_string(&operations).unwrap();
    assert_eq!(json::<Vec<Operation>>(written.as_bytes()).unwrap(), operations);
    let mut router = Router::new();
    let mut refused = Ok(());
    for operation in &operations {
        let before = router.revision();
        if let Err(error) = router.apply(operation) {
            assert_eq!(router.revision(), before);
            refused = refused.and(Err(shown(error)));
        }
    }
    assert_rebuilt(&router);
    refused
}

/// A stored regular expression, and the same text as a binding key and as a policy's pattern.
pub(crate) fn pattern(bytes: &[u8]) -> Result<(), String> {
    let text = text(bytes)?;
    // As long as AMQP's longest: matching takes the length of one times that of the other.
    let key = &bytes[..bytes.len().min(255)];
    let _ = Policy::new(text);
    for dialect in [Dialect::Amqp, Dialect::Kombu57, Dialect::Kombu56] {
        if let Ok(stored) = translate(text, dialect) {
            // AMQP's rules are keyrail's to write; what Kombu writes is always known again.
            let known = recognise(&stored).unwrap_or_else(|| panic!("{text:?} became {stored:?}"));
            if let Recognised::Words { key, dialect } = known {
                assert_eq!(translate(&key, dialect).unwrap(), stored);
            }
        }
        if let Ok(glued) = GluedPattern::compile(text, dialect) {
            glued.matches(key);
            assert_eq!(glued.key(), text);
        }
    }
    if recognise(text).is_some() {
        return Ok(());
    }
    let foreign = ForeignPattern::compile(text).map_err(shown)?;
    foreign.matches(key);
    foreign.matches(b"a.b");
    Ok(())
}

/// The rows of a binding table, one a line: bad ones go to quarantine.
pub(crate) fn rows(bytes: &[u8]) -> Result<(), String> {
    let rows: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).collect();
    let layout = Layout::default();
    for row in &rows {
        if let Ok(member) = Member::parse(row, &layout.sep) {
            assert_eq!(member.to_bytes(&layout.sep).unwrap(), *row);
        }
    }
    let mut refused = Ok(());
    for kind in [None, Some(ExchangeKind::Direct), Some(ExchangeKind::Fanout), Some(ExchangeKind::Topic)] {
        let table = BindingTable::read("events", kind, &rows, &layout).map_err(shown)?;
        assert!(table.quarantine.len() <= rows.len());
        assert_rebuilt(&table.router);
        if let (None, Some(row)) = (kind, table.quarantine.first()) {
            refused = Err(shown(&row.error));
        }
    }
    refused
}

/// A message as it lies in a list of Redis.
pub(crate) fn envelope(bytes: &[u8]) -> Result<(), String> {
    let json: Json = json(bytes)?;
    let _ = json.to_python();
    let received = Received::read(json).map_err(shown)?;
    let _ = received.priority();
    Ok(())
}

/// A table of the benchmarks.
pub(crate) fn workload(bytes: &[u8]) -> Result<(), String> {
    let bindings = Bindings::from_bytes(Path::new("t.tbl"), bytes.to_vec()).map_err(shown)?;
    Keys::from_bytes(bytes.to_vec()).iter().for_each(drop);
    let mut refused = Ok(());
    for kind in [Kind::Topic, Kind::Direct, Kind::Fanout, Kind::Headers] {
        match Loaded::new(kind, &bindings) {
            Ok(loaded) => assert_rebuilt(loaded.router()),
            Err(error) if kind == Kind::Topic => refused = Err(error.reason),
            Err(_) => {}
        }
    }
    refused
}

/// A router out of this one's content, declared and bound one by one, answers alike, and so does one that is loaded.
fn assert_rebuilt(router: &Router) {
    let loaded = Router::from_snapshot(&router.snapshot()).unwrap();
    let bound = match Topology::of(router).router() {
        // The order of a ring's buckets tells what was unbound before.
        Ok(_) if router.exchanges().any(|(.., it)| it.kind() == ExchangeKind::ConsistentHash) => None,
        Ok(bound) => Some(bound),
        Err(error) => {
            assert_ne!(router.limits(), Limits::default(), "{error}");
            None
        }
    };
    let mut keys: Vec<Vec<u8>> = vec![Vec::new(), b"a".to_vec(), b"a.b".to_vec()];
    for binding in router.bindings().take(12) {
        let key = String::from_utf8_lossy(binding.key);
        keys.push(key.replace('*', "w").into_bytes());
        keys.push(key.replace('#', "w.w").into_bytes());
        keys.push(key.replace(".#", "").into_bytes());
    }
    let mut routes = Routes::new();
    let mut queues = |router: &Router, name: &str, key: &[u8]| queues(router, name, key, &mut routes);
    for (_, name, _) in router.exchanges().take(6) {
        for key in &keys {
            let expected = queues(router, name, key);
            if let Some(bound) = &bound {
                assert_eq!(queues(bound, name, key), expected, "bound: {name:?} {key:?}");
            }
            assert_eq!(queues(&loaded, name, key), expected, "loaded: {name:?} {key:?}");
        }
    }
}

fn queues(router: &Router, exchange: &str, key: &[u8], routes: &mut Routes) -> Vec<String> {
    let Some(exchange) = router.exchange(exchange) else { return Vec::new() };
    let _ = router.route(exchange, &Message::new(key), routes);
    let mut names: Vec<_> =
        routes.into_iter().map(|queue| router.queue_name(queue).unwrap().to_string()).collect();
    names.sort_unstable();
    names
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    str::from_utf8(bytes).map_err(shown)
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_str(text(bytes)?).map_err(shown)
}

fn shown(error: impl Display) -> String {
    error.to_string()
}
