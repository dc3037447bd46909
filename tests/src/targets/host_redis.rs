//! The public library `keyrail-redis` on a real Redis: what a scenario declares is written there, what it publishes is
//! looked up in the lists.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use keyrail_core::{
    BindingDefinition, ByteString, DestinationName, Dialect,
    kombu::{Command as Redis, Layout, Member, Plan},
};
use keyrail_redis::{
    Bind, Connection, Executor, Freshness, Host, HostError, Listener, Message, ProduceError, Producer,
    ProducerOptions, Reply, load,
};
use tokio::runtime::Runtime;

use super::{KombuAnswers, Quarantined, Target, Unplayed, core};
use crate::scenario::{
    AmqpScenario, Answer, KombuBinding, KombuExchange, KombuPublish, KombuScenario, Publish, Published,
    Repeated, Step, Transport,
};

/// A Redis of its own, emptied before each scenario.
#[derive(Debug)]
pub struct HostRedis {
    runtime: Runtime,
    server: Server,
    connection: Connection,
}

impl HostRedis {
    /// Starts a server on a free port of this machine.
    pub fn start() -> Result<Self, String> {
        let server = Server::start()?;
        let connection = Connection::new(&format!("redis://127.0.0.1:{}/0", server.port))
            .map_err(|error| error.to_string())?;
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        Ok(HostRedis { runtime, server, connection })
    }
}

impl Target for HostRedis {
    fn amqp(&mut self, scenario: &AmqpScenario) -> Result<Vec<Answer>, Unplayed> {
        self.server.flush().map_err(Unplayed::Broken)?;
        self.runtime.block_on(async {
            let play = Play::amqp(&self.connection).await?;
            let mut answers = Vec::new();
            for recorded in &scenario.steps {
                answers.push(play.step(&recorded.step).await?);
            }
            Ok(answers)
        })
    }

    fn kombu(&mut self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
        self.server.flush().map_err(Unplayed::Broken)?;
        // A listener of the last scenario that is still hanging up would be counted as one who hears.
        self.server.until_nobody_listens().map_err(Unplayed::Broken)?;
        self.runtime.block_on(async {
            let play = Play::kombu(&self.connection, scenario).await?;
            play.kombu_scenario(scenario).await
        })
    }
}

/// One scenario.
struct Play {
    host: Host<keyrail_redis::Redis>,
    producer: Producer,
    layout: Layout,
}

fn properties(mut message: Message, publish: &Publish) -> Message {
    for (name, value) in [("correlation_id", &publish.correlation_id), ("message_id", &publish.message_id)] {
        if let Some(value) = value {
            message = message.property(name, &**value);
        }
    }
    match publish.timestamp.map(i64::try_from) {
        Some(Ok(seconds)) => message.property("timestamp", seconds),
        _ => message,
    }
}

/// The exchange of a Kombu scenario.
const EXCHANGE: &str = "x";

fn broken(error: impl std::fmt::Display) -> Unplayed {
    Unplayed::Broken(error.to_string())
}

impl Play {
    async fn amqp(connection: &Connection) -> Result<Self, Unplayed> {
        // A change of one step is seen by the publish of the next, however late Redis announces it.
        let options = ProducerOptions::new().declared_queues_only(true).freshness(Freshness::Strict);
        Play::with(connection, load::Options::default(), options).await
    }

    async fn kombu(connection: &Connection, scenario: &KombuScenario) -> Result<Self, Unplayed> {
        let kinds = scenario.exchange_type.kind().map(|kind| (EXCHANGE.to_owned(), kind));
        // Kombu knows no limit, and some recorded keys are longer than AMQP allows.
        let limits = load::Limits { key_bytes: usize::MAX, ..load::Limits::default() };
        let tables = load::Options { kinds: kinds.into_iter().collect(), limits };
        let options = ProducerOptions::new().tables(tables.clone());
        Play::with(connection, tables, options).await
    }

    async fn with(
        connection: &Connection,
        tables: load::Options,
        options: ProducerOptions,
    ) -> Result<Self, Unplayed> {
        let layout = connection.options().layout.clone();
        let redis = connection.connect().await.map_err(broken)?;
        let producer = Producer::connect(connection, options).await.map_err(broken)?;
        Ok(Play { host: Host::from_tables(redis, layout.clone(), tables), producer, layout })
    }

