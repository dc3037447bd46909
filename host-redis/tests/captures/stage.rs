//! What the tests do before they compare: a server, a topology, messages.

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Table,
    Topology, kombu::Json,
};
use keyrail_redis::{
    Connection, ConsumerOptions, Delivery, Host, Message, Next, Producer, ProducerOptions, Redis, load,
};
use serde_json::Value;

use crate::{
    support::{PATIENCE, RedisServer},
    wire::{Monitor, State, capture, recorded, said, said_effects, state, words},
};

pub(crate) async fn connect(
    server: &RedisServer,
    options: &str,
    topology: Option<Topology>,
) -> (Connection, Producer) {
    let connection = Connection::new(&format!("redis://127.0.0.1:{}/0", server.port)).expect("a URL");
    let connection = connection.transport_options(options.parse().expect("options"));
    let mut options = ProducerOptions::new();
    if let Some(topology) = topology {
        options = options.declare(topology, Dialect::Kombu57);
    }
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    (connection, producer)
}

/// A host that reads its tables from Redis.
pub(crate) async fn host(connection: &Connection) -> Host<Redis> {
    let redis = connection.connect().await.expect("Redis");
    Host::from_tables(redis, connection.options().layout.clone(), load::Options::default())
}

pub(crate) fn n(n: i64) -> Message {
    Message::value(Json::from_iter([("n", Json::from(n))]))
}

pub(crate) fn topology(exchange: &str, kind: ExchangeKind, rows: &[(&str, &str)]) -> Topology {
    let mut topology = Topology {
        exchanges: vec![ExchangeDefinition::durable(exchange, kind)],
        queues: Vec::new(),
        bindings: Vec::new(),
        policies: Vec::new(),
    };
    for (key, queue) in rows {
        if topology.queues.iter().all(|known| *known.name != **queue) {
            topology.queues.push(QueueDefinition {
                name: (*queue).into(),
                durable: true,
                auto_delete: false,
                exclusive: false,
                arguments: Table::new(),
            });
        }
        topology.bindings.push(BindingDefinition {
            source: exchange.into(),
            destination: DestinationName::Queue((*queue).into()),
            routing_key: (*key).into(),
            arguments: Table::new(),
            dialect: Dialect::Kombu57,
            pattern: None,
        });
    }
    topology
}

/// Publishes all and compares what lies in Redis then, and what Redis was told.
pub(crate) async fn check(name: &str, options: &str, topology: Option<Topology>, messages: &[Message]) {
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let (connection, producer) = connect(&server, options, topology).await;
    for message in messages {
        producer.publish(message).await.expect("published");
    }
    let capture = capture(name);
    assert_eq!(monitor.effects(&server), said_effects(&capture), "{name}");
    assert_eq!(state(&connection).await, recorded(&capture), "{name}");
}

/// Declares and compares what lies in Redis then, and what Redis was told; with a producer that finds nobody, too.
pub(crate) async fn check_declared(name: &str, topology: Topology) {
    let capture = capture(name);
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    let host = host(&connection).await;
    host.import(&topology, Dialect::Kombu57).await.expect("declared");
    assert_eq!(monitor.effects(&server), said_effects(&capture), "{name}");
    assert_eq!(state(&connection).await, recorded(&capture), "{name}");
    drop((monitor, server));

    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let message =
        topology.exchanges.first().map(|exchange| n(1).exchange(&*exchange.name).routing_key("nobody's"));
    let (connection, producer) = connect(&server, "{}", Some(topology)).await;
    if let Some(message) = message {
        producer.publish(&message).await.expect("published");
    }
    let effects: Vec<String> =
        monitor.effects(&server).into_iter().filter(|effect| !effect.starts_with("PUBLISH")).collect();
    assert_eq!(effects, said_effects(&capture), "{name}");
    assert_eq!(state(&connection).await, recorded(&capture), "{name}");
}

