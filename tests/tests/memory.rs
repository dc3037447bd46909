//! What bindings hold, counted where it is allocated: nothing of it stays when they are unbound.

use keyrail_core::{
    Binding, Dialect, Exchange, ExchangeId, ExchangeKind, Limits, Message, Outcome, Queue, QueueId, Router,
    Routes, Table, Value,
};
use keyrail_workload::{CountingAllocator, TopicWorkload};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// What may stay of each kind of table: a first page, a table's smallest size.
const KEPT: isize = 32 * 1024;

struct Row {
    exchange: ExchangeId,
    queue: QueueId,
    key: String,
    dialect: Dialect,
    arguments: Table,
}

impl Row {
    fn binding(&self) -> Binding<'_> {
        Binding::new(&self.key).arguments(&self.arguments).dialect(self.dialect)
    }
}

/// The only test of this binary: another one beside it would be counted too.
#[test]
fn unbinding_gives_the_memory_back() {
    let mut failures = Vec::new();
    for (name, kind, dialect) in [
        ("topic", ExchangeKind::Topic, Dialect::Amqp),
        ("kombu", ExchangeKind::Topic, Dialect::Kombu57),
        ("direct", ExchangeKind::Direct, Dialect::Amqp),
        ("fanout", ExchangeKind::Fanout, Dialect::Amqp),
        ("headers", ExchangeKind::Headers, Dialect::Amqp),
    ] {
        let mut router = Router::new();
        router.set_limits(Limits::default());
        let exchange = router.declare_exchange(name, Exchange::new(kind)).unwrap();
        let queues: Vec<_> =
            (0..5_000).map(|at| router.declare_queue(&at.to_string(), Queue::new()).unwrap()).collect();
        let rows = rows(exchange, dialect, kind, &queues);
        let mut routes = Routes::new();
        let none = Message::new("grown");
        assert_eq!(router.route(exchange, &none, &mut routes), Outcome::Unroutable);

        ALLOCATOR.start();
        for row in &rows {
            router.bind(row.exchange, row.queue, &row.binding()).unwrap();
        }
        let full = ALLOCATOR.held();
        assert_eq!(router.counts().2, rows.len());
        // From the middle outwards: neither first in, first out, nor the reverse.
        let (first, second) = rows.split_at(rows.len() / 2);
        for row in second.iter().chain(first.iter().rev()) {
            assert_eq!(router.unbind(row.exchange, row.queue, &row.binding()), Ok(true));
        }
        let kept = ALLOCATOR.held();
        ALLOCATOR.stop();
        assert_eq!(router.counts().2, 0);
        assert_eq!(router.route(exchange, &none, &mut routes), Outcome::Unroutable);
        println!(
            "{name}: {} bindings held {full} bytes, {:.0} each; unbound {kept}",
            rows.len(),
            full as f64 / rows.len() as f64
        );
        assert!(full > 50 * rows.len() as isize, "{name}: the test says too little: {full}");
        if kept > KEPT {
            failures.push(format!("{name} keeps {kept} of {full} bytes"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join(", "));
}

/// Twenty thousand bindings that differ.
fn rows(exchange: ExchangeId, dialect: Dialect, kind: ExchangeKind, queues: &[QueueId]) -> Vec<Row> {
    let mut seen = std::collections::HashSet::new();
    let workload = TopicWorkload::new(20_000);
    let mut rows = Vec::new();
    for (number, (pattern, queue)) in workload.rows().iter().enumerate() {
        let queue = queues[*queue as usize % queues.len()];
        let arguments = match kind {
            ExchangeKind::Headers => Table::from_iter([
                ("x-match", Value::from("any")),
                ("tenant", Value::I64(number as i64 / 3)),
                ("kind", Value::from(&*format!("kind{}", number % 400))),
            ]),
            _ => Table::new(),
        };
        // A key without wildcards where there are none, and any key where it says nothing.
        let key =
            if kind == ExchangeKind::Direct { pattern.replace(['*', '#'], "w") } else { pattern.clone() };
        if kind == ExchangeKind::Headers || seen.insert((key.clone(), queue)) {
            rows.push(Row { exchange, queue, key, dialect, arguments });
        }
    }
    rows
}
