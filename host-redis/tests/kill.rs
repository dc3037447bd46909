//! Consumers that are killed under load lose nothing, and the harness that says so can tell.
//!
//! Workers are processes of this program. What counts as processed is what a worker has written before its ack; a kill
//! counts if the worker held a delivery. `KEYRAIL_KILLS` sets the number of kills, `KEYRAIL_KILL_REPORT` a file for the
//! figures, and `KEYRAIL_KILL_PEERS` a Python that has Kombu and Celery, whose workers are killed alike and compared.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use keyrail_core::kombu::{self, Envelope, Json, Layout, Plan, plan};
use keyrail_redis::{
    ConsumerOptions, Executor, Host, Next, ReceivedMessage, Redis, RedisOptions, Reply, load,
};
use support::{PATIENCE, RedisServer, proxy::Proxy};

const QUEUE: &str = "work";

/// Long enough for a busy machine to keep a living worker's deliveries alive.
const VISIBILITY: Duration = Duration::from_secs(4);

/// How a worker takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Taking {
    /// As keyrail's consumer does.
    Atomic,
    /// As Kombu does: it pops, and then registers.
    Split,
    /// Kombu's own consumer, acking after the work.
    Kombu,
    /// A real Celery worker with late acks.
    Celery,
}

/// What a run does besides killing.
#[derive(Clone, Copy)]
struct Harness {
    taking: Taking,
    kills: usize,
    /// Whether workers are also told to stop, connections cut, clients killed by the server, and the server restarted.
    mixed: bool,
}

/// What came of it.
#[derive(Debug, Default)]
struct Figures {
    kills: usize,
    uncounted: usize,
    terminated: usize,
    restarts: usize,
    cuts: usize,
    client_kills: usize,
    published: usize,
    processed: usize,
    duplicates: usize,
    /// Of messages that no killed worker held.
    unexplained: usize,
    lost: usize,
}

#[test]
fn twenty_kills_lose_nothing() {
    let kills = std::env::var("KEYRAIL_KILLS").map_or(20, |kills| kills.parse().expect("a number"));
    let figures = Harness { taking: Taking::Atomic, kills, mixed: true }.run();
    report("keyrail", &figures);
    assert_eq!(figures.lost, 0, "{figures:?}");
    assert_eq!(figures.unexplained, 0, "{figures:?}");
    assert_eq!(figures.kills, kills, "{figures:?}");
    assert!(figures.terminated > 0 && figures.restarts > 0 && figures.cuts > 0, "{figures:?}");
    assert!(figures.client_kills > 0, "{figures:?}");
}

/// The same harness finds what is lost between popping and registering.
#[test]
fn without_the_atomic_take_the_harness_reports_a_loss() {
    let mut tried = 0;
    while tried < 100 {
        let figures = Harness { taking: Taking::Split, kills: 20, mixed: false }.run();
        tried += figures.kills;
        report("keyrail, taking in two steps", &figures);
        if figures.lost > 0 {
            return;
        }
    }
    panic!("{tried} kills lost nothing");
}

/// Runs only where `KEYRAIL_KILL_PEERS` names the peers' interpreter: the comparison is no test.
#[test]
fn peers_beside_it() {
    if std::env::var_os("KEYRAIL_KILL_PEERS").is_none() {
        return;
    }
    for (name, taking) in [("Kombu 5.7.0", Taking::Kombu), ("Celery 5.7.0, acks_late", Taking::Celery)] {
        report(name, &Harness { taking, kills: 20, mixed: false }.run());
    }
}

impl Harness {
    fn run(self) -> Figures {
        let mut redis = RedisServer::start_durable();
        let proxy = Proxy::to(redis.port);
        let publisher = Publisher::start(redis.url(), self.taking);
        let url = if self.mixed { proxy.url() } else { redis.url() };
        let mut random = Random::new();
        let mut figures = Figures::default();
        let mut processed: BTreeMap<u64, usize> = BTreeMap::new();
        // What a killed worker held, by name and by message.
        let (mut known, mut explained) = (BTreeSet::new(), BTreeSet::new());
        let mut round = 0;
        while figures.kills < self.kills {
            let mut worker = Worker::start(self.taking, &url);
            worker.wait_for_work();
            thread::sleep(Duration::from_millis(5 + random.below(80)));
            if self.mixed {
                match round % 8 {
                    1 => figures.cuts += usize::from(proxy.cut() > 0),
                    3 => {
                        redis.restart();
                        figures.restarts += 1;
                    }
                    5 => {
                        let killed = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
                        figures.client_kills += usize::from(killed.starts_with(':'));
                    }
                    7 => {
                        worker.terminate();
                        figures.terminated += 1;
                        worker.add_to(&mut processed);
                        round += 1;
                        continue;
                    }
                    _ => {}
                }
                thread::sleep(Duration::from_millis(random.below(200)));
            }
            worker.kill();
            // What it had sent is on its way still.
            thread::sleep(Duration::from_millis(30));
            let held = held(&redis);
            let counts = held.keys().any(|delivery| !known.contains(delivery));
            if counts {
                figures.kills += 1;
            } else {
                figures.uncounted += 1;
            }
            explained.extend(held.values().copied());
            known.extend(held.into_keys());
            worker.add_to(&mut processed);
            round += 1;
        }
        let published = publisher.stop();
        let mut last = Worker::start(self.taking, &redis.url());
        // Whoever restores late has to wait for the visibility timeout; Kombu looks only now and then.
        let deadline = Instant::now() + PATIENCE;
        while !is_empty(&redis) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        last.terminate();
        last.add_to(&mut processed);
        figures.published = published.len();
        figures.processed = processed.len();
        figures.lost = published.iter().filter(|id| !processed.contains_key(id)).count();
        for (id, times) in &processed {
            figures.duplicates += times - 1;
            figures.unexplained += if explained.contains(id) { 0 } else { times - 1 };
        }
        figures
    }
}

