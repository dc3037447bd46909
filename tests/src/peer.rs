//! A program on the library `keyrail-redis` that does what it is told, one JSON object a line on standard input, and
//! answers each with one line, as `tests/interop/matrix_peer.py` does with a real Kombu.
//!
//! `keyrail-peer hold URL QUEUE` takes a message, says so, and keeps it until it is killed.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, Table, Topology,
};
use keyrail_redis::{
    Connection, Consumer, ConsumerOptions, Delivery, FanoutListener, Host, Message, News, Next, Producer,
    ProducerOptions, ReceivedMessage, Redis, Requeue, SimpleQueue, load,
};
use serde::Deserialize;
use serde_json::{Value, json};

type Answer = Result<Value, Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(30);
/// So that what was left behind is found in time for a test.
const OFTEN: Duration = Duration::from_millis(100);

/// The way to a queue.
#[derive(Deserialize)]
struct Place {
    exchange: String,
    r#type: String,
    queue: String,
    key: String,
    binding: String,
}

#[derive(Deserialize)]
struct Sent {
    to: Place,
    body: Value,
    options: Options,
}

/// By Kombu's names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    priority: Option<i64>,
    compression: Option<String>,
    expiration: Option<f64>,
    headers: Option<Table>,
}

#[derive(Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
enum Order {
    Bind {
        url: String,
        queues: Vec<Place>,
    },
    Publish {
        url: String,
        messages: Vec<Sent>,
    },
    Consume {
        url: String,
        from: Place,
        count: usize,
        requeue: usize,
    },
    Hold {
        url: String,
        queues: Vec<Place>,
    },
    /// Takes a message and keeps it in hand.
    Take {
        url: String,
        queue: String,
        prefetch: usize,
    },
    /// Acks what was taken first of what is in hand; whether it was still ours.
    Settle,
    Listen {
        url: String,
        from: Place,
        acks: bool,
    },
    Collect {
        count: usize,
    },
    Keep {
        url: String,
        exchange: String,
        r#type: String,
    },
    Send {
        key: String,
    },
    SimplePut {
        url: String,
        queue: String,
        bodies: Vec<i64>,
    },
    SimpleGet {
        url: String,
        queue: String,
        count: usize,
    },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, url, queue] = &arguments[..]
        && verb == "hold"
    {
        return hold_until_killed(url, queue).await;
    }
    let mut state = State::default();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(order) => obey(order, &mut state).await,
            Err(error) => Err(error.into()),
        };
        let answer =
            answer.map_or_else(|error| json!({"error": error.to_string()}), |done| json!({"done": done}));
        println!("{answer}");
    }
    Ok(())
}

/// What is open from one order to the next.
#[derive(Default)]
struct State {
    consumer: Option<Consumer>,
    in_hand: VecDeque<Delivery>,
    listener: Option<FanoutListener>,
    producer: Option<Producer>,
}

