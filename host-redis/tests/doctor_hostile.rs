//! The doctor beside strangers, garbage, and a deployment that is busy.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use keyrail_core::{
    Dialect, Topology,
    kombu::{Envelope, Layout},
};
use keyrail_redis::{Connection, ConsumerOptions, Host, Next, Outgoing, doctor::Limits, load};
use support::{
    PATIENCE,
    cluster::until,
    doctor::{Site, doctor, message, plain, record, repairable, topic},
};

/// The same numbers in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Bytes that may be anything: rows, records, entries, parts of them, and noise.
    fn bytes(&mut self) -> Vec<u8> {
        let whole: [Vec<u8>; 10] = [
            topic("a.*", "q", Dialect::Kombu56),
            topic("a.*", "q", Dialect::Kombu57),
            topic("a.*", "q", Dialect::Amqp),
            plain("k", "q"),
            record("x", "q"),
            message("x"),
            b"*a\x06\x16^*a$\x06\x16q".to_vec(),
            br#"{"name": "q", "kind": "topic"}"#.to_vec(),
            br#"{"source":"h","destination":{"queue":"q"},"routingKey":"1"}"#.to_vec(),
            b"9".to_vec(),
        ];
        let mut bytes = whole[self.below(whole.len())].clone();
        match self.below(6) {
            0 => bytes.truncate(self.below(bytes.len() + 1)),
            1 => {
                let at = self.below(bytes.len());
                bytes[at] = self.below(256) as u8;
            }
            2 => bytes = (0..self.below(40)).map(|_| self.below(256) as u8).collect(),
            _ => {}
        }
        bytes
    }
}

const KEYS: [&str; 24] = [
    "_kombu.binding.orders",
    "_kombu.binding.",
    "_kombu.binding.a_kombu.binding.b",
    "_kombu.binding_permanent.orders",
    "_kombu.binding_permanent.",
    "_kombu.binding_deadlines",
    "x_kombu.binding.orders",
    "_kombu.binding.reply.celery.pidbox",
    "_kombu.binding.celery.pidbox",
    "id.reply.celery.pidbox",
    "unacked",
    "unacked_index",
    "unacked_mutex",
    "q",
    "q\x06\x163",
    "q\x06\x165",
    "q\x06\x16",
    "keyrail.exchange",
    "keyrail.queue",
    "keyrail.binding",
    "keyrail.bucket",
    "keyrail.policy",
    "keyrail.quarantine.q",
    "keyrail.quarantine.",
];

fn garbage(site: &mut Site, dice: &mut Dice) {
    let mut names: Vec<Vec<u8>> = KEYS.iter().map(|key| key.as_bytes().to_vec()).collect();
    names.push(b"_kombu.binding.\xff".to_vec());
    names.push(b"\xff\xfe".to_vec());
    for key in names {
        let kind = dice.pick(&["SADD", "SADD", "HSET", "LPUSH", "ZADD", "SET", "XADD", ""]);
        for _ in 0..1 + dice.below(5) {
            let (one, other) = (dice.bytes(), dice.bytes());
            let score = dice.pick(&["1", "-inf", "inf", "1795358854.6965454", "99999999999999"]);
            match kind {
                "SADD" | "LPUSH" => drop(site.run(&[kind.as_bytes(), &key, &one])),
                "HSET" => drop(site.run(&[b"HSET", &key, &one, &other])),
                "ZADD" => drop(site.run(&[b"ZADD", &key, score.as_bytes(), &one])),
                "SET" => drop(site.run(&[b"SET", &key, &one])),
                "XADD" => drop(site.run(&[b"XADD", &key, b"*", &one, &other])),
                _ => {}
            }
        }
    }
}

/// Whatever lies under Kombu's names: it is looked at without a change, and what repair makes of it is taken back to the
/// letter.
#[tokio::test]
async fn garbage_is_named_and_repairs_of_it_are_taken_back() {
    let mut site = Site::start().await;
    let mut dice = Dice(7);
    let mut repairs = 0;
    for round in 0..60 {
        site.say("FLUSHALL");
        garbage(&mut site, &mut dice);
        let before = site.dump();
        let report = site.examine().await;
        assert!(!report.findings.is_empty());
        assert_eq!(site.dump(), before, "round {round}");
        let repaired = site.doctor.repair(&report, &repairable()).await.expect("repaired");
        assert_eq!(repaired.stopped, None, "round {round}");
        let Some(record) = repaired.record else { continue };
        repairs += repaired.findings.iter().map(|mended| mended.done).sum::<usize>();
        let undone = site.doctor.undo_rows(&record).await.expect("taken back");
        assert!(undone.left.is_empty(), "round {round}: {undone:?}");
        assert_eq!(site.dump(), before, "round {round}: {:#?}", repaired.findings);
    }
    assert!(repairs > 200, "{repairs}");
}

