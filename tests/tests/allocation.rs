//! Once warm, routing allocates nothing: counted, not promised.

use keyrail_core::{
    Binding, Dialect, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes, Table, Value,
};
use keyrail_workload::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The only test of this binary: another one beside it would be counted too.
#[test]
fn a_warm_route_allocates_nothing() {
    let mut router = Router::new();
    let lost = router.declare_exchange("lost", Exchange::new(ExchangeKind::Fanout)).unwrap();
    let arguments = Table::from_iter([("x-match", Value::from("any")), ("h", Value::from(1))]);
    let mut exchanges = vec![lost];
    for kind in [ExchangeKind::Direct, ExchangeKind::Topic, ExchangeKind::Headers] {
        let exchange = Exchange::new(kind).alternate("lost");
        let exchange = router.declare_exchange(kind.as_str(), exchange).unwrap();
        router.bind(exchange, lost, &Binding::new("to.lost").arguments(&arguments)).unwrap();
        exchanges.push(exchange);
    }
    for at in 0..50 {
        let queue = router.declare_queue(&format!("q{at}"), Queue::new()).unwrap();
        for exchange in &exchanges {
            let keys = [format!("a.{at}.b"), format!("*.{at}.#"), format!("#.{at}.#.b"), "#".to_owned()];
            for key in &keys {
                router.bind(*exchange, queue, &Binding::new(key).arguments(&arguments)).unwrap();
            }
        }
        let topic = exchanges[2];
        for dialect in [Dialect::Kombu57, Dialect::Kombu56] {
            router.bind(topic, queue, &Binding::new("a.*.b").dialect(dialect)).unwrap();
        }
    }
    let headers = Table::from_iter([("h", Value::from(1)), ("CC", Value::Array(vec!["a.9.b".into()]))]);
    let messages: Vec<_> = ["a.7.b", "to.lost", "nothing", "", "a.1.2.3.b"]
        .iter()
        .flat_map(|key| [Message::new(*key), Message::new(*key).headers(&headers).unwrap()])
        .collect();
    ALLOCATOR.start();
    // Answers are remembered in three pieces of memory that grow in ten steps at most.
    for (mut routes, growth) in
        [(Routes::new(), 30), (Routes::without_cache(), 0), (Routes::without_memory(), 0)]
    {
        allocates_nothing(&router, &exchanges, &messages, &mut routes, growth);
    }
}

/// Warm is what routed everything once: from then on nothing but what is remembered allocates, and that ends.
fn allocates_nothing(
    router: &Router,
    exchanges: &[keyrail_core::ExchangeId],
    messages: &[Message<'_>],
    routes: &mut Routes,
    growth: usize,
) {
    let mut route_all = || {
        let mut found = 0;
        for exchange in exchanges {
            for message in messages {
                assert_ne!(router.route(*exchange, message, routes), Outcome::UnknownExchange);
                found += routes.len();
            }
        }
        found
    };
    let warm = route_all();
    let before = ALLOCATOR.allocations();
    assert!(before > 0 && warm > 500, "the test says too little: {before} {warm}");
    let (mut quiet, mut last) = (0, before);
    for round in 1..=ROUNDS {
        assert_eq!(route_all(), warm);
        let now = ALLOCATOR.allocations();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
        assert!(round != 20 || quiet > 0, "allocates after twenty rounds");
    }
    let grown = last - before;
    assert!(grown <= growth, "{grown} allocations after the first round");
    assert!(quiet * 10 >= ROUNDS * 9, "still growing before the last {quiet} rounds of {ROUNDS}");
}

/// An answer that takes the place of another counts as one more to remember, so the last step comes late.
const ROUNDS: usize = 1000;
