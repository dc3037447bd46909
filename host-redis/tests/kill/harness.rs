//! A run: publish, kill, and count.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use keyrail_core::kombu::Json;
use keyrail_redis::{Executor, ReceivedMessage};

use super::{
    QUEUE, Taking,
    publisher::Publisher,
    server::{self, Place, Server},
    support::PATIENCE,
    worker::Worker,
};

/// What a run does.
#[derive(Clone, Copy)]
pub(crate) struct Harness {
    pub(crate) taking: Taking,
    pub(crate) kills: usize,
    pub(crate) place: Place,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) kills: usize,
    pub(crate) uncounted: usize,
    pub(crate) terminated: usize,
    pub(crate) restarts: usize,
    pub(crate) cuts: usize,
    pub(crate) client_kills: usize,
    pub(crate) failovers: usize,
    pub(crate) published: usize,
    pub(crate) processed: usize,
    pub(crate) duplicates: usize,
    /// Beyond one for each delivery of the message that a killed worker held.
    pub(crate) unexplained: usize,
    pub(crate) lost: usize,
}

impl Harness {
    pub(crate) fn run(self) -> Figures {
        let mut server = Server::start(self.place);
        let publisher = Publisher::start(server.address(), self.taking);
        let workers = server.workers_address();
        let mut random = Random::new();
        let mut figures = Figures::default();
        let mut processed: BTreeMap<u64, usize> = BTreeMap::new();
        // Deliveries that a killed worker held, and how many of each message.
        let (mut known, mut explained) = (BTreeSet::new(), BTreeMap::<u64, usize>::new());
        let mut round = 0;
        while figures.kills < self.kills {
            let mut worker = Worker::start(self.taking, &workers);
            worker.wait_for_work();
            thread::sleep(Duration::from_millis(5 + random.below(80)));
            if server.strike(round, &mut figures) {
                worker.terminate();
                figures.terminated += 1;
                worker.add_to(&mut processed);
                round += 1;
                continue;
            }
            if self.place != Place::Alone {
                thread::sleep(Duration::from_millis(random.below(200)));
            }
            worker.kill();
            // What it had sent is on its way still.
            thread::sleep(Duration::from_millis(30));
            let held = held(&server);
            let mut counts = false;
            for (delivery, message) in held {
                if known.insert(delivery) {
                    counts = true;
                    *explained.entry(message).or_default() += 1;
                }
            }
            match counts {
                true => figures.kills += 1,
                false => figures.uncounted += 1,
            }
            worker.add_to(&mut processed);
            round += 1;
        }
        let published = publisher.stop();
        let mut last = Worker::start(self.taking, &server.address());
        // Whoever restores late has to wait for the visibility timeout; Kombu looks only now and then.
        let deadline = Instant::now() + PATIENCE;
        while !server.is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        last.terminate();
        last.add_to(&mut processed);
        figures.published = published.len();
        figures.processed = processed.len();
        figures.lost = published.iter().filter(|id| !processed.contains_key(id)).count();
        for (id, times) in &processed {
            figures.duplicates += times - 1;
            figures.unexplained += (times - 1).saturating_sub(explained.get(id).copied().unwrap_or_default());
        }
        figures
    }
}

/// What is registered now: deliveries with the number in their message.
fn held(server: &Server) -> BTreeMap<String, u64> {
    let address = server.address();
    let hash = server::block_on(async {
        address.connect().await.hash(&address.layout().unacked()).await.expect("hash")
    });
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
pub(crate) fn number(message: &ReceivedMessage) -> u64 {
    let number = match (message.body.as_text(), message.body.as_json()) {
        (Some(text), _) => text.parse().ok(),
        (_, Some(json)) => json.as_u64().or_else(|| json[0][0].as_u64()),
        _ => None,
    };
    number.unwrap_or_else(|| panic!("no number in {message:?}"))
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
