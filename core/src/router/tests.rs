use alloc::{format, string::String, vec::Vec};

use super::*;

fn topic(router: &mut Router, name: &str) -> ExchangeId {
    router.declare_exchange(name, Exchange::new(ExchangeKind::Topic)).unwrap()
}

fn names(router: &Router, exchange: ExchangeId, key: &str) -> Vec<String> {
    let mut routes = Routes::new();
    let _ = router.route(exchange, &Message::new(key), &mut routes);
    routes.into_iter().map(|queue| router.queue_name(queue).unwrap().into()).collect()
}

#[test]
fn unbinding_everything_leaves_nothing_behind() {
    let kinds = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Headers,
        ExchangeKind::Topic,
        ExchangeKind::Random,
    ];
    let keys = ["", "a", "a.*.#", "#", "a*", "x.y.z"];
    let arguments = Table::from_iter([("x-match", "any"), ("h", "v")]);
    for kind in kinds {
        let mut router = Router::new();
        let exchange = router.declare_exchange("x", Exchange::new(kind)).unwrap();
        let queues = ["q", "r"].map(|name| router.declare_queue(name, Queue::new()).unwrap());
        let bindings: Vec<_> = keys
            .iter()
            .flat_map(|key| {
                Dialect::ALL.map(|dialect| Binding::new(key).dialect(dialect).arguments(&arguments))
            })
            .collect();
        for binding in &bindings {
            for queue in queues {
                assert_eq!(router.bind(exchange, queue, binding), Ok(true), "{kind} {binding:?}");
                assert_eq!(router.bind(exchange, queue, binding), Ok(false), "{kind} {binding:?}");
            }
        }
        for binding in &bindings {
            for queue in queues {
                assert_eq!(router.unbind(exchange, queue, binding), Ok(true), "{kind} {binding:?}");
            }
        }
        assert!(router.exchange_entry(exchange).unwrap().index.is_empty(), "{kind}");
        assert!(router.identities.is_empty());
        assert_eq!(router.counts().2, 0);
    }
}

#[test]
fn an_unknown_id_is_an_answer_and_no_panic() {
    let mut router = Router::new();
    let gone = topic(&mut router, "gone");
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    assert_eq!(router.delete_exchange(gone), Ok(true));
    assert_eq!(router.delete_exchange(gone), Ok(false));
    let mut routes = Routes::new();
    for id in [gone, ExchangeId(77), ExchangeId(u32::MAX)] {
        assert_eq!(router.route(id, &Message::new("a"), &mut routes), Outcome::UnknownExchange);
        assert_eq!(router.explain(id, &Message::new("a"), &mut Trace::new()), Outcome::UnknownExchange);
        assert!(matches!(
            router.bind(id, queue, &Binding::new("a")),
            Err(BindError::ExchangeNotFound { .. })
        ));
    }
    let other = topic(&mut router, "other");
    assert!(matches!(
        router.bind(other, QueueId(9), &Binding::new("a")),
        Err(BindError::QueueNotFound { .. })
    ));
}

#[test]
fn one_result_serves_two_routers() {
    let mut small = Router::new();
    let exchange = topic(&mut small, "x");
    let queue = small.declare_queue("q", Queue::new()).unwrap();
    small.bind(exchange, queue, &Binding::new("#")).unwrap();
    let mut large = Router::new();
    let wide = topic(&mut large, "x");
    for at in 0..100 {
        let queue = large.declare_queue(&format!("q{at}"), Queue::new()).unwrap();
        large.bind(wide, queue, &Binding::new("a.*")).unwrap();
    }
    let mut routes = Routes::new();
    for _ in 0..3 {
        assert_eq!(large.route(wide, &Message::new("a.b"), &mut routes), Outcome::Routed);
        assert_eq!(routes.len(), 100);
        assert_eq!(small.route(exchange, &Message::new("a.b"), &mut routes), Outcome::Routed);
        assert_eq!(routes.queues(), [queue]);
    }
}

#[test]
fn revision_grows_with_every_change_and_only_then() {
    let mut router = Router::new();
    let mut last = router.revision();
    let mut grew = |router: &Router| core::mem::replace(&mut last, router.revision()) < router.revision();
    let exchange = topic(&mut router, "x");
    assert!(grew(&router));
    topic(&mut router, "x");
    assert!(!grew(&router));
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    assert!(grew(&router));
    router.bind(exchange, queue, &Binding::new("a")).unwrap();
    assert!(grew(&router));
    router.bind(exchange, queue, &Binding::new("a")).unwrap();
    assert!(!grew(&router));
    router.unbind(exchange, queue, &Binding::new("b")).unwrap();
    assert!(!grew(&router));
    router.delete_queue(queue);
    assert!(grew(&router));
}

