//! Who listens to a fanout exchange subscribes as Kombu does, and hears what Kombu would.

use std::time::Duration;

use keyrail_redis::{Connection, FanoutListener, News};

use crate::{
    stage::{host, replay},
    support::RedisServer,
    wire::{Monitor, State, capture, said_effects, whole_state},
};

/// The routing keys of what it hears until there is nothing more.
async fn heard(listener: &mut FanoutListener) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    while let News::Message(message) = listener.next(Duration::from_millis(300)).await.expect("news") {
        heard.push((message.exchange.clone(), message.routing_key.to_string()));
    }
    heard
}

fn subscriptions(effects: Vec<String>) -> Vec<String> {
    effects.into_iter().filter(|effect| effect.starts_with("PSUBSCRIBE")).collect()
}

/// An empty binding key hears what has no routing key, `#` and `*` hear anything at their place. Kombu subscribes to what
/// one connection wants in one command.
#[tokio::test]
async fn listeners() {
    let capture = capture("consume_fanout");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    let host = host(&connection).await;
    let mut all = Vec::new();
    for (exchange, key) in [("ex.fan", ""), ("ex.fan", "log.#"), ("ex.fan2", "x.*.y")] {
        all.push(host.listen(exchange, key).await.expect("subscribed"));
    }
    let theirs = subscriptions(said_effects(&capture)).join(" ").replace("PSUBSCRIBE ", "");
    let ours = subscriptions(monitor.effects(&server)).join(" ").replace("PSUBSCRIBE ", "");
    assert_eq!(ours, theirs);
    replay(&connection, &capture, &["PUBLISH"]).await;
    let mut ours = Vec::new();
    for listener in &mut all {
        ours.extend(heard(listener).await);
    }
    // `('f1/f2', {'rk': 'log.a'}, {'exchange': 'ex.fan', 'routing_key': 'log.a'})`
    let notes = capture["notes"].as_array().expect("notes").iter().filter_map(|note| note.as_str());
    let theirs: Vec<(String, String)> = notes
        .map(|note| {
            let value = |name: &str| {
                let (_, rest) = note.split_once(&format!("'{name}': '")).expect("a field");
                rest.split('\'').next().unwrap_or_default().to_owned()
            };
            (value("exchange"), value("routing_key"))
        })
        .collect();
    assert_eq!(theirs.len(), 5);
    assert_eq!(ours, theirs);
}

/// Nothing that is heard is registered, so nothing can go back into lists that nobody reads; and who listens writes no row,
/// so none is left.
#[tokio::test]
async fn nothing_is_left_of_what_was_heard() {
    let capture = capture("fanout_consumed_with_ack");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    let host = host(&connection).await;
    let mut listener = host.listen("fa", "").await.expect("subscribed");
    assert_eq!(subscriptions(monitor.effects(&server)), subscriptions(said_effects(&capture)));
    replay(&connection, &capture, &["PUBLISH"]).await;
    assert_eq!(heard(&mut listener).await, [("fa".to_owned(), String::new())]);
    drop(listener);
    assert_eq!(whole_state(&connection).await, State::new());

    let broadcast = super::wire::capture("broadcast_queue");
    let mut listener = host.listen("bcx", "").await.expect("subscribed");
    assert!(heard(&mut listener).await.is_empty());
    drop(listener);
    assert_eq!(whole_state(&connection).await, super::wire::whole_recorded(&broadcast));
}