async fn obey(order: Order, state: &mut State) -> Answer {
    match order {
        Order::Bind { url, queues } => {
            let topology = topology(&queues)?;
            host(&url).await?.import(&topology, Dialect::Kombu57).await?;
        }
        Order::Publish { url, messages } => publish(&url, messages).await?,
        Order::Consume { url, from, count, requeue } => {
            return consume(&url, &from.queue, count, requeue).await;
        }
        Order::Hold { url, queues } => {
            for place in queues {
                hold(&url, &place.queue)?;
            }
        }
        Order::Take { url, queue, prefetch } => {
            if state.consumer.is_none() {
                let options = ConsumerOptions { prefetch, ..options() };
                state.consumer = Some(host(&url).await?.consumer(vec![queue], options)?);
            }
            let consumer = state.consumer.as_mut().ok_or("no consumer")?;
            let Next::Delivery(delivery) = consumer.next(PATIENCE).await? else {
                return Err("nothing came".into());
            };
            let taken = told(&delivery.message())?;
            state.in_hand.push_back(delivery);
            return Ok(taken);
        }
        Order::Settle => {
            let delivery = state.in_hand.pop_front().ok_or("nothing is in hand")?;
            return Ok(delivery.ack().await?.into());
        }
        Order::Listen { acks: true, .. } => return Err("listeners have no acks".into()),
        Order::Listen { url, from, .. } => {
            state.listener = Some(host(&url).await?.listen(&from.exchange, &from.binding).await?);
        }
        Order::Collect { count } => {
            return collect(state.listener.take().ok_or("nobody listens")?, count).await;
        }
        Order::Keep { url, exchange, r#type } => {
            let kinds = tables(&exchange, r#type)?;
            let options = ProducerOptions::new().exchange(exchange).tables(kinds);
            state.producer = Some(Producer::connect(&Connection::new(&url)?, options).await?);
        }
        Order::Send { key } => {
            let producer = state.producer.as_ref().ok_or("no producer")?;
            let mut queues = producer.publish(&Message::text("x").routing_key(key)).await?.queues;
            queues.sort_unstable();
            return Ok(json!(queues));
        }
        Order::SimplePut { url, queue, bodies } => {
            let queue = SimpleQueue::open(&host(&url).await?, &queue).await?;
            for body in bodies {
                queue.put(&keyrail_core::kombu::Envelope::json(&body.into())).await?;
            }
            queue.close().await?;
        }
        Order::SimpleGet { url, queue, count } => {
            let mut queue = SimpleQueue::open(&host(&url).await?, &queue).await?;
            let mut got = Vec::new();
            while got.len() < count {
                let delivery = queue.get(PATIENCE).await?.ok_or("nothing came")?;
                got.push(delivery.message().body.as_json().cloned().ok_or("no JSON")?);
                delivery.ack().await?;
            }
            queue.close().await?;
            return Ok(got.into());
        }
    }
    Ok(Value::Null)
}

async fn host(url: &str) -> Result<Host<Redis>, Box<dyn std::error::Error>> {
    let connection = Connection::new(url)?;
    let layout = connection.options().layout.clone();
    Ok(Host::from_tables(connection.connect().await?, layout, load::Options::default()))
}

fn topology(places: &[Place]) -> Result<Topology, Box<dyn std::error::Error>> {
    let mut exchanges = BTreeMap::new();
    let mut bindings = Vec::new();
    for place in places.iter().filter(|place| !place.exchange.is_empty()) {
        exchanges.insert(place.exchange.clone(), exchange(place)?);
        bindings.push(BindingDefinition {
            source: place.exchange.as_str().into(),
            destination: DestinationName::Queue(place.queue.as_str().into()),
            routing_key: place.binding.as_str().into(),
            arguments: Table::new(),
            dialect: Dialect::Kombu57,
            pattern: None,
        });
    }
    Ok(Topology { exchanges: exchanges.into_values().collect(), bindings, ..Topology::default() })
}

fn exchange(place: &Place) -> Result<ExchangeDefinition, Box<dyn std::error::Error>> {
    Ok(ExchangeDefinition::durable(
        place.exchange.as_str(),
        serde_json::from_value::<ExchangeKind>(place.r#type.clone().into())?,
    ))
}

/// Of a Kombu's tables nobody can tell what type they are of.
fn tables(exchange: &str, kind: String) -> Result<load::Options, Box<dyn std::error::Error>> {
    let mut options = load::Options::default();
    options.kinds.insert(exchange.into(), serde_json::from_value::<ExchangeKind>(kind.into())?);
    Ok(options)
}

/// The first alone and the others as a batch: those are two ways through the library.
async fn publish(url: &str, messages: Vec<Sent>) -> Result<(), Box<dyn std::error::Error>> {
    let mut options = ProducerOptions::new().mandatory(true);
    if let Some(Sent { to, .. }) = messages.first() {
        options = options.exchange(to.exchange.as_str()).tables(tables(&to.exchange, to.r#type.clone())?);
    }
    let producer = Producer::connect(&Connection::new(url)?, options).await?;
    let mut messages = messages.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() {
        return Ok(());
    }
    producer.publish(&messages.remove(0)).await?;
    for confirm in producer.publish_all(&messages).await {
        confirm?;
    }
    Ok(())
}

fn message(sent: Sent) -> Result<Message, Box<dyn std::error::Error>> {
    let mut message = match sent.body {
        Value::String(text) => Message::text(text),
        body => Message::json(&body)?,
    };
    message = message.routing_key(sent.to.key).headers(sent.options.headers.unwrap_or_default());
    if let Some(priority) = sent.options.priority {
        message = message.priority(priority);
    }
    if let Some(codec) = sent.options.compression {
        message = message.compression(Some(codec.parse()?));
    }
    if let Some(seconds) = sent.options.expiration {
        message = message.expiration(Duration::from_secs_f64(seconds));
    }
    Ok(message)
}

fn told(message: &ReceivedMessage) -> Answer {
    let mut told = serde_json::to_value(message)?;
    let properties = &message.properties;
    let (priority, expiration) = (properties.get("priority").cloned(), properties.get("expiration").cloned());
    let fields = told.as_object_mut().ok_or("no object")?;
    let key = fields.remove("routingKey").ok_or("no key")?;
    fields.extend([
        ("key".into(), key),
        ("priority".into(), priority.unwrap_or_default()),
        ("expiration".into(), expiration.unwrap_or_default()),
    ]);
    Ok(told)
}

fn options() -> ConsumerOptions {
    ConsumerOptions { prefetch: 1, restore_interval: OFTEN, ..ConsumerOptions::default() }
}

/// Takes `count` messages, acking each, and before them `requeue`, which go back.
async fn consume(url: &str, queue: &str, count: usize, requeue: usize) -> Answer {
    let mut consumer = host(url).await?.consumer(vec![queue.into()], options())?;
    let mut got = Vec::new();
    while got.len() < count + requeue {
        let Next::Delivery(delivery) = consumer.next(PATIENCE).await? else {
            return Err(format!("after {} came no message", got.len()).into());
        };
        got.push(told(&delivery.message())?);
        let settled = if got.len() <= requeue { delivery.requeue(Requeue::Last) } else { delivery.ack() };
        if !settled.await? {
            return Err("it was not registered any more".into());
        }
    }
    consumer.close().await?;
    Ok(got.into())
}

/// Another process takes a message and is killed.
fn hold(url: &str, queue: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["hold", url, queue])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let heard = BufReader::new(holder.stdout.take().ok_or("no pipe")?).read_line(&mut line);
    holder.kill()?;
    holder.wait()?;
    heard?;
    if line == "held\n" { Ok(()) } else { Err(format!("nothing was taken: {line}").into()) }
}

async fn hold_until_killed(url: &str, queue: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut consumer = host(url).await?.consumer(vec![queue.into()], options())?;
    let Next::Delivery(_held) = consumer.next(PATIENCE).await? else { return Err("nothing came".into()) };
    println!("held");
    std::io::stdout().flush()?;
    std::future::pending().await
}

async fn collect(mut listener: FanoutListener, count: usize) -> Answer {
    let mut got = Vec::new();
    while got.len() < count {
        match listener.next(PATIENCE).await? {
            News::Message(message) => got.push(told(&message)?),
            News::Gap => return Err("it was cut off".into()),
            News::Idle => return Err(format!("after {} came no message", got.len()).into()),
        }
    }
    Ok(got.into())
}
