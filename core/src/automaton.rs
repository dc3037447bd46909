//! A word automaton that a [`Routes`](crate::Routes) builds while it matches topic patterns, so that the next key that
//! begins alike only follows it: one look-up a word.
//!
//! Its states are sets of places in the patterns, made when a key first comes there. Which queues a state means is asked
//! of the index once: keys that end in one state match the same patterns. Everything is of one router at one revision,
//! bounded in bytes, and built a little at a time: a route spends no more on it than [`cost`] says, whatever its key.

use alloc::{sync::Arc, vec::Vec};
use core::ops::ControlFlow;

use crate::{ExchangeId, QueueId, Router, index::Index, work::Work};

mod cut;
mod learned;
mod names;
mod states;

use cut::Cut;
use learned::Learned;
use states::{Built, DEAD, ROOT, States};

/// The automata of one router at one revision, one for each topic exchange whose keys are costly to match.
#[derive(Debug, Default)]
pub(crate) struct Automata {
    /// Whose they are: kept, so that no other router can be mistaken for it.
    owner: Option<Arc<()>>,
    revision: u64,
    machines: Vec<Machine>,
    /// Whether any is there.
    pub(crate) awake: bool,
    /// The state whose answer is wanted.
    wanted: Option<Wanted>,
}

/// So many exchanges have an automaton; others are matched by their index alone.
const MACHINES: usize = 4;
/// Fewer patterns are matched as fast by the index, and more come to more states than fit.
const FEWEST: usize = 8;
const MOST: usize = 1 << 14;
/// What the index counts for a key that an automaton would be worth having for.
pub(crate) const COSTLY: u32 = if cfg!(test) { 0 } else { 64 };

/// The most steps that an automaton adds to a route that takes its index `steps` for a key of so many words: a look-up
/// a word, one pattern read, and a quarter of the index's own for building.
pub(crate) const fn cost(patterns: usize, words: usize, steps: u64) -> u64 {
    if patterns < FEWEST || patterns > MOST { 0 } else { 2 * words as u64 + steps / 4 }
}

/// What is known of a key.
pub(crate) enum Known<'a> {
    Answer(&'a [QueueId]),
    /// The index has to be asked.
    Unknown,
    /// The index has to be asked, and what it says is to be [stored](Automata::store).
    Wanted,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    machine: usize,
    state: u32,
}

impl Automata {
    /// The queues of a key, if an automaton knows them.
    pub(crate) fn find(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        index: &Index,
        key: &[u8],
        work: &mut Work,
    ) -> Known<'_> {
        self.wanted = None;
        if !self.are_of(router) {
            self.machines.clear();
            self.awake = false;
        }
        let Some(number) = self.machines.iter().position(|machine| machine.exchange == exchange) else {
            return Known::Unknown;
        };
        let Some(machine) = self.machines.get_mut(number) else { return Known::Unknown };
        if !matches!(machine.phase, Phase::Ready) {
            machine.prepare(index, work);
            return Known::Unknown;
        }
        machine.pace.asked += 1;
        let Some(state) = machine.walk(index, key, work) else { return Known::Unknown };
        let Some(answer) = machine.states.answer(state) else {
            self.wanted = Some(Wanted { machine: number, state });
            return Known::Wanted;
        };
        machine.pace.answered += 1;
        Known::Answer(machine.states.queues(answer))
    }

    fn are_of(&self, router: &Router) -> bool {
        let (owner, revision) = router.version();
        revision == self.revision && self.owner.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, owner))
    }

    /// A key of this exchange was costly to match.
    #[cold]
    pub(crate) fn note(&mut self, router: &Router, exchange: ExchangeId, index: &Index) {
        if !self.are_of(router) {
            let (owner, revision) = router.version();
            *self = Automata { owner: Some(owner.clone()), revision, ..Automata::default() };
        }
        if let Some(machine) = self.machines.iter_mut().find(|machine| machine.exchange == exchange) {
            machine.note();
        } else if self.machines.len() < MACHINES {
            self.machines.push(Machine::new(exchange, index.topic_patterns(), router.seed()));
            self.awake = true;
        }
    }

    /// Keeps what the index said, if it is wanted.
    pub(crate) fn store(&mut self, queues: &[QueueId]) -> bool {
        let Some(wanted) = self.wanted.take() else { return false };
        if let Some(machine) = self.machines.get_mut(wanted.machine)
            && !machine.states.keep(wanted.state, queues)
        {
            machine.filled();
        }
        true
    }
}

/// The automaton of one exchange.
#[derive(Debug)]
struct Machine {
    exchange: ExchangeId,
    phase: Phase,
    learned: Learned,
    states: States,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// After so many more costly keys the patterns are worth reading.
    Waiting(u32),
    /// The pattern with this number is read next.
    Learning(u32),
    Ready,
    /// The states did not pay; they are built anew after so many routes.
    Asleep(u32),
    /// The patterns are too few, too many or too long.
    Never,
}

