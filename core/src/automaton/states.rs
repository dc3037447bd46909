//! The states built so far, the steps between them, and their answers.

use alloc::{vec, vec::Vec};

use super::{
    learned::{Learned, Place},
    names::Name,
};
use crate::{
    QueueId,
    hash::{GOLDEN, MIX, fold, hash, join, tag},
    sort,
    tags::Tags,
    work::Work,
};

/// No place at all: nothing matches, whatever follows.
pub(super) const DEAD: u32 = 0;
pub(super) const ROOT: u32 = 1;

#[derive(Debug)]
pub(super) struct States {
    seed: u64,
    /// An open table of as many slots as a power of two, at most half of them taken.
    steps: Vec<Step>,
    taken: usize,
    states: Vec<State>,
    by_places: Tags<u32>,
    /// The places of every state, sorted.
    places: Vec<Place>,
    queues: Vec<QueueId>,
    pending: Option<Pending>,
    /// Places that the pending step has led to so far.
    found: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    word: u64,
    state: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct State {
    places: Span,
    answer: Option<Span>,
}

/// From where, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(u32, u32);

/// A step that is being built; the places before `at` are done.
#[derive(Clone, Copy, Debug)]
struct Pending {
    state: u32,
    name: Name,
    at: u32,
}

/// What building a step came to.
pub(super) enum Built {
    To(u32),
    /// The allowance is spent.
    InPart,
    Full,
}

const NOTHING: u32 = u32::MAX;
const VACANT: Step = Step { word: 0, state: NOTHING, next: NOTHING };
const SMALLEST: usize = 64;
/// Growing by doubling, memory may be twice as much.
pub(super) const BYTES: usize = if cfg!(test) { 20_000 } else { 2 << 20 };
/// An answer is not kept if it has more queues.
const LONGEST: usize = BYTES / 32;

impl States {
    pub(super) fn new(seed: u64) -> Self {
        States {
            seed,
            steps: Vec::new(),
            taken: 0,
            states: Vec::new(),
            by_places: Tags::default(),
            places: Vec::new(),
            queues: Vec::new(),
            pending: None,
            found: Vec::new(),
        }
    }

    /// Forgets everything and makes the two states that are always there.
    pub(super) fn begin(&mut self, learned: &Learned) {
        *self = States { steps: vec![VACANT; SMALLEST], ..States::new(self.seed) };
        self.states.push(State { places: Span(0, 0), answer: Some(Span(0, 0)) });
        learned.start(&mut self.found);
        sort::sort(&mut self.found);
        self.add();
    }

    /// Where a word leads, if that is built.
    #[inline(always)]
    pub(super) fn next(&self, state: u32, word: u64) -> Option<u32> {
        let mask = self.steps.len().wrapping_sub(1);
        let mut at = self.slot(state, word);
        loop {
            let step = self.steps.get(at & mask)?;
            if step.word == word && step.state == state {
                return Some(step.next);
            }
            if step.next == NOTHING {
                return None;
            }
            at += 1;
        }
    }

    /// Begins with a seed, so that whoever chooses the words cannot choose the slot.
    #[inline(always)]
    fn slot(&self, state: u32, word: u64) -> usize {
        (fold(word ^ self.seed, GOLDEN).wrapping_add(u64::from(state).wrapping_mul(MIX)) >> 32) as usize
    }

    #[inline(always)]
    pub(super) fn answer(&self, state: u32) -> Option<Span> {
        self.states.get(state as usize)?.answer
    }

    #[inline(always)]
    pub(super) fn queues(&self, Span(from, count): Span) -> &[QueueId] {
        self.queues.get(from as usize..(from + count) as usize).unwrap_or_default()
    }