#[test]
fn a_refused_binding_changes_nothing() {
    let mut router = Router::new();
    let exchange = router.declare_exchange("h", Exchange::new(ExchangeKind::Headers)).unwrap();
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    let before = router.revision();
    let bad = Table::from_iter([("x-match", "some")]);
    let long = "k".repeat(256);
    for (binding, code) in [
        (Binding::new("").arguments(&bad), "invalid-match-mode"),
        (Binding::new(&long), "key-too-long"),
        (Binding::new(b"\xff"), "key-not-utf8"),
    ] {
        assert_eq!(router.bind(exchange, queue, &binding).unwrap_err().code(), code);
    }
    router.set_limits(Limits::default().bindings(0));
    assert_eq!(router.bind(exchange, queue, &Binding::new("")).unwrap_err().code(), "table-full");
    assert_eq!((router.revision(), router.counts().2), (before, 0));
}

#[test]
fn rows_of_both_kombus_live_side_by_side() {
    let mut router = Router::new();
    let exchange = topic(&mut router, "stock");
    let queues = ["old", "new"].map(|name| router.declare_queue(name, Queue::new()).unwrap());
    let rows = [(r"^stock\..*?[^\.]$", Dialect::Kombu56), (r"^stock\.[^\.]+$", Dialect::Kombu57)];
    for (queue, (text, dialect)) in queues.into_iter().zip(rows) {
        router.bind(exchange, queue, &Binding::new("stock.*").dialect(dialect).pattern(text)).unwrap();
    }
    assert_eq!(names(&router, exchange, "stock.usd.nyse"), ["old"]);
    assert_eq!(names(&router, exchange, "stock.usd"), ["old", "new"]);
}

#[test]
fn a_binding_that_costs_too_much_is_taken_back() {
    let mut router = Router::new();
    let topic = topic(&mut router, "t");
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    router.bind(topic, queue, &Binding::new("a.*")).unwrap();
    let before = (router.revision(), router.counts(), router.worst_case(topic));
    router.set_limits(Limits::default().steps(1_000));
    for key in ["#.a.#.b.#.c.#.d.#", "#.*.#.*.#.*.#"] {
        let error = router.bind(topic, queue, &Binding::new(key)).unwrap_err();
        assert!(alloc::format!("{error}").contains(key), "{error}");
    }
    assert_eq!((router.revision(), router.counts(), router.worst_case(topic)), before);
    assert!(router.bind(topic, queue, &Binding::new("b.#")).unwrap());
    assert!(router.unbind(topic, queue, &Binding::new("a.*")).unwrap());
}

#[test]
fn a_remembered_answer_is_never_another_tables() {
    let mut router = Router::new();
    let topic = router.declare_exchange("t", Exchange::new(ExchangeKind::Topic)).unwrap();
    let queues = ["a", "b"].map(|name| router.declare_queue(name, Queue::new()).unwrap());
    router.bind(topic, queues[0], &Binding::new("k.#")).unwrap();
    let mut copy = router.clone();
    let mut routes = Routes::new();
    let mut route = |router: &Router| {
        let outcomes: Vec<_> =
            (0..3).map(|_| router.route(topic, &Message::new("k.1"), &mut routes)).collect();
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
        routes.queues().to_vec()
    };
    assert_eq!(route(&router), [queues[0]]);
    // The copy and the original change once each, and so have the same revision again.
    router.bind(topic, queues[1], &Binding::new("k.*")).unwrap();
    copy.unbind(topic, queues[0], &Binding::new("k.#")).unwrap();
    assert_eq!(router.revision(), copy.revision());
    for _ in 0..3 {
        assert_eq!(route(&router), queues);
        assert!(route(&copy).is_empty());
    }
    router.delete_queue(queues[0]);
    assert_eq!(route(&router), [queues[1]]);
}

#[test]
fn what_is_remembered_is_what_is_matched() {
    let mut router = Router::new();
    let topic = router.declare_exchange("t", Exchange::new(ExchangeKind::Topic)).unwrap();
    for n in 0..200 {
        let queue = router.declare_queue(&alloc::format!("q{n}"), Queue::new()).unwrap();
        for key in [alloc::format!("*.{n}.#"), alloc::format!("#.{}", n % 7), alloc::format!("{}.*.*", n % 3)]
        {
            router.bind(topic, queue, &Binding::new(&key)).unwrap();
        }
    }
    let (mut kept, mut anew) = (Routes::new(), Routes::without_memory());
    // Some keys come often, most of forty thousand once: memory fills and old answers go.
    let mut noise = 1_u64;
    for _ in 0..150_000 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = if noise >> 62 == 0 { noise >> 40 } else { noise >> 55 };
        let key = alloc::format!("{}.{}.{}", n % 3, n % 211, n % 40_000);
        let message = Message::new(&key);
        assert_eq!(router.route(topic, &message, &mut kept), router.route(topic, &message, &mut anew));
        assert_eq!(kept.queues(), anew.queues(), "{key}");
    }
}