/// Whether building pays, from an empty automaton to a full one.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    asked: u32,
    answered: u32,
    /// How often it did not, one after the other.
    failures: u32,
}

/// A costly key takes the index as long as reading so many patterns does, or longer.
const WORTH: u32 = 16;
/// Routes that a full automaton which did not pay sleeps for; twice as many each time.
const SLEEP: u32 = if cfg!(test) { 64 } else { 1 << 14 };
const MOST_FAILURES: u32 = 6;

impl Machine {
    fn new(exchange: ExchangeId, patterns: usize, seed: u64) -> Self {
        let phase = if (FEWEST..=MOST).contains(&patterns) {
            Phase::Waiting(patterns as u32 / WORTH)
        } else {
            Phase::Never
        };
        Machine {
            exchange,
            phase,
            learned: Learned::new(seed),
            states: States::new(seed),
            pace: Pace::default(),
        }
    }

    /// Goes on with whatever comes before matching.
    #[inline(never)]
    fn prepare(&mut self, index: &Index, work: &mut Work) {
        match &mut self.phase {
            Phase::Learning(_) => self.learn(index, work),
            Phase::Asleep(0) => self.phase = Phase::Ready,
            Phase::Asleep(routes) => *routes -= 1,
            Phase::Waiting(_) | Phase::Ready | Phase::Never => {}
        }
    }

    /// A key was costly.
    fn note(&mut self) {
        match &mut self.phase {
            Phase::Waiting(0) => self.phase = Phase::Learning(0),
            Phase::Waiting(keys) => *keys -= 1,
            _ => {}
        }
    }

    /// Reads at least one pattern, and more as long as the allowance lasts.
    #[cold]
    fn learn(&mut self, index: &Index, work: &mut Work) {
        let Phase::Learning(mut next) = self.phase else { return };
        let mut left = index.topic_steps(1) / 4;
        self.phase = loop {
            let Some(pattern) = index.topic_pattern(next) else {
                self.states.begin(&self.learned);
                break Phase::Ready;
            };
            next += 1;
            let Some(pattern) = pattern else { continue };
            let Some(tokens) = self.learned.add(pattern) else {
                self.learned = Learned::new(0);
                break Phase::Never;
            };
            work.add(tokens);
            left = left.saturating_sub(tokens as u64);
            if left == 0 {
                break Phase::Learning(next);
            }
        };
    }

    /// The state that a key ends in; `None` if it leads to where nothing is built yet.
    #[inline(always)]
    fn walk(&mut self, index: &Index, key: &[u8], work: &mut Work) -> Option<u32> {
        let (mut state, mut left) = (ROOT, None);
        let end = cut::words(key, |word| {
            work.add(1);
            let next = match word {
                Cut::Short(word) => self.states.next(state, word),
                Cut::Long(..) => None,
            };
            let next = match next {
                Some(next) => next,
                None => match self.step(state, word, key, &mut left, index, work) {
                    Some(next) => next,
                    None => return ControlFlow::Break(false),
                },
            };
            state = next;
            if state == DEAD { ControlFlow::Break(true) } else { ControlFlow::Continue(()) }
        });
        match end {
            ControlFlow::Continue(()) | ControlFlow::Break(true) => Some(state),
            ControlFlow::Break(false) => None,
        }
    }

    /// A step that the first look-up did not find: by a word that is long, or that no pattern has, or the first time.
    #[inline(never)]
    fn step(
        &mut self,
        state: u32,
        word: Cut,
        key: &[u8],
        left: &mut Option<u64>,
        index: &Index,
        work: &mut Work,
    ) -> Option<u32> {
        let name = self.learned.name(word, key);
        if let Some(next) = self.states.next(state, name.word) {
            return Some(next);
        }
        let words = || key.split(|byte| *byte == b'.').count();
        let left = left.get_or_insert_with(|| index.topic_steps(words()) / 4);
        match self.states.build(&self.learned, state, name, left, work) {
            Built::To(next) => Some(next),
            Built::InPart => None,
            Built::Full => {
                self.filled();
                None
            }
        }
    }

    /// Starts anew, at once if the states paid.
    #[cold]
    fn filled(&mut self) {
        let paid = self.pace.answered >= self.pace.asked / 4 * 3;
        let failures = if paid { 0 } else { (self.pace.failures + 1).min(MOST_FAILURES) };
        self.pace = Pace { failures, ..Pace::default() };
        self.phase = if paid { Phase::Ready } else { Phase::Asleep(SLEEP << failures) };
        self.states.begin(&self.learned);
    }
}

#[cfg(test)]
mod tests;
