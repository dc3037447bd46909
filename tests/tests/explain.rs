//! Explanations against the naive model: what is named is what happens, and a suggestion does what it promises.

mod random;

use std::collections::BTreeSet;

use keyrail_core::{
    Binding, BindingDefinition, Buckets, ByteString, DestinationName, Exchange, ExchangeKind, How, MatchMode,
    Message, Mismatch, NearMiss, Queue, Router, Routes, Trace, Value, Verdict, WordKind,
};
use proptest::{collection::vec, prelude::*};
use random::*;

/// Exchanges that choose, as lists: the bindings in their order, and the binding that brought each bucket.
#[derive(Debug, Default)]
struct Chosen {
    bound: Vec<(String, String)>,
    buckets: Vec<(String, String)>,
}

impl Chosen {
    fn bind(&mut self, queue: &str, weight: usize) {
        let row = (queue.to_owned(), weight.to_string());
        if self.bound.contains(&row) {
            return;
        }
        if !self.buckets.iter().any(|(owner, _)| owner == queue) {
            self.buckets.extend(std::iter::repeat_n(row.clone(), weight));
        }
        self.bound.push(row);
    }

    fn unbind(&mut self, queue: &str, weight: usize) {
        let row = (queue.to_owned(), weight.to_string());
        if self.bound.contains(&row) {
            self.bound.retain(|other| *other != row);
            self.buckets.retain(|(owner, _)| owner != queue);
        }
    }

    fn own(&self, row: &(String, String)) -> Option<Buckets> {
        let first = self.buckets.iter().position(|owner| owner == row)?;
        let count = self.buckets.iter().filter(|owner| *owner == row).count();
        Some(Buckets { first: first as u64, count: count as u64 })
    }
}

/// Queue and key.
fn row(binding: &BindingDefinition) -> (String, String) {
    (binding.destination.name().to_owned(), binding.routing_key.to_string())
}

/// Explains with every near miss.
fn explain(router: &Router, exchange: &str, message: &Message<'_>) -> Trace {
    let mut trace = Trace::new().with_near_misses(usize::MAX);
    let _ = router.explain(router.exchange(exchange).unwrap(), message, &mut trace);
    trace
}

