use alloc::{format, string::ToString, vec, vec::Vec};

use super::*;
use crate::{
    Binding, Dialect, Exchange, ExchangeKind, Limits, Message, Queue, Routes, Table, Topology, Value,
};

fn every_value() -> Table {
    let inner = Table::from_iter([("list", Value::Array(vec![Value::Void, Value::Bool(true)]))]);
    let values = [
        Value::from("text"),
        Value::ByteArray([0xff, 0].into()),
        Value::I8(-1),
        Value::U8(255),
        Value::I16(-2),
        Value::U16(65_535),
        Value::I32(i32::MIN),
        Value::U32(u32::MAX),
        Value::I64(i64::MIN),
        Value::Timestamp(u64::MAX),
        Value::F32(0.1),
        Value::F64(1e300),
        Value::Decimal { scale: 2, digits: 314 },
        Value::Bool(false),
        Value::Void,
        inner.into(),
    ];
    values.into_iter().enumerate().map(|(at, value)| (format!("k{at}"), value)).collect()
}

/// A router with something of everything, and gaps among its ids.
fn varied() -> Router {
    let mut router = Router::with_predeclared_exchanges();
    router.set_limits(Limits::default().key_bytes(1000));
    let gone = router.declare_exchange("gone", Exchange::new(ExchangeKind::Topic)).unwrap();
    let exchanges: Vec<_> = ExchangeKind::ALL
        .into_iter()
        .map(|kind| {
            let exchange = Exchange::new(kind).durable(true).internal(kind == ExchangeKind::Fanout);
            router.declare_exchange(&format!("e {kind}"), exchange.alternate("e fanout")).unwrap()
        })
        .collect();
    let queues: Vec<_> = (0..8)
        .map(|at| {
            let arguments = if at == 0 { every_value() } else { Table::new() };
            let queue = Queue::new().exclusive(at == 3).arguments(arguments);
            router.declare_queue(&format!("q{at}"), queue).unwrap()
        })
        .collect();
    let arguments = Table::from_iter([("x-match", "any"), ("k0", "text")]);
    for (at, queue) in queues.iter().enumerate() {
        for exchange in &exchanges {
            let key = format!("{}", at + 1);
            router.bind(*exchange, *queue, &Binding::new(&key)).unwrap();
            router.bind(*exchange, *queue, &Binding::new(&key).arguments(&arguments)).unwrap();
        }
        router.bind(exchanges[3], *queue, &Binding::new("a.*.#").dialect(Dialect::Kombu56)).unwrap();
        let stored = Binding::new("x").dialect(Dialect::Kombu57).pattern(r"^a\.[^\.]+$");
        router.bind(exchanges[3], *queue, &stored).unwrap();
        router.bind(gone, *queue, &Binding::new("")).unwrap();
    }
    router.bind(exchanges[0], exchanges[3], &Binding::new("on")).unwrap();
    router.delete_exchange(gone).unwrap();
    router.delete_queue(queues[2]);
    // The ring is no longer in the order of the bindings, and `q5` has a binding and no bucket.
    let hash = exchanges[4];
    router.unbind(hash, queues[0], &Binding::new("1")).unwrap();
    router.unbind(hash, queues[0], &Binding::new("1").arguments(&arguments)).unwrap();
    router.bind(hash, queues[0], &Binding::new("3")).unwrap();
    router.unbind(hash, queues[5], &Binding::new("6")).unwrap();
    #[cfg(feature = "regex")]
    router.set_policy("p", crate::Policy::new("^e d").unwrap().priority(-3).alternate("e topic"));
    router
}

fn routes(router: &Router, exchange: &str, message: &Message<'_>) -> Vec<alloc::string::String> {
    let mut routes = Routes::new();
    let _ = router.route(router.exchange(exchange).unwrap(), message, &mut routes);
    routes.into_iter().map(|queue| router.queue_name(queue).unwrap().to_string()).collect()
}

#[test]
fn a_loaded_router_is_the_one_that_was_saved() {
    let router = varied();
    let bytes = router.snapshot();
    let mut copy = Router::from_snapshot_with_seed(&bytes, 99).unwrap();
    assert_eq!(Topology::of(&copy), Topology::of(&router));
    assert_eq!((copy.revision(), copy.limits()), (router.revision(), router.limits()));
    assert_eq!(copy.snapshot(), bytes);
    let headers = every_value();
    for (_, exchange, _) in router.exchanges() {
        for at in 0..200 {
            let key = ["1", "3", "on", "a.b", "a.b.c", "", "x", "q1"][at % 8];
            let id = format!("m{at}");
            let key = if exchange.ends_with("hash") { &*id } else { key };
            let message = Message::new(key).headers(&headers).unwrap();
            assert_eq!(
                routes(&copy, exchange, &message),
                routes(&router, exchange, &message),
                "{exchange} {key}"
            );
        }
    }
    // Nothing is bound twice, and everything can be unbound.
    let topology = Topology::of(&copy);
    for binding in &topology.bindings {
        let (source, destination) =
            (copy.exchange(&binding.source).unwrap(), binding.destination.find(&copy).unwrap());
        assert_eq!(copy.bind(source, destination, &binding.binding()), Ok(false));
        assert_eq!(copy.unbind(source, destination, &binding.binding()), Ok(true));
    }
    assert_eq!(copy.counts().2, 0);
}

#[test]
fn an_empty_router_is_small() {
    let bytes = Router::new().snapshot();
    assert!(bytes.len() < 64, "{}", bytes.len());
    assert_eq!(Router::from_snapshot(&bytes).unwrap().counts(), (1, 0, 0));
}