/// Others publish, take and ack while one examines and repairs: nothing is taken for wrong that is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_busy_deployment_nothing_is_wrong_and_nothing_is_lost() {
    let site = Site::start().await;
    let topology: Topology = serde_json::from_value(serde_json::json!({
        "exchanges": [{"name": "orders", "kind": "topic"}], "queues": [{"name": "q"}],
        "bindings": [{"source": "orders", "destination": {"queue": "q"}, "routingKey": "a.#", "dialect": "kombu57"}]
    }))
    .expect("a topology");
    let redis = Connection::new(&site.server.url()).expect("a URL").connect().await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    host.import(&topology, Dialect::Kombu57).await.expect("imported");
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (host, stop) = (host.clone(), stop.clone());
        async move {
            let mut sent = 0;
            while !stop.load(Relaxed) {
                host.publish(&Outgoing::new("orders", "a.b", Envelope::text("x"))).await.expect("published");
                sent += 1;
            }
            sent
        }
    });
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let taker = tokio::spawn(async move {
        let mut taken = 0;
        while let Next::Delivery(delivery) = consumer.next(PATIENCE / 60).await.expect("taken") {
            assert!(delivery.ack().await.expect("acked"));
            taken += 1;
        }
        consumer.close().await.expect("closed");
        taken
    });
    until("it is busy", || site.server.command(&["EXISTS", "unacked"]) == ":1\r\n").await;
    let doctor = doctor(&site.server, Limits::default()).await;
    for _ in 0..30 {
        let report = doctor.examine().await.expect("examined");
        assert_eq!(report.findings, [], "{:#?}", report.findings);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Relaxed);
    let (sent, taken): (u64, u64) = (publisher.await.expect("published"), taker.await.expect("taken"));
    assert!(sent > 30);
    assert_eq!(sent, taken);
    assert_eq!(site.server.command(&["EXISTS", "q", "unacked", "unacked_index"]), ":0\r\n");
}

/// A large deployment is read in pages: no command looks at more than some hundred entries.
#[tokio::test]
async fn it_reads_in_pages_and_never_all_at_once() {
    let mut site = Site::start().await;
    let large = 5000;
    for n in 0..large {
        let name = n.to_string();
        site.permanent("orders", &topic(&name, "q", Dialect::Kombu57));
        site.run(&[b"HSET", b"unacked", name.as_bytes(), &record("x", "q")]);
        site.run(&[b"ZADD", b"unacked_index", b"9999999999", name.as_bytes()]);
        site.run(&[b"SET", format!("celery-task-meta-{n}").as_bytes(), b"{}"]);
        site.run(&[b"LPUSH", b"q", &message("x")]);
    }
    site.say("CONFIG RESETSTAT");
    let report = site.examine().await;
    assert_eq!(report.findings, []);
    let looked = report.looked;
    assert_eq!(
        (looked.keys, looked.rows, looked.payloads, looked.deliveries),
        (large + 5, large, 100, large)
    );
    let never =
        site.server.calls(&["keys", "smembers", "hgetall", "hkeys", "hvals", "zrange", "lrange", "flushall"]);
    assert!(never.iter().all(|calls| *calls == 0), "{never:?}");
    let writes = site
        .server
        .calls(&["sadd", "srem", "hset", "hdel", "zadd", "zrem", "lpush", "rpush", "lrem", "set", "del"]);
    assert!(writes.iter().all(|calls| *calls == 0), "{writes:?}");
    for (command, pages) in ["scan", "sscan", "hscan", "zscan"]
        .into_iter()
        .zip(site.server.calls(&["scan", "sscan", "hscan", "zscan"]))
    {
        assert!(pages >= 8, "{command}: {pages}");
    }
    // A result of a task is listed and not asked about.
    let types = site.server.calls(&["type"])[0];
    assert!(types < 50, "{types}");
}