/// Whether the details of a match account for it.
fn accounts_for(how: &How, kind: ExchangeKind, key: &[u8]) -> bool {
    match how {
        How::Always => kind == ExchangeKind::Fanout,
        How::Chosen => matches!(kind, ExchangeKind::Random | ExchangeKind::ConsistentHash),
        How::Key => kind == ExchangeKind::Direct,
        How::Expression { .. } | How::Channel => true,
        How::Headers { mode, headers } => {
            let agrees = |header: &keyrail_core::HeaderVerdict| header.verdict.agrees();
            match mode {
                MatchMode::All => headers.iter().all(agrees),
                MatchMode::Any => headers.iter().any(agrees),
            }
        }
        How::Words { words } => {
            let took: Vec<&[u8]> =
                words.iter().flat_map(|word| word.took.iter().map(|word| word.as_bytes())).collect();
            let literal = |word: &keyrail_core::WordMatch| {
                // Kombu takes one line feed at the end for nothing.
                word.kind != WordKind::Literal
                    || matches!(&word.took[..], [took] if took.strip_suffix(b"\n").unwrap_or(took) == &*word.token
                        || *took == word.token)
            };
            took.join(&b'.') == key && words.iter().all(literal)
        }
        _ => unreachable!("{how:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn explains_what_the_model_does(
        exchanges in vec(exchange(), EXCHANGES.len()),
        bindings in vec(binding(), 0..25),
        messages in vec(message(), 1..8),
    ) {
        let (router, model) = build(&exchanges, &bindings);
        for message in &messages {
            let headers = header_table(message);
            let wire = Message::new(&message.key).headers(&headers).unwrap();
            for exchange in EXCHANGES.iter().chain(&[""]) {
                let trace = explain(&router, exchange, &wire);
                let named: BTreeSet<String> = trace.queues().map(str::to_owned).collect();
                prop_assert_eq!(&named, &model.route(exchange, message));
                let mut matched = 0;
                for hop in trace.hops() {
                    for found in &hop.matches {
                        matched += usize::from(!hop.exchange.is_empty());
                        let key = found.selected.as_ref().map_or(wire.routing_key(), |selected| &selected.key);
                        let selected = found.selected.is_some();
                        prop_assert!(accounts_for(&found.how, hop.kind, key), "{found:?} {key:?}");
                        prop_assert!(!selected || message.selected.iter().any(|other| other.as_bytes() == key));
                    }
                }
                let asked: BTreeSet<&str> = trace.hops().iter().map(|hop| &*hop.exchange).collect();
                let of_asked = router.bindings().filter(|binding| {
                    asked.contains(router.exchange_name(binding.source).unwrap())
                });
                let missed = trace.near_misses().iter().filter(|miss| !miss.binding.source.is_empty());
                prop_assert_eq!(matched + missed.count(), of_asked.count(), "every binding matched or missed");
            }
        }
    }

    #[test]
    fn a_suggestion_routes(
        exchanges in vec(exchange(), EXCHANGES.len()),
        bindings in vec(binding(), 1..25),
        message in message(),
    ) {
        let (router, _) = build(&exchanges, &bindings);
        let headers = header_table(&message);
        let wire = Message::new(&message.key).headers(&headers).unwrap();
        for exchange in EXCHANGES {
            let trace = explain(&router, exchange, &wire);
            for miss in trace.near_misses() {
                let Some(fix) = &miss.suggestion else { continue };
                let mut fixed = router.clone();
                let source = fixed.exchange(&fix.source).unwrap();
                let destination = fix.destination.find(&fixed).unwrap();
                prop_assert!(fixed.unbind(source, destination, &miss.binding.binding()).unwrap());
                fixed.bind(source, destination, &fix.binding()).unwrap();
                let after = explain(&fixed, exchange, &wire);
                let arrives = match &fix.destination {
                    DestinationName::Queue(queue) => after.queues().any(|name| name == &**queue),
                    DestinationName::Exchange(next) => after.hops().iter().any(|hop| hop.exchange == *next),
                };
                prop_assert!(arrives, "{miss:?}");
            }
        }
    }

    /// One binding is chosen, the one that owns the bucket; every other one is told, with the buckets that a list of
    /// them says.
    #[test]
    fn what_was_not_chosen_is_told(
        steps in vec((0..QUEUES.len() - 1, 1..4_usize, prop::bool::weighted(0.7)), 0..20),
        message in message(),
        random in any::<u64>(),
        limit in 1..6_usize,
    ) {
        let mut router = Router::new();
        let mut model = Chosen::default();
        let entrance = router.declare_exchange("in", Exchange::new(ExchangeKind::Fanout)).unwrap();
        let kinds = [ExchangeKind::ConsistentHash, ExchangeKind::Random];
        let choosing = kinds.map(|kind| router.declare_exchange(kind.as_str(), Exchange::new(kind)).unwrap());
        for exchange in choosing {
            router.bind(entrance, exchange, &Binding::new("")).unwrap();
        }
        for (queue, weight, binds) in steps {
            let name = QUEUES[queue];
            let queue = router.declare_queue(name, Queue::new()).unwrap();
            for exchange in choosing {
                let key = weight.to_string();
                let binding = Binding::new(&key);
                if binds {
                    router.bind(exchange, queue, &binding).unwrap();
                } else {
                    router.unbind(exchange, queue, &binding).unwrap();
                }
            }
            if binds { model.bind(name, weight) } else { model.unbind(name, weight) }
        }
        let wire = Message::new(&message.key).random(random);
        let trace = explain(&router, "in", &wire);
        let mut routes = Routes::new();
        let _ = router.route(entrance, &wire, &mut routes);
        let routed = routes.queues().iter().map(|queue| router.queue_name(*queue).unwrap());
        prop_assert!(trace.queues().eq(routed));
        for kind in kinds {
            let hop = trace.hops().iter().find(|hop| hop.kind == kind).unwrap();
            prop_assert!(hop.matches.iter().all(|found| accounts_for(&found.how, kind, wire.routing_key())));
            let chosen: Vec<_> = hop.matches.iter().map(|found| row(&found.binding)).collect();
            let misses = trace.near_misses().iter().filter(|miss| *miss.binding.source == *kind.as_str());
            let misses: Vec<&NearMiss> = misses.collect();
            let mut told: Vec<_> = chosen.iter().cloned().chain(misses.iter().map(|miss| row(&miss.binding))).collect();
            let mut bound = model.bound.clone();
            told.sort();
            bound.sort();
            prop_assert_eq!(told, bound, "every binding was chosen or passed over");
            let can_choose = if kind == ExchangeKind::Random { !model.bound.is_empty() } else { !model.buckets.is_empty() };
            prop_assert_eq!(chosen.len(), usize::from(can_choose));
            for miss in misses {
                prop_assert_eq!(&miss.suggestion, &None);
                match miss.mismatch {
                    Mismatch::Draw { among } => {
                        prop_assert_eq!((kind, among as usize), (ExchangeKind::Random, model.bound.len()));
                    }
                    Mismatch::Bucket { found, among, own } => {
                        prop_assert_eq!((kind, among as usize), (ExchangeKind::ConsistentHash, model.buckets.len()));
                        prop_assert_eq!(own, model.own(&row(&miss.binding)));
                        let owner = found.map(|found| &model.buckets[found as usize]);
                        prop_assert_eq!(owner, chosen.first());
                    }
                    ref other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        let mut few = Trace::new().with_near_misses(limit);
        let _ = router.explain(entrance, &wire, &mut few);
        prop_assert!(few.near_misses().iter().eq(trace.near_misses().iter().take(limit)));
        prop_assert!(trace.near_misses().is_sorted_by_key(|miss| miss.distance));
    }

    #[test]
    fn a_limit_keeps_the_nearest_in_order(
        exchanges in vec(exchange(), EXCHANGES.len()),
        bindings in vec(binding(), 1..25),
        message in message(),
        limit in 1..6_usize,
    ) {
        let (router, _) = build(&exchanges, &bindings);
        let headers = header_table(&message);
        let wire = Message::new(&message.key).headers(&headers).unwrap();
        for exchange in EXCHANGES {
            let all = explain(&router, exchange, &wire);
            let mut few = Trace::new().with_near_misses(limit);
            let _ = router.explain(router.exchange(exchange).unwrap(), &wire, &mut few);
            let expected = all.near_misses().iter().take(limit);
            prop_assert!(few.near_misses().iter().eq(expected));
            prop_assert!(all.near_misses().is_sorted_by_key(|miss| miss.distance));
        }
    }
}

/// One exchange, one queue, these bindings; the near misses of a key as `key: mismatch; suggestion`.
fn near_misses(kind: ExchangeKind, bindings: &[&str], key: &str) -> Vec<String> {
    let mut router = Router::new();
    let source = router.declare_exchange("x", keyrail_core::Exchange::new(kind)).unwrap();
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    for key in bindings {
        router.bind(source, queue, &Binding::new(key)).unwrap();
    }
    let trace = explain(&router, "x", &Message::new(key));
    let told = trace.near_misses().iter().map(|miss| miss.to_string());
    told.map(|line| line.strip_prefix("`x` to queue `q` by ").unwrap().to_owned()).collect()
}

#[test]
fn says_which_word_failed_and_what_would_help() {
    let topic = |bindings: &[&str], key: &str| near_misses(ExchangeKind::Topic, bindings, key);
    assert_eq!(
        topic(&["stock.low", "order.*.paid", "order.eu.cancelled", "a.*"], "order.eu.payed"),
        [
            "`order.*.paid`: word 3 is `payed`, expected `paid`; `order.*.*` would match",
            "`order.eu.cancelled`: word 3 is `payed`, expected `cancelled`; `order.eu.*` would match",
            "`a.*`: word 1 is `order`, expected `a`",
            "`stock.low`: word 1 is `order`, expected `stock`",
        ]
    );
    assert_eq!(
        topic(&["stock"], "order"),
        ["`stock`: word 1 is `order`, expected `stock`; `order` would match"]
    );
    assert_eq!(
        topic(&["a.*"], "a.b.c"),
        ["`a.*`: word 3 is `c`, expected the end of the key; `a.#` would match"]
    );
    assert_eq!(
        topic(&["a.b.c"], "a.b"),
        ["`a.b.c`: the key ends before word 3, expected `c`; `a.b.#` would match"]
    );
    assert_eq!(topic(&["a.b"], ""), ["`a.b`: the key ends before word 1, expected `a`"]);
    assert_eq!(
        near_misses(ExchangeKind::Direct, &["cart", "card.visa", "card.amex"], "card.vise"),
        [
            "`card.visa`: the key is `card.vise`, expected `card.visa`; `card.vise` would match",
            "`card.amex`: the key is `card.vise`, expected `card.amex`; `card.vise` would match",
            "`cart`: the key is `card.vise`, expected `cart`; `card.vise` would match",
        ]
    );
}

#[test]
fn says_which_header_failed() {
    let mut router = Router::new();
    let source = router.declare_exchange("x", keyrail_core::Exchange::new(ExchangeKind::Headers)).unwrap();
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    let arguments = [("format", Value::from("pdf")), ("pages", Value::from(3)), ("due", Value::Void)];
    let arguments = keyrail_core::Table::from_iter(arguments);
    router.bind(source, queue, &Binding::new("").arguments(&arguments)).unwrap();
    let headers = [("format", Value::from("pdf")), ("pages", Value::from("3")), ("due", Value::from("now"))];
    let headers = keyrail_core::Table::from_iter(headers);
    let trace = explain(&router, "x", &Message::new("").headers(&headers).unwrap());
    let miss = &trace.near_misses()[0];
    let Mismatch::Headers { mode: MatchMode::All, headers, at: Some(at) } = &miss.mismatch else {
        panic!("{miss:?}")
    };
    let verdicts: Vec<_> = headers.iter().map(|header| (header.name.to_string(), header.verdict)).collect();
    let expected = [("due", Verdict::Present), ("format", Verdict::Equal), ("pages", Verdict::DifferentType)];
    assert_eq!(verdicts, expected.map(|(name, verdict)| (name.to_owned(), verdict)));
    assert_eq!((*at, miss.distance), (2, 1));
    let fixed = miss.suggestion.as_ref().unwrap();
    assert_eq!(fixed.arguments.get("pages"), Some(&Value::LongString(ByteString::from("3"))));
}

#[test]
fn names_the_selected_key_that_matched() {
    let mut router = Router::new();
    let source = router.declare_exchange("x", keyrail_core::Exchange::new(ExchangeKind::Topic)).unwrap();
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    router.bind(source, queue, &Binding::new("audit.*")).unwrap();
    let headers = keyrail_core::Table::from_iter([("BCC", vec![Value::from("audit.all")])]);
    let trace = explain(&router, "x", &Message::new("order").headers(&headers).unwrap());
    let selected = trace.hops()[0].matches[0].selected.as_ref().unwrap();
    assert_eq!((selected.header, &*selected.key), ("BCC", &b"audit.all"[..]));
    let line = "  `audit.*` matches `audit.all` of `BCC`: queue `q`\n";
    assert!(trace.to_string().contains(line), "{trace}");
}

/// Bounded also with 100,000 bindings: only so many are kept, and each is looked at once.
#[test]
fn near_misses_of_a_large_table() {
    let mut router = Router::new();
    let source = router.declare_exchange("x", keyrail_core::Exchange::new(ExchangeKind::Topic)).unwrap();
    let queue = router.declare_queue("q", Queue::new()).unwrap();
    for at in 0..100_000 {
        router.bind(source, queue, &Binding::new(&format!("order.w{at}.*.paid"))).unwrap();
    }
    let mut trace = Trace::new().with_near_misses(3);
    let _ = router.explain(source, &Message::new("order.w77777.eu.payed"), &mut trace);
    let keys: Vec<_> = trace.near_misses().iter().map(|miss| miss.binding.routing_key.to_string()).collect();
    assert_eq!(keys[0], "order.w77777.*.paid");
    assert_eq!(keys.len(), 3);
}

/// A ring, in the words of people: who owns what, and whose queue has its buckets by another binding.
#[test]
fn says_which_bucket_it_was_and_which_are_the_bindings_own() {
    let mut router = Router::new();
    let spread = router.declare_exchange("x", Exchange::new(ExchangeKind::ConsistentHash)).unwrap();
    let dice = router.declare_exchange("dice", Exchange::new(ExchangeKind::Random)).unwrap();
    for (name, weight) in [("a", "1"), ("b", "3"), ("c", "2"), ("b", "1")] {
        let queue = router.declare_queue(name, Queue::new()).unwrap();
        router.bind(spread, queue, &Binding::new(weight)).unwrap();
        router.bind(dice, queue, &Binding::new(weight)).unwrap();
    }
    let told = |router: &Router, exchange: &str| -> Vec<String> {
        let trace = explain(router, exchange, &Message::new("order.eu"));
        trace.near_misses().iter().map(|miss| miss.to_string()).collect()
    };
    assert_eq!(
        told(&router, "x"),
        [
            "`x` to queue `a` by `1`: the hash fell into bucket 3 of 6, this binding owns bucket 1",
            "`x` to queue `c` by `2`: the hash fell into bucket 3 of 6, this binding owns buckets 5 to 6",
            "`x` to queue `b` by `1`: the hash fell into bucket 3 of 6, this binding owns none",
        ]
    );
    let drawn = told(&router, "dice");
    assert_eq!(drawn.len(), 3);
    assert!(drawn.iter().all(|line| line.ends_with(": another of 4 bindings was drawn")), "{drawn:?}");
    // The buckets of `b` go with the binding that brought them; the other binding gets none.
    for (name, weight) in [("a", "1"), ("b", "3"), ("c", "2")] {
        let queue = router.queue(name).unwrap();
        assert!(router.unbind(spread, queue, &Binding::new(weight)).unwrap());
    }
    assert_eq!(told(&router, "x"), ["`x` to queue `b` by `1`: no binding owns a bucket"]);
}

/// What an edit may mend comes before what was merely not chosen.
#[test]
fn a_failed_word_comes_before_what_was_not_chosen() {
    let mut router = Router::new();
    let topic = router.declare_exchange("x", Exchange::new(ExchangeKind::Topic)).unwrap();
    let dice = router.declare_exchange("dice", Exchange::new(ExchangeKind::Random)).unwrap();
    router.bind(topic, dice, &Binding::new("paid")).unwrap();
    for name in ["a", "b", "c"] {
        let queue = router.declare_queue(name, Queue::new()).unwrap();
        router.bind(dice, queue, &Binding::new("")).unwrap();
    }
    let far = "a-word-that-differs-in-more-letters-than-are-counted";
    router.bind(topic, router.queue("a").unwrap(), &Binding::new(far)).unwrap();
    let trace = explain(&router, "x", &Message::new("paid"));
    let told: Vec<_> =
        trace.near_misses().iter().map(|miss| (&*miss.binding.source, miss.distance)).collect();
    assert_eq!(told, [("x", 1), ("dice", 1), ("dice", 1)]);
}

/// Bounded also where 100,000 bindings were not chosen: a few are told, those bound first.
#[test]
fn near_misses_of_a_large_ring() {
    for kind in [ExchangeKind::ConsistentHash, ExchangeKind::Random] {
        let mut router = Router::new();
        let source = router.declare_exchange("x", Exchange::new(kind)).unwrap();
        for at in 0..100_000 {
            let queue = router.declare_queue(&format!("q{at}"), Queue::new()).unwrap();
            router.bind(source, queue, &Binding::new("4294967295")).unwrap();
        }
        let mut trace = Trace::new().with_near_misses(3);
        let _ = router.explain(source, &Message::new("order.eu.paid").random(u64::MAX), &mut trace);
        let queues: Vec<_> = trace.near_misses().iter().map(|miss| miss.binding.destination.name()).collect();
        assert_eq!(queues, ["q0", "q1", "q2"]);
        let expected = match kind {
            ExchangeKind::Random => "another of 100000 bindings was drawn",
            _ => "this binding owns buckets 4294967296 to 8589934590",
        };
        let told = trace.near_misses()[1].mismatch.to_string();
        assert!(told.ends_with(expected), "{told}");
    }
}
