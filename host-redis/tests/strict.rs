//! A strict producer against models of random changes: every answer, a refusal too, is one that was true between the
//! start of the publish and its end.

mod support;

use std::{
    collections::BTreeSet,
    io::Write,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use keyrail_core::{
    Dialect, ExchangeDefinition, ExchangeKind, Table,
    kombu::{Command, Layout, Member, SEPARATOR},
};
use keyrail_redis::{Connection, Freshness, Message, ProduceError, Producer, ProducerOptions, registry};
use support::{RedisServer, cluster::until};

const EXCHANGES: &str = "keyrail.exchange";
const TABLE: &str = "_kombu.binding.x";

/// What one publish came to: the queues, or the code of the refusal.
type Answer = Result<BTreeSet<String>, &'static str>;

async fn strict(server: &RedisServer) -> Producer {
    let connection = Connection::new(&server.url()).expect("a URL");
    let options = ProducerOptions::new().exchange("x").mandatory(true).freshness(Freshness::Strict);
    Producer::connect(&connection, options).await.expect("a producer")
}

async fn publish(producer: &Producer, key: &str) -> Answer {
    match producer.publish(&Message::text("m").routing_key(key)).await {
        Ok(confirm) => Ok(confirm.queues.into_iter().collect()),
        Err(ProduceError::TableMoved { .. }) => panic!("the model changes too fast"),
        Err(error) => Err(error.code()),
    }
}

fn definition(kind: ExchangeKind, internal: bool, alternate: Option<&str>) -> String {
    let exchange = ExchangeDefinition {
        name: "x".into(),
        kind,
        durable: true,
        auto_delete: false,
        internal,
        alternate_exchange: alternate.map(Into::into),
        arguments: Table::new(),
    };
    match registry::declare_exchange(&Layout::default(), &exchange) {
        Command::HSet { value, .. } => String::from_utf8(value).expect("JSON"),
        other => panic!("{other:?}"),
    }
}

fn row(key: &str, queue: &str) -> String {
    let member = Member::topic(key, queue, Dialect::Kombu57).expect("a key");
    String::from_utf8(member.to_bytes(SEPARATOR).expect("a row")).expect("text")
}

/// The exchange is made anew in one step on the server: its definition, or none, and its only row, or none.
fn replace(server: &RedisServer, definition: &str, row: &str) {
    let script = "redis.call('DEL', KEYS[2]) \
                  if ARGV[1] == '' then redis.call('HDEL', KEYS[1], 'x') \
                  else redis.call('HSET', KEYS[1], 'x', ARGV[1]) end \
                  if ARGV[2] ~= '' then redis.call('SADD', KEYS[2], ARGV[2]) end";
    server.command(&["EVAL", script, "2", EXCHANGES, TABLE, definition, row]);
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What the server holds of `x`.
#[derive(Default)]
struct Model {
    /// Internal or not, with an alternate exchange or not.
    declared: Option<(bool, bool)>,
    rows: BTreeSet<(String, &'static str)>,
}

impl Model {
    fn answer(&self) -> Answer {
        match self.declared {
            None => Err("exchange-not-found"),
            Some((true, _)) => Err("internal-exchange"),
            Some((false, alternate)) => {
                let queues: BTreeSet<_> = self.rows.iter().map(|(queue, _)| queue.clone()).collect();
                match (queues.is_empty(), alternate) {
                    (false, _) => Ok(queues),
                    (true, true) => Ok(BTreeSet::from(["rest".into()])),
                    (true, false) => Err("no-route"),
                }
            }
        }
    }

    fn change(&mut self, server: &RedisServer, random: &mut Random) {
        let queue = format!("m{}", random.below(4));
        let key = ["a.*", "a.#", "*.b", "a.b"][random.below(4) as usize];
        let (internal, alternate) = (random.below(5) == 0, random.below(2) == 0);
        match random.below(8) {
            0 => {
                replace(server, "", "");
                *self = Model::default();
            }
            // Declared, or deleted and declared again at once.
            1 | 2 => {
                let alternate_exchange = alternate.then_some("others");
                replace(server, &definition(ExchangeKind::Topic, internal, alternate_exchange), "");
                *self = Model { declared: Some((internal, alternate)), rows: BTreeSet::new() };
            }
            3..=5 if self.declared.is_some() => {
                server.command(&["SADD", TABLE, &row(key, &queue)]);
                self.rows.insert((queue, key));
            }
            _ => {
                server.command(&["SREM", TABLE, &row(key, &queue)]);
                self.rows.remove(&(queue, key));
            }
        }
    }
}

#[tokio::test]
async fn a_publish_after_a_change_answers_by_it() {
    let server = RedisServer::start();
    server.command(&["SADD", "_kombu.binding.others", "a.b\x06\x16\x06\x16rest"]);
    let producers = [strict(&server).await, strict(&server).await];
    let (mut random, mut model) = (Random(0x2545_f491_4f6c_dd1d), Model::default());
    let mut seen = BTreeSet::new();
    for step in 0..1500 {
        // Several changes without a publish leave one producer's table further behind than the other's.
        for _ in 0..random.below(3) {
            model.change(&server, &mut random);
        }
        let answer = publish(&producers[random.below(2) as usize], "a.b").await;
        assert_eq!(answer, model.answer(), "step {step}");
        seen.insert(answer.map(|queues| queues.len()));
    }
    let expected = [Ok(1), Ok(2), Err("exchange-not-found"), Err("internal-exchange"), Err("no-route")];
    assert!(expected.iter().all(|answer| seen.contains(answer)), "{seen:?}");
}

/// Version `n` of the exchange, and what a publish answers by it.
fn version(n: u64) -> (String, String, Answer) {
    let queue = format!("v{n}");
    let declared = |internal| definition(ExchangeKind::Topic, internal, None);
    match n % 5 {
        0 => (declared(false), row("k", &queue), Ok(BTreeSet::from([queue]))),
        1 => (String::new(), String::new(), Err("exchange-not-found")),
        // Nobody declared it; the row alone says that it is there.
        2 => (String::new(), row("k", &queue), Ok(BTreeSet::from([queue]))),
        3 => (declared(false), String::new(), Err("no-route")),
        _ => (declared(true), row("k", &queue), Err("internal-exchange")),
    }
}

/// Makes one version after the other until it is told to stop; `changes` counts those that are there.
fn writer(
    server: &Arc<RedisServer>,
    next: impl Fn(u64) -> (String, String) + Send + 'static,
) -> (Arc<AtomicU64>, impl FnOnce()) {
    let (done, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (definition, row) = next(0);
    replace(server, &definition, &row);
    let thread = {
        let (server, done, changes) = (server.clone(), done.clone(), changes.clone());
        thread::spawn(move || {
            let mut n = 0;
            while !done.load(SeqCst) {
                n += 1;
                let (definition, row) = next(n);
                replace(&server, &definition, &row);
                changes.store(n, SeqCst);
                // From bursts to pauses longer than a publish.
                thread::sleep(Duration::from_micros((n * 7919) % 4000));
            }
        })
    };
    let stop = move || {
        done.store(true, SeqCst);
        thread.join().expect("the writer");
    };
    (changes, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_older_than_its_publish_refusals_included() {
    let server = Arc::new(RedisServer::start());
    let (changes, stop) = writer(&server, |n| {
        let (definition, row, _) = version(n);
        (definition, row)
    });
    let tasks = [strict(&server).await, strict(&server).await].map(|producer| {
        let changes = changes.clone();
        tokio::spawn(async move {
            let (mut told, mut overtaken) = (BTreeSet::new(), 0);
            for _ in 0..400 {
                let before = changes.load(SeqCst);
                let answer = publish(&producer, "k").await;
                // The writer counts a change only after it was made.
                let after = changes.load(SeqCst) + 1;
                let possible = (before..=after).any(|n| version(n).2 == answer);
                assert!(possible, "{answer:?} between v{before} and v{after}");
                overtaken += u64::from(after > before + 1);
                // Any answer is possible once all five kinds of version went by.
                if after - before < 4 {
                    told.insert(answer.map(drop));
                }
            }
            (told, overtaken)
        })
    });
    let (mut told, mut overtaken) = (BTreeSet::new(), 0);
    for task in tasks {
        let ended = task.await.expect("a task");
        told.extend(ended.0);
        overtaken += ended.1;
    }
    stop();
    assert!(overtaken > 0, "no change fell into a publish, so nothing was shown");
    assert_eq!(told.len(), 4, "every kind of answer came where it says something: {told:?}");
}

/// A reading takes several commands. Between two of them the exchange may change the key that says that it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_exchange_that_is_deleted_and_declared_again_in_one_step_is_never_unknown() {
    let server = Arc::new(RedisServer::start());
    let (_, stop) = writer(&server, |n| match n % 2 {
        0 => (definition(ExchangeKind::Topic, false, None), String::new()),
        _ => (String::new(), row("k", "q")),
    });
    let producer = strict(&server).await;
    let mut answers = BTreeSet::new();
    for _ in 0..600 {
        answers.insert(publish(&producer, "k").await);
    }
    stop();
    assert_eq!(answers, BTreeSet::from([Ok(BTreeSet::from(["q".into()])), Err("no-route")]));
}

/// Publishes, and makes this change between the watch and the transaction.
async fn overtaken<T>(server: &RedisServer, change: &[&str], publish: impl Future<Output = T>) -> T {
    // Writes wait, and are executed in the order in which they came: the change before each transaction.
    server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let mut changes = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    let parts: String = change.iter().map(|part| format!("${}\r\n{part}\r\n", part.len())).collect();
    changes.write_all(format!("*{}\r\n{parts}", change.len()).as_bytes()).expect("sent");
    let blocked = || {
        let clients = server.command(&["CLIENT", "LIST"]);
        let flags = clients.split(' ').filter_map(|fact| fact.strip_prefix("flags="));
        flags.filter(|flags| flags.contains('b')).count()
    };
    until("the change waits", || blocked() == 1).await;
    let goes_on = async {
        until("a transaction waits", || blocked() == 2).await;
        server.command(&["CLIENT", "UNPAUSE"]);
    };
    tokio::join!(publish, goes_on).0
}

/// The watch of one publish ends with the transaction of another one on the same connection.
#[tokio::test]
async fn publishes_of_one_producer_do_not_share_a_watch() {
    let server = RedisServer::start();
    let producer = strict(&server).await;
    server.command(&["HSET", EXCHANGES, "x", &definition(ExchangeKind::Topic, false, None)]);
    server.command(&["SADD", TABLE, &row("k", "before")]);
    assert_eq!(publish(&producer, "k").await, Ok(["before".to_owned()].into()));
    let two = async { tokio::join!(publish(&producer, "k"), publish(&producer, "k")) };
    let (one, other) = overtaken(&server, &["SADD", TABLE, &row("k", "after")], two).await;
    let both = ["after".to_owned(), "before".to_owned()].into();
    assert_eq!([&one, &other], [&Ok(both); 2]);
}

/// What only keyrail's own keys say is watched as well as Kombu's tables: the alternate exchange, and a binding to an
/// exchange.
#[tokio::test]
async fn a_change_of_keyrails_own_keys_alone_overtakes_too() {
    let server = RedisServer::start();
    for exchange in ["first", "second"] {
        server.command(&["SADD", &format!("_kombu.binding.{exchange}"), &row("k", exchange)]);
    }
    let to_first = definition(ExchangeKind::Topic, false, Some("first"));
    let to_second = definition(ExchangeKind::Topic, false, Some("second"));
    server.command(&["HSET", EXCHANGES, "x", &to_first]);
    let producer = strict(&server).await;
    assert_eq!(publish(&producer, "k").await, Ok(["first".to_owned()].into()));
    let change = ["HSET", EXCHANGES, "x", &to_second];
    let answer = overtaken(&server, &change, publish(&producer, "k")).await;
    assert_eq!(answer, Ok(["second".to_owned()].into()));
    // A queue of its own, and another exchange beside it.
    server.command(&["SADD", TABLE, &row("k", "own")]);
    assert_eq!(publish(&producer, "k").await, Ok(["own".to_owned()].into()));
    let binding = r#"{"source":"x","destination":{"exchange":"first"},"routingKey":"k"}"#;
    let change = ["SADD", "keyrail.binding", binding];
    let answer = overtaken(&server, &change, publish(&producer, "k")).await;
    assert_eq!(answer, Ok(["first".to_owned(), "own".to_owned()].into()));
    let copies = ["first", "second", "own"].map(|queue| server.command(&["LLEN", queue]));
    assert_eq!(copies, [":2\r\n", ":1\r\n", ":2\r\n"]);
}