    async fn step(&self, step: &Step) -> Result<Answer, Unplayed> {
        match step {
            Step::Publish(publish) => self.publish(publish).await,
            Step::BindingsList(end) => {
                let table = self.host.table(None).await.map_err(broken)?;
                Ok(core::list(&table.router, end))
            }
            Step::PublishRepeat { exchange, routing_key, times } => {
                self.repeat(exchange, routing_key, *times).await
            }
            _ => match self.host.apply(&core::operation(step)).await {
                Ok(()) => Ok(Answer::OK),
                Err(HostError::Refused(error)) => Ok(core::refusal(&error)),
                Err(HostError::NotExpressible { reason }) => Err(Unplayed::Unsupported(reason.into())),
                Err(error) => Err(broken(error)),
            },
        }
    }

    async fn publish(&self, publish: &Publish) -> Result<Answer, Unplayed> {
        let message = Message::text("x")
            .exchange(&*publish.exchange)
            .routing_key(publish.routing_key.clone())
            .headers(publish.headers.clone().unwrap_or_default())
            .mandatory(publish.mandatory);
        let message = properties(message, publish);
        let returned = match self.producer.publish(&message).await {
            Ok(_) => false,
            Err(ProduceError::Returned { .. }) => true,
            Err(ProduceError::Host(HostError::Publish(error))) => return Ok(core::refusal(&error.into())),
            Err(error) => return Err(broken(error)),
        };
        let (queues, headers) = self.delivered().await?;
        let delivered_headers = publish.record_headers.then_some(headers);
        Ok(Answer::Published(Published { queues, returned, delivered_headers }))
    }

    async fn repeat(&self, exchange: &str, routing_key: &ByteString, times: u32) -> Result<Answer, Unplayed> {
        let message = Message::text("x").exchange(exchange).routing_key(routing_key.clone());
        let (mut each, mut union) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..times {
            self.producer.publish(&message).await.map_err(broken)?;
            let queues = self.delivered().await?.0;
            each.insert(queues.len());
            union.extend(queues);
        }
        Ok(Answer::Repeated(Repeated {
            each: each.into_iter().collect(),
            union: union.into_iter().collect(),
        }))
    }

    /// The lists that have a message, and the names of its headers; the lists are empty afterwards.
    async fn delivered(&self) -> Result<(BTreeSet<String>, Vec<String>), Unplayed> {
        let redis = self.host.executor();
        let (mut queues, mut headers) = (BTreeSet::new(), Vec::new());
        for key in redis.keys("").await.map_err(broken)? {
            let length = Plan { atomic: false, commands: vec![Redis::LLen { key: key.clone() }] };
            // A key of another type is no list.
            let Ok(replies) = redis.run(&length).await else { continue };
            if replies != [Reply::Count(1)] {
                return Err(broken(format_args!("`{key}` got more than one copy: {replies:?}")));
            }
            let pop = Plan { atomic: false, commands: vec![Redis::RPop { key: key.clone() }] };
            let replies = redis.run(&pop).await.map_err(broken)?;
            let Some(Reply::Value(Some(payload))) = replies.first() else {
                return Err(broken(format_args!("`{key}` is empty")));
            };
            let message = keyrail_redis::ReceivedMessage::decode(&key, payload);
            headers = message.headers.keys().cloned().collect();
            headers.sort();
            queues.insert(key);
        }
        Ok((queues, headers))
    }

    async fn kombu_scenario(&self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
        if scenario.transport == Transport::RedisFanout {
            return self.channels(scenario).await;
        }
        for binding in &scenario.bindings {
            self.bind(scenario, binding).await?;
        }
        let refused = match scenario.exchange_type {
            KombuExchange::Default => Vec::new(),
            _ => self.producer.quarantine(EXCHANGE).await.map_err(broken)?,
        };
        let mut answers = Vec::new();
        for publish in &scenario.publishes {
            self.publish_key(scenario, publish).await?;
            answers.push(self.delivered().await?.0);
        }
        let mut quarantined = Vec::new();
        for (index, binding) in scenario.bindings.iter().enumerate() {
            let row = self.row(binding)?.escape_ascii().to_string();
            if let Some(refused) = refused.iter().find(|refused| refused.row == row) {
                quarantined.push(Quarantined { index, code: refused.reason.code().to_owned() });
            }
        }
        Ok(KombuAnswers { quarantined, answers })
    }

    fn row(&self, binding: &KombuBinding) -> Result<Vec<u8>, Unplayed> {
        let member = Member {
            routing_key: binding.routing_key.clone(),
            pattern: binding.pattern.clone().unwrap_or_default(),
            queue: binding.queue.clone(),
        };
        member.to_bytes(&self.layout.sep).map_err(broken)
    }

