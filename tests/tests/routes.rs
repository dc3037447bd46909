//! One `Routes` for several routers: what it remembers of one must never answer for another, however alike they are.

use keyrail_core::{
    Binding, Exchange, ExchangeId, ExchangeKind, Message, Outcome, Queue, QueueId, Router, Routes,
};

const KEYS: [&str; 4] = ["a.b", "a.c", "", "nothing"];

/// Two queues on an exchange; `*.b` leads to the one with this number. All have one revision and the same ids.
fn router(kind: ExchangeKind, number: usize) -> Router {
    let mut router = Router::new();
    let exchange = router.declare_exchange("e", Exchange::new(kind)).unwrap();
    let queues = ["0", "1"].map(|name| router.declare_queue(name, Queue::new()).unwrap());
    router.bind(exchange, queues[number], &Binding::new("a.b")).unwrap();
    router
}

/// Routes every key several times, so that whatever keeps results keeps them.
fn queues(router: &Router, routes: &mut Routes) -> Vec<Vec<QueueId>> {
    let exchange = router.exchange("e").unwrap();
    let mut found = Vec::new();
    for _ in 0..3 {
        found = KEYS.map(|key| route(router, exchange, key, routes)).to_vec();
    }
    found
}

fn route(router: &Router, exchange: ExchangeId, key: &str, routes: &mut Routes) -> Vec<QueueId> {
    let outcome = router.route(exchange, &Message::new(key), routes);
    assert_ne!(outcome, Outcome::UnknownExchange);
    assert_eq!(outcome == Outcome::Unroutable, routes.is_empty());
    routes.queues().to_vec()
}

fn expected(router: &Router) -> Vec<Vec<QueueId>> {
    queues(router, &mut Routes::new())
}

const KINDS: [ExchangeKind; 3] = [ExchangeKind::Topic, ExchangeKind::Direct, ExchangeKind::Fanout];

#[test]
fn routers_of_one_revision_are_told_apart() {
    let mut routes = Routes::new();
    for kind in KINDS {
        let routers = [0, 1].map(|number| router(kind, number));
        assert_eq!(routers[0].revision(), routers[1].revision());
        assert_ne!(expected(&routers[0]), expected(&routers[1]));
        for _ in 0..20 {
            for router in &routers {
                assert_eq!(queues(router, &mut routes), expected(router));
            }
        }
    }
}

#[test]
fn clones_that_went_different_ways_are_told_apart() {
    let mut routes = Routes::new();
    for kind in KINDS {
        let first = router(kind, 0);
        let exchange = first.exchange("e").unwrap();
        let second = {
            let mut second = first.clone();
            assert_eq!(queues(&second, &mut routes), expected(&first));
            let queue = second.queue("1").unwrap();
            second.bind(exchange, queue, &Binding::new("a.c")).unwrap();
            second
        };
        let third = {
            let mut third = first.clone();
            let queue = third.queue("0").unwrap();
            third.unbind(exchange, queue, &Binding::new("a.b")).unwrap();
            third
        };
        assert_eq!(second.revision(), third.revision());
        for _ in 0..20 {
            for router in [&first, &second, &third] {
                assert_eq!(queues(router, &mut routes), expected(router));
            }
        }
    }
}

/// Neither an address nor an allocation tells one router from the next.
#[test]
fn a_router_in_the_place_of_another_is_a_new_one() {
    let mut routes = Routes::new();
    for number in (0..100).map(|number| number % 2) {
        let router = Box::new(router(ExchangeKind::Topic, number));
        assert_eq!(queues(&router, &mut routes), expected(&router));
    }
    let mut place = router(ExchangeKind::Topic, 0);
    for number in (0..100).map(|number| number % 2) {
        place = router(ExchangeKind::Topic, number);
        assert_eq!(queues(&place, &mut routes), expected(&place));
    }
    drop(place);
}

/// A change that moves nothing but a property or a name is one, too.
#[test]
fn every_kind_of_change_is_seen() {
    let mut routes = Routes::new();
    let mut router = router(ExchangeKind::Topic, 0);
    let exchange = router.exchange("e").unwrap();
    let none = Vec::<QueueId>::new();
    let first = router.queue("0").unwrap();
    let mut ask = |router: &Router, key| {
        let found = route(router, exchange, key, &mut routes);
        assert_eq!(route(router, exchange, key, &mut routes), found);
        found
    };
    assert_eq!(ask(&router, "x"), none);
    router.bind(exchange, first, &Binding::new("#")).unwrap();
    assert_eq!(ask(&router, "x"), [first]);
    router.delete_queue(first);
    assert_eq!(ask(&router, "x"), none);
    // Its id may come back for a queue of another name, which is bound to nothing.
    let again = router.declare_queue("again", Queue::new()).unwrap();
    assert_eq!(ask(&router, "a.b"), none);
    router.bind(exchange, again, &Binding::new("*.b")).unwrap();
    assert_eq!(ask(&router, "a.b"), [again]);
    router.delete_exchange(exchange).unwrap();
    assert_eq!(router.route(exchange, &Message::new("a.b"), &mut routes), Outcome::UnknownExchange);
    assert!(routes.is_empty());
}