/// What is registered now: deliveries with the number in their message.
fn held(redis: &RedisServer) -> BTreeMap<String, u64> {
    let hash = block_on(async { connect(&redis.url()).await.hash("unacked").await.expect("hash") });
    hash.into_iter()
        .map(|(delivery, record)| {
            let (envelope, _, _): (Json, Option<String>, Option<String>) =
                serde_json::from_slice(&record).expect("a record");
            let envelope = serde_json::to_vec(&envelope).expect("JSON");
            (delivery, number(&ReceivedMessage::decode(QUEUE, &envelope)))
        })
        .collect()
}

/// The number of a message: its body, or the first argument of a task.
fn number(message: &ReceivedMessage) -> u64 {
    let number = match (message.body.as_text(), message.body.as_json()) {
        (Some(text), _) => text.parse().ok(),
        (_, Some(json)) => json.as_u64().or_else(|| json[0][0].as_u64()),
        _ => None,
    };
    number.unwrap_or_else(|| panic!("no number in {message:?}"))
}

fn is_empty(redis: &RedisServer) -> bool {
    redis.command(&["EXISTS", QUEUE, "unacked"]) == ":0\r\n"
}

/// Publishes for as long as it lives, so that there is always work.
struct Publisher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Publisher {
    fn start(url: String, taking: Taking) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            block_on(async {
                let redis = connect(&url).await;
                let layout = Layout::default();
                let (mut next, mut published) = (0, Vec::new());
                while !stopped.load(Ordering::Relaxed) {
                    let waiting = match redis.run(&plan::count(&layout, QUEUE)).await {
                        Ok(replies) => matches!(replies[..], [Reply::Count(waiting), ..] if waiting > 400),
                        Err(_) => true,
                    };
                    if !waiting {
                        let ids: Vec<u64> = (next..next + 100).collect();
                        let commands = ids.iter().flat_map(|id| message(&layout, taking, *id).commands);
                        // Known to be there, or not known: then it is no loss if it is not, and it has a number of its own.
                        if redis.run(&Plan { commands: commands.collect(), atomic: true }).await.is_ok() {
                            published.extend(ids);
                        }
                        next += 100;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                published
            })
        });
        Publisher { stop, thread }
    }

    fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("published")
    }
}

fn message(layout: &Layout, taking: Taking, id: u64) -> Plan {
    let tag = uuid::Uuid::new_v4().to_string();
    let envelope = match taking {
        Taking::Celery => {
            let number = Json::Int(i64::try_from(id).expect("small"));
            kombu::Task { args: vec![number], ..kombu::Task::new("shop.work", &tag) }.envelope()
        }
        _ => Envelope::text(&id.to_string()),
    };
    plan::publish_default(layout, QUEUE, &envelope, &tag)
}

/// A worker's process.
struct Worker {
    child: Child,
    lines: mpsc::Receiver<u64>,
    done: Vec<u64>,
}