/// Sends commands of a capture, byte for byte.
pub(crate) async fn replay(connection: &Connection, capture: &Value, names: &[&str]) {
    let client = redis::Client::open(format!("redis://{connection}/{}", connection.options().layout.db));
    let mut raw = client.expect("a URL").get_multiplexed_async_connection().await.expect("Redis");
    for command in said(capture) {
        let words = words(&command);
        let name = String::from_utf8_lossy(&words[0]).to_uppercase();
        if names.contains(&&*name) {
            let mut sent = redis::cmd(&name);
            words[1..].iter().for_each(|word| {
                sent.arg(&word[..]);
            });
            let _: redis::Value = sent.query_async(&mut raw).await.expect("done");
        }
    }
}

/// Takes so many messages with a consumer that is forgotten: what is held stays held.
pub(crate) async fn take_all(connection: &Connection, queues: &[&str], count: usize) -> Vec<Delivery> {
    let host = host(connection).await;
    let options = ConsumerOptions { prefetch: count, ..ConsumerOptions::default() };
    let queues = queues.iter().map(|queue| (*queue).to_owned()).collect();
    let mut consumer = host.consumer(queues, options).expect("a consumer");
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        match consumer.next(PATIENCE).await.expect("a message") {
            Next::Delivery(delivery) => deliveries.push(delivery),
            other => panic!("{other:?}"),
        }
    }
    deliveries
}

/// Effects with deliveries as Kombu names them, in any order: what belongs to one step has none.
///
/// Rule 6 of the specification: a delivery has a name of its own, its tag and more, so that no other one is settled with
/// it, and its record names its queue on the default exchange, so that nobody restores it to others. What stays to be
/// compared is everything else; tags are hidden.
pub(crate) fn in_kombus_words(effects: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    for effect in effects {
        let words: Vec<String> =
            words(&effect).iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        match (effect.split(' ').next().unwrap_or_default(), &words[..]) {
            ("HSET", [key, fields @ ..]) if key.ends_with("unacked") => {
                for field in fields.chunks(2) {
                    out.push(format!("HSET {key} TAG {}", unaddressed(&field[0], &field[1]).1));
                }
            }
            ("HDEL", [key, fields @ ..]) if key.ends_with("unacked") => {
                out.extend(fields.iter().map(|_| format!("HDEL {key} TAG")));
            }
            ("ZREM", [key, members @ ..]) if key.ends_with("unacked_index") => {
                out.extend(members.iter().map(|_| format!("ZREM {key} TAG")));
            }
            // Times have lost their quotes.
            ("ZADD", [key, members @ ..]) if key.ends_with("unacked_index") => {
                out.extend(members.iter().map(|_| format!("ZADD {key} TIME TAG")));
            }
            _ => out.push(effect),
        }
    }
    out.sort();
    out
}

/// A state with its register in the same words, tags and all.
pub(crate) fn register_in_kombus_words(mut state: State) -> State {
    for (key, items) in &mut state {
        match key {
            _ if key.ends_with("unacked_index") => {
                items.iter_mut().for_each(|name| *name = tag_of(name).to_owned());
            }
            _ if key.ends_with("unacked") => {
                for item in items.iter_mut() {
                    let (name, record) = item.split_once(" = ").expect("a field");
                    let (tag, record) = unaddressed(name, record);
                    assert!(record.contains(&tag), "{tag} is not the tag of {record}");
                    *item = format!("{tag} = {record}");
                }
            }
            _ => continue,
        }
        items.sort();
    }
    state
}

fn tag_of(name: &str) -> &str {
    name.split('#').next().unwrap_or_default()
}

/// The tag of a delivery, and its record without the address at its end.
fn unaddressed(name: &str, record: &str) -> (String, String) {
    let end = record.rfind("}, \"").unwrap_or_else(|| panic!("no address in {record}"));
    let (payload, address) = record.split_at(end + 1);
    if let Some((_, queue)) = name.rsplit_once('#') {
        assert_eq!(address, format!(r#", "", "{queue}"]"#), "{name}");
    }
    (tag_of(name).to_owned(), payload.to_owned())
}