#[test]
fn what_is_cut_off_or_damaged_is_refused() {
    let bytes = varied().snapshot();
    for length in 0..bytes.len() {
        assert!(Router::from_snapshot(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(Router::from_snapshot(&damaged).is_err(), "{at}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Router::from_snapshot(&longer).unwrap_err(), SnapshotError::Damaged);
    assert_eq!(Router::from_snapshot(b"{}").unwrap_err().code(), "no-snapshot");
}

/// Puts the right checksum under changed bytes, as an attacker would.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - CHECKSUM);
    let checksum = xxhash_rust::xxh64::xxh64(&bytes, 0);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

#[test]
fn hostile_bytes_with_a_right_checksum_never_panic() {
    let bytes = varied().snapshot();
    let mut refused = 0;
    for at in MAGIC.len()..bytes.len() - CHECKSUM {
        let values = [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)];
        for value in [values[at % 6], values[(at + 3) % 6]] {
            let mut hostile = bytes.clone();
            hostile[at] = value;
            if let Ok(router) = Router::from_snapshot(&sealed(hostile)) {
                // What is taken is sound: it can be saved and taken again.
                let again = Router::from_snapshot(&router.snapshot()).unwrap();
                assert_eq!(Topology::of(&again), Topology::of(&router), "{at} {value}");
            } else {
                refused += 1;
            }
        }
    }
    assert!(refused > bytes.len() / 4, "{refused}");
}

#[test]
fn what_is_not_known_is_refused() {
    let bytes = Router::new().snapshot();
    let mut newer = bytes.clone();
    newer[MAGIC.len()] = 3;
    let error = Router::from_snapshot(&sealed(newer)).unwrap_err();
    assert_eq!(error, SnapshotError::UnknownVersion { found: 3 });
    let mut further = bytes.clone();
    further.truncate(bytes.len() - CHECKSUM);
    further.extend([8, 0]);
    further.extend([0; CHECKSUM]);
    let error = Router::from_snapshot(&sealed(further)).unwrap_err();
    assert_eq!(error.to_string(), "malformed snapshot, sections: something follows its end");
    let mut reordered = bytes;
    reordered[MAGIC.len() + 1] = 3;
    let error = Router::from_snapshot(&sealed(reordered)).unwrap_err();
    assert!(error.to_string().contains("section 3 is where section 1 (head)"), "{error}");
}

#[test]
fn nothing_is_there_twice() {
    let mut router = Router::new();
    for name in ["aa", "ab"] {
        router.declare_queue(name, Queue::new()).unwrap();
    }
    let bytes = router.snapshot();
    let at = bytes.windows(2).position(|pair| pair == b"ab").unwrap();
    let mut twice = bytes;
    twice[at + 1] = b'a';
    let error = Router::from_snapshot(&sealed(twice)).unwrap_err();
    assert_eq!(error.to_string(), "malformed snapshot, queues[1]: it is there twice");
}

/// A topic table by the numbers of its words answers, and is told apart, unbound and bound as the one that was saved.
#[test]
fn patterns_by_number_are_patterns_by_text() {
    let words = ["a", "b", "", "*", "#", "nine-long", "é"];
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for round in 0..30 {
        let mut router = Router::with_seed(round);
        router.set_limits(Limits::default().key_bytes(2000));
        let exchanges =
            ["x", "y"].map(|name| router.declare_exchange(name, Exchange::new(ExchangeKind::Topic)).unwrap());
        let queues: Vec<_> =
            (0..5).map(|at| router.declare_queue(&format!("q{at}"), Queue::new()).unwrap()).collect();
        for _ in 0..120 {
            let most = if below(20) == 0 { 90 } else { 6 };
            let length = below(most);
            let key: Vec<&str> = (0..length).map(|_| words[below(words.len())]).collect();
            let (exchange, key) = (exchanges[below(2)], key.join("."));
            let bound = match below(9) {
                0 => router.bind(exchange, exchanges[below(2)], &Binding::new(&key)),
                _ => router.bind(exchange, queues[below(5)], &Binding::new(&key)),
            };
            bound.unwrap();
        }
        let mut copy = Router::from_snapshot_with_seed(&router.snapshot(), round + 7).unwrap();
        assert_eq!(Topology::of(&copy), Topology::of(&router));
        assert_eq!(copy.snapshot(), router.snapshot());
        for _ in 0..200 {
            let key: Vec<&str> = (0..below(7)).map(|_| words[below(words.len())]).collect();
            let (exchange, key) = (["x", "y"][below(2)], key.join("."));
            let message = Message::new(&key);
            assert_eq!(routes(&copy, exchange, &message), routes(&router, exchange, &message), "{key:?}");
            let explained = [&copy, &router].map(|router| {
                let mut trace = crate::Trace::new().with_near_misses(5);
                let outcome = router.explain(router.exchange(exchange).unwrap(), &message, &mut trace);
                (outcome, trace.to_string())
            });
            assert_eq!(explained[0], explained[1]);
            // What comes and goes after loading does so on both.
            let (from, to) = (exchanges[below(2)], queues[below(5)]);
            let bind = below(2) == 0;
            let changed = [&mut copy, &mut router].map(|router| match bind {
                true => router.bind(from, to, &Binding::new(&key)),
                false => router.unbind(from, to, &Binding::new(&key)),
            });
            assert_eq!(changed[0], changed[1]);
        }
        for binding in Topology::of(&copy).bindings {
            let (source, destination) =
                (copy.exchange(&binding.source).unwrap(), binding.destination.find(&copy).unwrap());
            assert_eq!(copy.unbind(source, destination, &binding.binding()), Ok(true));
        }
        assert!(exchanges.iter().all(|id| copy.exchange_entry(*id).unwrap().index.is_empty()));
    }
}