impl Worker {
    fn start(taking: Taking, url: &str) -> Self {
        let mut command = match taking {
            Taking::Atomic | Taking::Split => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["--exact", "a_worker_prints_before_it_acks", "--nocapture"]);
                command.env("KEYRAIL_KILL_WORKER", url).env("KEYRAIL_KILL_TAKING", format!("{taking:?}"));
                command
            }
            Taking::Kombu | Taking::Celery => {
                let python = std::env::var_os("KEYRAIL_KILL_PEERS").expect("the peers' interpreter");
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interop");
                let mut command = Command::new(python);
                command
                    .arg("kill_worker.py")
                    .arg(format!("{taking:?}").to_lowercase())
                    .arg(url)
                    .current_dir(folder);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(id) = line.strip_prefix("done ").and_then(|id| id.parse().ok()) {
                    let _ = sender.send(id);
                }
            }
        });
        Worker { child, lines, done: Vec::new() }
    }

    fn wait_for_work(&mut self) {
        self.done.push(self.lines.recv_timeout(PATIENCE).expect("a worker that works"));
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }

    fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("child").is_none() {
            assert!(Instant::now() < deadline, "a worker does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every line of a worker that has ended.
    fn add_to(mut self, processed: &mut BTreeMap<u64, usize>) {
        while let Ok(id) = self.lines.recv() {
            self.done.push(id);
        }
        for id in self.done.drain(..) {
            *processed.entry(id).or_default() += 1;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's own program, and its test: without a word from the harness it serves three messages of its own.
#[tokio::test]
async fn a_worker_prints_before_it_acks() {
    if let Ok(url) = std::env::var("KEYRAIL_KILL_WORKER") {
        let split = std::env::var("KEYRAIL_KILL_TAKING").as_deref() == Ok("Split");
        let out = std::io::stdout();
        return if split { work_in_two_steps(&url, out).await } else { work(&url, out, None).await };
    }
    let redis = RedisServer::start();
    let executor = connect(&redis.url()).await;
    for id in 0..3 {
        executor.run(&message(&Layout::default(), Taking::Atomic, id)).await.expect("published");
    }
    let mut out = Vec::new();
    work(&redis.url(), &mut out, Some(3)).await;
    assert_eq!(support::text(&out), "done 0\ndone 1\ndone 2\n");
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

async fn work(url: &str, mut out: impl Write, count: Option<usize>) {
    let host = Host::from_tables(connect(url).await, Layout::default(), load::Options::default());
    let options = ConsumerOptions { visibility_timeout: VISIBILITY, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec![QUEUE.into()], options).expect("a consumer");
    let mut stop =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a signal");
    let mut left = count.unwrap_or(usize::MAX);
    while left > 0 {
        let next = tokio::select! {
            _ = stop.recv() => break,
            next = consumer.next(PATIENCE) => next,
        };
        let Ok(Next::Delivery(delivery)) = next else { continue };
        finish(&mut out, &delivery.message());
        drop(delivery.ack());
        left -= 1;
        // The work.
        if count.is_none() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    consumer.close().await.expect("closed");
}

/// One message at a time, taken as Kombu takes.
async fn work_in_two_steps(url: &str, mut out: impl Write) {
    let (redis, layout) = (connect(url).await, Layout::default());
    let host = Host::from_tables(connect(url).await, Layout::default(), load::Options::default());
    host.restore(VISIBILITY).await.expect("restored");
    let mut stop =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a signal");
    let mut restored = Instant::now();
    loop {
        let pop = kombu::Command::RPop { key: QUEUE.into() };
        let popped = redis.run(&Plan { commands: vec![pop], atomic: false }).await.expect("popped");
        if let [Reply::Value(Some(payload))] = &popped[..] {
            let delivery = uuid::Uuid::new_v4().to_string();
            let now = redis.now().await.expect("now");
            redis.run(&plan::register(&layout, &delivery, QUEUE, payload, now)).await.expect("registered");
            finish(&mut out, &ReceivedMessage::decode(QUEUE, payload));
            redis.run(&plan::ack(&layout, &delivery)).await.expect("acked");
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if restored.elapsed() > VISIBILITY / 4 {
            host.restore(VISIBILITY).await.expect("restored");
            restored = Instant::now();
        }
        if tokio::time::timeout(Duration::ZERO, stop.recv()).await.is_ok() {
            return;
        }
    }
}

/// In one write, so that a kill leaves the whole line or none.
fn finish(out: &mut impl Write, message: &ReceivedMessage) {
    out.write_all(format!("done {}\n", number(message)).as_bytes()).expect("written");
    out.flush().expect("written");
}

async fn connect(url: &str) -> Redis {
    Redis::connect(url, RedisOptions::default()).await.expect("Redis").0
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Adds a line to the report, if one is wanted.
fn report(name: &str, figures: &Figures) {
    println!("{name}: {figures:?}");
    let Some(path) = std::env::var_os("KEYRAIL_KILL_REPORT") else { return };
    static LOCK: Mutex<()> = Mutex::new(());
    let _lock = LOCK.lock();
    let line = serde_json::json!({
        "consumer": name, "kills": figures.kills, "kills that found nothing held": figures.uncounted,
        "SIGTERM": figures.terminated, "Redis restarts": figures.restarts, "connection cuts": figures.cuts,
        "CLIENT KILL": figures.client_kills, "published": figures.published, "processed": figures.processed,
        "duplicates": figures.duplicates, "duplicates that no kill explains": figures.unexplained,
        "lost": figures.lost,
    });
    let mut file = std::fs::File::options().create(true).append(true).open(path).expect("a report");
    writeln!(file, "{line}").expect("written");
}

/// Numbers that differ from run to run: what is shown must not depend on them.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Random(uuid::Uuid::new_v4().as_u128() as u64 | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
