//! Answers that a [`Routes`](crate::Routes) keeps, so that a key that comes again is looked up and not matched.

use alloc::{sync::Arc, vec, vec::Vec};

use crate::{ExchangeId, QueueId, Router, hash::hash, same::same};

/// Answers of one router at one revision, by exchange and routing key.
///
/// It belongs to whoever routes, so there is nothing to lock. It grows with the keys that come again up to 3.5
/// megabytes, is emptied in constant time when the table changes, and sleeps while keys do not come again.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Whose answers these are: kept, so that no other router can be mistaken for it.
    owner: Option<Arc<()>>,
    /// Where the owner is, to compare with.
    address: usize,
    revision: u64,
    /// Entries of other generations are empty.
    generation: u32,
    /// An answer is in either place of the pair that its hash says.
    pairs: Vec<[Entry; 2]>,
    stored: usize,
    keys: Vec<u8>,
    queues: Vec<QueueId>,
    gauge: Gauge,
    /// The hash of the last question that had no answer.
    open: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    exchange: u32,
    generation: u32,
    key: u32,
    queues: u32,
    key_length: u16,
    queue_count: u16,
}

const SMALLEST: usize = 32;
const MOST_PAIRS: usize = 1 << 14;
/// Room for keys and queues, for each pair: memory grows with the pairs and at no other time.
const KEY_BYTES: usize = 96;
const QUEUES: usize = 16;
/// A sixteenth of the room for queues.
const LONGEST_ANSWER: usize = 1 << 14;
const LONGEST_KEY: usize = 255;

/// Whether keeping answers pays: counted down, so that a question costs one step.
#[derive(Debug)]
struct Gauge {
    /// Questions until the gauge is read.
    left: u32,
    missed: u32,
    asleep: bool,
}

/// So many questions are watched at a time, and if less than a quarter had an answer, so many are not asked.
const WATCHED: u32 = 2048;
const SLEEP: u32 = 64 * 1024;

/// Whether a question is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Awake,
    Asleep,
    /// The gauge has to be read: [`Cache::judge`].
    Unsure,
}

impl Cache {
    /// Counts a question.
    #[inline(always)]
    pub(crate) const fn ask(&mut self) -> Asked {
        self.gauge.left -= 1;
        match self.gauge {
            Gauge { left: 0, .. } => Asked::Unsure,
            Gauge { asleep: true, .. } => Asked::Asleep,
            Gauge { .. } => Asked::Awake,
        }
    }

    /// Reads the gauge; true if the question is asked.
    pub(crate) fn judge(&mut self) -> bool {
        self.gauge.read();
        !self.gauge.asleep
    }

    /// The answer; if there is none, the question is open until the next.
    #[inline(always)]
    pub(crate) fn find(&mut self, router: &Router, exchange: ExchangeId, key: &[u8]) -> Option<&[QueueId]> {
        let (owner, revision) = router.version();
        if revision != self.revision || address(owner) != self.address {
            self.begin(owner, revision);
        }
        let hash = hash(router.seed(), key);
        let Some(entry) = self.search(hash, exchange, key) else {
            self.gauge.missed += 1;
            self.open = hash;
            return None;
        };
        let (from, count) = (entry.queues as usize, usize::from(entry.queue_count));
        Some(self.queues.get(from..from + count).unwrap_or_default())
    }

    /// Forgets the answers of another router or another time.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, owner: &Arc<()>, revision: u64) {
        self.owner = Some(owner.clone());
        self.address = address(owner);
        self.revision = revision;
        self.clear();
    }

    #[inline(always)]
    fn search(&self, hash: u64, exchange: ExchangeId, key: &[u8]) -> Option<&Entry> {
        let pair = self.pairs.get(self.place(hash))?;
        pair.iter().find(|entry| {
            let from = entry.key as usize;
            entry.hash == hash
                && entry.generation == self.generation
                && entry.exchange == exchange.0
                && usize::from(entry.key_length) == key.len()
                && self.keys.get(from..from + key.len()).is_some_and(|mine| same(mine, key))
        })
    }

    /// The pair for a hash; any place at all where there are none.
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        hash as usize & self.pairs.len().wrapping_sub(1)
    }

    /// Keeps the answer to the open question, in the place of an older one if need be.
    pub(crate) fn store(&mut self, exchange: ExchangeId, key: &[u8], answer: &[QueueId]) {
        if key.len() > LONGEST_KEY || answer.len() > LONGEST_ANSWER {
            return;
        }
        while self.stored >= 2 * self.pairs.len() || !self.fits(key, answer) {
            if self.pairs.len() < MOST_PAIRS {
                self.grow();
            } else if self.fits(key, answer) {
                break;
            } else {
                self.clear();
            }
        }
        let entry = Entry {
            hash: self.open,
            exchange: exchange.0,
            generation: self.generation,
            key: self.keys.len() as u32,
            queues: self.queues.len() as u32,
            key_length: key.len() as u16,
            queue_count: answer.len() as u16,
        };
        self.keys.extend_from_slice(key);
        self.queues.extend_from_slice(answer);
        self.put(entry);
        self.stored += 1;
    }

    /// The newest answer of a pair comes first; the oldest goes.
    fn put(&mut self, entry: Entry) {
        let place = self.place(entry.hash);
        if let Some([first, second]) = self.pairs.get_mut(place) {
            *second = *first;
            *first = entry;
        }
    }

    fn fits(&self, key: &[u8], answer: &[QueueId]) -> bool {
        self.keys.len() + key.len() <= self.pairs.len() * KEY_BYTES
            && self.queues.len() + answer.len() <= self.pairs.len() * QUEUES
    }

    /// Doubles the memory and keeps the answers, without the gaps that others left.
    fn grow(&mut self) {
        let size = (self.pairs.len() * 2).max(SMALLEST);
        let old = core::mem::replace(&mut self.pairs, vec![[Entry::default(); 2]; size]);
        let keys = core::mem::replace(&mut self.keys, Vec::with_capacity(size * KEY_BYTES));
        let queues = core::mem::replace(&mut self.queues, Vec::with_capacity(size * QUEUES));
        let generation = self.generation;
        self.stored = 0;
        for mut entry in old.into_iter().flatten().rev().filter(|entry| entry.generation == generation) {
            let (key, answer) = (entry.key as usize, entry.queues as usize);
            let key = keys.get(key..key + usize::from(entry.key_length)).unwrap_or_default();
            let answer = queues.get(answer..answer + usize::from(entry.queue_count)).unwrap_or_default();
            (entry.key, entry.queues) = (self.keys.len() as u32, self.queues.len() as u32);
            self.keys.extend_from_slice(key);
            self.queues.extend_from_slice(answer);
            self.put(entry);
            self.stored += 1;
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.queues.clear();
        self.stored = 0;
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            // Four billion generations ago is not now; and no entry is made in generation 0.
            self.pairs.fill([Entry::default(); 2]);
            self.generation = 1;
        }
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Gauge { left: WATCHED, missed: 0, asleep: false }
    }
}

impl Gauge {
    /// Sleeps if keeping answers did not pay, and wakes up after that.
    fn read(&mut self) {
        let sleep = !self.asleep && self.missed > WATCHED - WATCHED / 4;
        *self = Gauge { left: if sleep { SLEEP } else { WATCHED }, missed: 0, asleep: sleep };
    }
}

fn address(owner: &Arc<()>) -> usize {
    Arc::as_ptr(owner).addr()
}
