//! Answers that a [`Routes`](crate::Routes) keeps, so that a key that comes again is looked up and not matched.

use alloc::{sync::Arc, vec, vec::Vec};

use crate::{ExchangeId, QueueId, Router, hash::hash};

/// Answers of one router at one revision, by exchange and routing key.
///
/// It belongs to whoever routes, so there is nothing to lock. It grows with the keys that come again up to 3.5
/// megabytes, is emptied in constant time when the table changes, and sleeps while keys do not come again.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Whose answers these are: kept, so that no other router can be mistaken for it.
    owner: Option<Arc<()>>,
    revision: u64,
    /// Entries of other generations are empty.
    generation: u32,
    /// Pairs; an answer is in either place of the pair that its hash says.
    entries: Vec<Entry>,
    stored: usize,
    keys: Vec<u8>,
    queues: Vec<QueueId>,
    gauge: Gauge,
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

const SMALLEST: usize = 64;
const MOST_ENTRIES: usize = 1 << 15;
/// Room for keys and queues, for each entry: memory grows with the entries and at no other time.
const KEY_BYTES: usize = 48;
const QUEUES: usize = 8;
/// Answers of more queues than this take longer to copy than to hash a key for.
const LONGEST_ANSWER: usize = 1024;
const LONGEST_KEY: usize = 255;

/// Whether keeping answers pays.
#[derive(Debug, Default)]
struct Gauge {
    asked: u32,
    found: u32,
    asleep: u32,
}

/// So many questions are watched at a time, and if less than a quarter had an answer, so many are not asked.
const WATCHED: u32 = 2048;
const SLEEP: u32 = 64 * 1024;

/// A question that has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    hash: u64,
    exchange: ExchangeId,
}

impl Cache {
    /// The answer, or the question under which to store it; `Err(None)` while the cache sleeps.
    #[inline(always)]
    pub(crate) fn find(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        key: &[u8],
    ) -> Result<&[QueueId], Option<Question>> {
        if self.gauge.asleep > 0 {
            self.gauge.asleep -= 1;
            return Err(None);
        }
        let (owner, revision) = router.version();
        if revision != self.revision || !self.owner.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, owner)) {
            self.owner = Some(owner.clone());
            self.revision = revision;
            self.clear();
        }
        self.gauge.ask();
        let question = Question { hash: hash(router.seed(), key), exchange };
        let Some(entry) = self.search(question, key) else { return Err(Some(question)) };
        self.gauge.found += 1;
        let (from, count) = (entry.queues as usize, usize::from(entry.queue_count));
        Ok(self.queues.get(from..from + count).unwrap_or_default())
    }

    #[inline(always)]
    fn search(&self, question: Question, key: &[u8]) -> Option<Entry> {
        let at = pair(question.hash, self.entries.len());
        let pair = self.entries.get(at..)?.first_chunk::<2>()?;
        pair.iter().copied().find(|entry| {
            let from = entry.key as usize;
            entry.hash == question.hash
                && entry.generation == self.generation
                && entry.exchange == question.exchange.0
                && self.keys.get(from..from + usize::from(entry.key_length)) == Some(key)
        })
    }

    /// Keeps an answer, in the place of an older one if need be.
    pub(crate) fn store(&mut self, question: Question, key: &[u8], answer: &[QueueId]) {
        if key.len() > LONGEST_KEY || answer.len() > LONGEST_ANSWER {
            return;
        }
        while self.stored >= self.entries.len() || !self.fits(key, answer) {
            if self.entries.len() < MOST_ENTRIES {
                self.grow();
            } else if self.fits(key, answer) {
                break;
            } else {
                self.clear();
            }
        }
        let entry = Entry {
            hash: question.hash,
            exchange: question.exchange.0,
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
        let at = pair(entry.hash, self.entries.len());
        if let Some([first, second, ..]) = self.entries.get_mut(at..) {
            *second = *first;
            *first = entry;
        }
    }

    fn fits(&self, key: &[u8], answer: &[QueueId]) -> bool {
        self.keys.len() + key.len() <= self.entries.len() * KEY_BYTES
            && self.queues.len() + answer.len() <= self.entries.len() * QUEUES
    }

    /// Doubles the memory and keeps the answers, without the gaps that others left.
    fn grow(&mut self) {
        let size = (self.entries.len() * 2).max(SMALLEST);
        let old = core::mem::replace(&mut self.entries, vec![Entry::default(); size]);
        let keys = core::mem::replace(&mut self.keys, Vec::with_capacity(size * KEY_BYTES));
        let queues = core::mem::replace(&mut self.queues, Vec::with_capacity(size * QUEUES));
        let generation = self.generation;
        self.stored = 0;
        for mut entry in old.into_iter().rev().filter(|entry| entry.generation == generation) {
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
            self.entries.fill(Entry::default());
            self.generation = 1;
        }
    }
}

impl Gauge {
    #[inline(always)]
    fn ask(&mut self) {
        self.asked += 1;
        if self.asked > WATCHED {
            let pays = self.found * 4 >= WATCHED;
            *self = Gauge { asked: 1, found: 0, asleep: if pays { 0 } else { SLEEP } };
        }
    }
}

/// The first place of the pair for a hash; any place at all where there are no entries.
#[inline(always)]
const fn pair(hash: u64, entries: usize) -> usize {
    (hash as usize & (entries / 2).wrapping_sub(1)).wrapping_mul(2)
}