    /// Keeps the answer of a state; false if there is no room.
    pub(super) fn keep(&mut self, state: u32, queues: &[QueueId]) -> bool {
        if queues.len() > LONGEST {
            return true;
        }
        if self.bytes() + size_of_val(queues) > BYTES {
            return false;
        }
        if let Some(state) = self.states.get_mut(state as usize) {
            state.answer = Some(Span(self.queues.len() as u32, queues.len() as u32));
            self.queues.extend_from_slice(queues);
        }
        true
    }

    /// Goes on building the step from a state by a word, or another that was begun before, as long as `left` lasts.
    #[cold]
    pub(super) fn build(
        &mut self,
        learned: &Learned,
        state: u32,
        name: Name,
        left: &mut u64,
        work: &mut Work,
    ) -> Built {
        loop {
            let mut pending = self.pending.take().unwrap_or(Pending { state, name, at: 0 });
            if pending.at == 0 {
                self.found.clear();
            }
            let Span(from, count) =
                self.states.get(pending.state as usize).map_or(Span(0, 0), |state| state.places);
            let steps = u64::from(count - pending.at).min(*left);
            let (begin, end) = (from + pending.at, from + pending.at + steps as u32);
            for place in self.places.get(begin as usize..end as usize).unwrap_or_default() {
                learned.step(*place, pending.name.symbol, &mut self.found);
            }
            work.add(steps as usize);
            *left -= steps;
            pending.at += steps as u32;
            if pending.at < count {
                self.pending = Some(pending);
                return Built::InPart;
            }
            let Some(next) = self.finish(pending) else { return Built::Full };
            if (pending.state, pending.name) == (state, name) {
                return Built::To(next);
            }
        }
    }

    /// Adds the step that is built now; `None` if there is no room.
    fn finish(&mut self, Pending { state, name, .. }: Pending) -> Option<u32> {
        if self.taken * 2 >= self.steps.len() && !self.grow() {
            return None;
        }
        sort::sort(&mut self.found);
        self.found.dedup();
        let next = if self.found.is_empty() { DEAD } else { self.find().or_else(|| self.add())? };
        self.put(Step { word: name.word, state, next });
        self.taken += 1;
        Some(next)
    }

    /// The state of the places found.
    fn find(&self) -> Option<u32> {
        let same = |number: &u32| {
            let Some(State { places: Span(from, count), .. }) = self.states.get(*number as usize) else {
                return false;
            };
            self.places.get(*from as usize..(from + count) as usize) == Some(&*self.found)
        };
        self.by_places.find(self.tag(), same).copied()
    }

    fn add(&mut self) -> Option<u32> {
        if self.bytes() + size_of_val(&*self.found) > BYTES {
            return None;
        }
        let number = self.states.len() as u32;
        self.by_places.insert(self.tag(), number);
        let places = Span(self.places.len() as u32, self.found.len() as u32);
        self.places.extend_from_slice(&self.found);
        self.states.push(State { places, answer: None });
        Some(number)
    }

    fn tag(&self) -> u32 {
        let start = hash(self.seed, &[]);
        tag(self.found.iter().fold(start, |all, place| join(all, u64::from(*place))))
    }

    fn grow(&mut self) -> bool {
        let slots = (self.steps.len() * 2).max(SMALLEST);
        if self.bytes() + slots / 2 * size_of::<Step>() > BYTES {
            return false;
        }
        let old = core::mem::replace(&mut self.steps, vec![VACANT; slots]);
        old.into_iter().filter(|step| step.next != NOTHING).for_each(|step| self.put(step));
        true
    }

    fn put(&mut self, step: Step) {
        let mask = self.steps.len() - 1;
        let mut at = self.slot(step.state, step.word) & mask;
        while self.steps[at].next != NOTHING {
            at = (at + 1) & mask;
        }
        self.steps[at] = step;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// About how many bytes all this takes.
    pub(super) fn bytes(&self) -> usize {
        self.steps.len() * size_of::<Step>()
            + self.states.len() * (size_of::<State>() + 16)
            + self.places.len() * size_of::<Place>()
            + self.queues.len() * size_of::<QueueId>()
    }
}
