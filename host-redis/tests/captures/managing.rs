//! What deleting and emptying does.

use keyrail_core::{ExchangeKind, Operation, QueueBinding, kombu::Json};
use keyrail_redis::{Connection, Message, SimpleQueue};

use crate::{
    stage::{check, host, replay, topology},
    support::RedisServer,
    wire::{Monitor, State, capture, recorded, said, said_effects, state},
};

fn queue_delete(queue: &str) -> Operation {
    Operation::QueueDelete { queue: queue.into(), if_unused: false, if_empty: false }
}

/// The counts that add up to the answer, and the deletions, command by command.
#[tokio::test]
async fn emptying_a_queue() {
    let capture = capture("purge");
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let host = host(&connection).await;
    let queue = SimpleQueue::open(&host, "pgq").await.expect("open");
    replay(&connection, &capture, &["LPUSH"]).await;
    let mut monitor = Monitor::of(&server);
    queue.clear().await.expect("cleared");
    let of_queue = |commands: Vec<String>| -> Vec<String> {
        commands
            .into_iter()
            .filter(|command| command.starts_with("\"LLEN\"") || command.starts_with("\"DEL\""))
            .collect()
    };
    let ours = of_queue(monitor.commands(&server));
    assert_eq!(ours, of_queue(said(&capture)));
    assert_eq!(ours.len(), 8);
    // The rows of the simple queue are all that is left.
    let left = ["_kombu.binding.pgq", "_kombu.binding_permanent.pgq"];
    assert_eq!(state(&connection).await.into_keys().collect::<Vec<_>>(), left);
}

/// Its rows and its lists. Kombu does so for a queue that the process has bound itself, and for any other nothing at all.
#[tokio::test]
async fn deleting_a_queue() {
    let capture = capture("queue_delete_known");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    replay(&connection, &capture, &["SADD", "LPUSH"]).await;
    host(&connection).await.apply(&queue_delete("qd1")).await.expect("deleted");
    assert_eq!(monitor.effects(&server), said_effects(&capture));
    assert_eq!(state(&connection).await, recorded(&capture));
    assert_eq!(state(&connection).await, State::new());
}

/// A deletion or an unbind does what it says, whoever bound. In Kombu what other processes bound stays and routes.
#[tokio::test]
async fn deleting_what_others_bound() {
    let unknown = capture("queue_delete_unknown");
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    replay(&connection, &unknown, &["SADD", "LPUSH"]).await;
    assert_eq!(state(&connection).await, recorded(&unknown));
    let host = host(&connection).await;
    host.apply(&queue_delete("qd1")).await.expect("deleted");
    assert_eq!(state(&connection).await.into_keys().collect::<Vec<_>>(), ["plain"]);

    let unbound = capture("queue_unbind");
    replay(&connection, &unbound, &["SADD"]).await;
    let (queue, exchange, routing_key) = ("ub1".into(), "ub".into(), "k".into());
    let binding = QueueBinding { queue, exchange, routing_key, ..QueueBinding::default() };
    host.apply(&Operation::QueueUnbind(binding)).await.expect("unbound");
    assert_eq!(state(&connection).await.into_keys().collect::<Vec<_>>(), ["plain"]);

    let exchange = capture("exchange_delete");
    replay(&connection, &exchange, &["SADD", "LPUSH"]).await;
    let delete = Operation::ExchangeDelete { exchange: "xd".into(), if_unused: false };
    host.apply(&delete).await.expect("deleted");
    // The bindings are gone and the messages stay; Kombu deletes the queues that are empty, and keeps the other rows.
    assert_eq!(state(&connection).await.into_keys().collect::<Vec<_>>(), ["plain", "xd_full"]);
    assert_eq!(state(&connection).await["xd_full"], recorded(&exchange)["xd_full"]);
}

/// Whether a queue exists is asked otherwise; what is declared and pushed in between is the same.
#[tokio::test]
async fn asking_for_a_queue() {
    let pd = topology("pd", ExchangeKind::Direct, &[("k", "pdq")]);
    let message = Message::value(Json::from(1)).exchange("pd").routing_key("k");
    check("passive_declare", "{}", Some(pd), &[message]).await;
}