    /// Writes the row that Kombu wrote. A queue of Kombu's memory transport hears every fanout message, as one that is
    /// bound with AMQP's meaning does here.
    async fn bind(&self, scenario: &KombuScenario, binding: &KombuBinding) -> Result<(), Unplayed> {
        if scenario.exchange_type == KombuExchange::Default {
            return Ok(());
        }
        if scenario.exchange_type == KombuExchange::Fanout {
            let binding = BindingDefinition {
                source: EXCHANGE.into(),
                destination: DestinationName::Queue(binding.queue.as_str().into()),
                routing_key: binding.routing_key.as_str().into(),
                arguments: keyrail_core::Table::new(),
                dialect: Dialect::Amqp,
                pattern: None,
            };
            let bind = Bind { binding, kind: scenario.exchange_type.kind(), dialect: Dialect::Amqp };
            return self.host.bind(&bind).await.map(drop).map_err(broken);
        }
        let (key, member) = (self.layout.binding_table(EXCHANGE), self.row(binding)?);
        let plan = Plan { atomic: false, commands: vec![Redis::SAdd { key, member }] };
        self.host.executor().run(&plan).await.map(drop).map_err(broken)
    }

    async fn publish_key(&self, scenario: &KombuScenario, publish: &KombuPublish) -> Result<(), Unplayed> {
        let exchange = if scenario.exchange_type == KombuExchange::Default { "" } else { EXCHANGE };
        let message = Message::text("x").exchange(exchange).routing_key(&*publish.routing_key);
        self.producer.publish(&message).await.map(drop).map_err(broken)
    }

    /// Fanout on a real Redis: who subscribed to what hears it.
    async fn channels(&self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
        let mut listeners: Vec<(String, Listener)> = Vec::new();
        let mut quarantined = Vec::new();
        for (index, binding) in scenario.bindings.iter().enumerate() {
            if let Err(error) = keyrail_core::kombu::check_fanout_exchange(EXCHANGE) {
                quarantined.push(Quarantined { index, code: error.code().to_owned() });
                continue;
            }
            let pattern = self.layout.fanout_pattern(EXCHANGE, &binding.routing_key);
            let listener = self.host.executor().subscribe(&[pattern]).await.map_err(broken)?;
            listeners.push((binding.queue.clone(), listener));
        }
        let mut answers = Vec::new();
        for publish in &scenario.publishes {
            let message = Message::text("x").exchange(EXCHANGE).routing_key(&*publish.routing_key);
            let confirm = self.producer.publish(&message).await.map_err(broken)?;
            let heard = confirm.fanout.iter().map(|sent| sent.receivers).sum::<i64>();
            answers.push(self.heard(&mut listeners, heard).await?);
        }
        Ok(KombuAnswers { quarantined, answers })
    }

    /// Waits for as many deliveries as Redis counted.
    async fn heard(
        &self,
        listeners: &mut [(String, Listener)],
        count: i64,
    ) -> Result<BTreeSet<String>, Unplayed> {
        let mut queues = BTreeSet::new();
        let deadline = Instant::now() + PATIENCE;
        let mut left = count;
        while left > 0 {
            for (queue, listener) in listeners.iter_mut() {
                let moment = Duration::from_millis(2);
                if let Ok(Some(_)) = tokio::time::timeout(moment, listener.next()).await {
                    left -= 1;
                    queues.insert(queue.clone());
                }
            }
            if Instant::now() > deadline {
                return Err(broken(format_args!("{left} of {count} subscribers heard nothing")));
            }
        }
        Ok(queues)
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

/// A redis-server of this process.
#[derive(Debug)]
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start() -> Result<Self, String> {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        drop(listener);
        let folder = std::env::temp_dir().join(format!("keyrail-conformance-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let child = Command::new(&program)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .arg("--dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let mut server = Server { child, port, folder };
        let deadline = Instant::now() + PATIENCE;
        while server.flush().is_err() {
            let ended = server.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!("{program} does not start"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn flush(&self) -> Result<(), String> {
        let answer = self.ask("FLUSHALL")?;
        (answer == "+OK").then_some(()).ok_or_else(|| format!("FLUSHALL is refused: {answer}"))
    }

    fn until_nobody_listens(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.ask("PUBSUB NUMPAT")? != ":0" {
            if Instant::now() > deadline {
                return Err("somebody still listens".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The first line of the answer to a command.
    fn ask(&self, command: &str) -> Result<String, String> {
        use std::io::{BufRead, BufReader, Write};
        let failed = |error: std::io::Error| error.to_string();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.write_all(format!("{command}\r\n").as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).map_err(failed)?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
