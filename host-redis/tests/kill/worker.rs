//! The consumers that are killed: processes of this program, or of a peer.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use keyrail_core::kombu::{self, Plan, plan};
use keyrail_redis::{ConsumerOptions, Executor, Host, Next, ReceivedMessage, Reply, load};

use super::{
    QUEUE, Taking, VISIBILITY,
    harness::number,
    publisher::message,
    server::Address,
    support::{self, PATIENCE, RedisServer},
};

/// A worker's process.
pub(crate) struct Worker {
    child: Child,
    lines: mpsc::Receiver<u64>,
    done: Vec<u64>,
}

impl Worker {
    pub(crate) fn start(taking: Taking, address: &Address) -> Self {
        let mut command = match taking {
            Taking::Atomic | Taking::Split => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["--exact", "worker::a_worker_prints_before_it_acks", "--nocapture"]);
                command.env("KEYRAIL_KILL_WORKER", &address.url).env("KEYRAIL_KILL_PREFIX", &address.prefix);
                command.env("KEYRAIL_KILL_TAKING", format!("{taking:?}"));
                command
            }
            Taking::Kombu | Taking::Celery => {
                let python = std::env::var_os("KEYRAIL_KILL_PEERS").expect("the peers' interpreter");
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interop");
                let mut command = Command::new(python);
                command
                    .arg("kill_worker.py")
                    .arg(format!("{taking:?}").to_lowercase())
                    .arg(&address.url)
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

    pub(crate) fn wait_for_work(&mut self) {
        self.done.push(self.lines.recv_timeout(PATIENCE).expect("a worker that works"));
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }

    pub(crate) fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("child").is_none() {
            assert!(Instant::now() < deadline, "a worker does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every line of a worker that has ended.
    pub(crate) fn add_to(mut self, processed: &mut BTreeMap<u64, usize>) {
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
        let address = Address { url, prefix: std::env::var("KEYRAIL_KILL_PREFIX").unwrap_or_default() };
        let split = std::env::var("KEYRAIL_KILL_TAKING").as_deref() == Ok("Split");
        let out = std::io::stdout();
        return if split { work_in_two_steps(&address, out).await } else { work(&address, out, None).await };
    }
    let redis = RedisServer::start();
    let address = Address::of(&redis);
    let executor = address.connect().await;
    for id in 0..3 {
        executor.run(&message(&address.layout(), Taking::Atomic, id)).await.expect("published");
    }
    let mut out = Vec::new();
    work(&address, &mut out, Some(3)).await;
    assert_eq!(support::text(&out), "done 0\ndone 1\ndone 2\n");
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

async fn work(address: &Address, mut out: impl Write, count: Option<usize>) {
    let host = Host::from_tables(address.connect().await, address.layout(), load::Options::default());
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
async fn work_in_two_steps(address: &Address, mut out: impl Write) {
    let (redis, layout) = (address.connect().await, address.layout());
    let host = Host::from_tables(address.connect().await, address.layout(), load::Options::default());
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
