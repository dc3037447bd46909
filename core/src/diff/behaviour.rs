//! For each exchange a message that tells two topologies apart, or the certainty that there is none.
//!
//! If for a message every exchange on its way leads to the same destinations on both sides, the message gets the same
//! queues. So only messages that some exchange treats differently ([`local`](super::local)) are looked at, and of those
//! only one for each set of bindings that can match together.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::ControlFlow;

use super::{
    Answer, ExchangeDiff, Options, Verdict, Witness,
    headers::{Combinations, combinations},
    local::{Seed, alternate, seeds},
};
use crate::{
    ByteString, Destination, Exchange, ExchangeId, ExchangeKind, Message, Router, Routes, Table,
    pattern::{Budget, Explored, Found, Language, Query, reading},
};

pub(super) fn compare(sides: [&Router; 2], options: &Options) -> Vec<ExchangeDiff> {
    let mut names = BTreeSet::new();
    for router in sides {
        names.extend(router.exchanges().map(|(_, name, _)| name));
    }
    let mut budget = options.budget;
    let local = names.iter().filter(|name| !name.is_empty()).filter_map(|name| {
        let seeds = seeds(sides, name, options, &mut budget);
        (!seeds.is_empty()).then_some((*name, seeds))
    });
    let local: BTreeMap<&str, Vec<Seed>> = local.collect();
    let public = |name: &&&str| {
        sides.iter().any(|router| {
            let exchange = router.exchange(name).and_then(|id| router.exchange_properties(id));
            exchange.is_some_and(|exchange| !exchange.is_internal())
        })
    };
    let compared = names.iter().filter(public).map(|name| {
        let mut comparison = Comparison {
            sides,
            name,
            options,
            routes: Routes::new(),
            witnesses: Vec::new(),
            seen: BTreeSet::new(),
        };
        let verdict = match *name {
            "" => comparison.default_exchange(),
            _ => comparison.run(&local, &mut budget),
        };
        ExchangeDiff { exchange: (*name).into(), verdict, witnesses: comparison.witnesses }
    });
    compared.collect()
}

struct Comparison<'a> {
    sides: [&'a Router; 2],
    name: &'a str,
    options: &'a Options,
    routes: Routes,
    witnesses: Vec<Witness>,
    /// The changes of queues that have a witness.
    seen: BTreeSet<(Answer, Answer)>,
}

/// What one search through all keys may take.
const SEARCH: u64 = 20_000_000;

impl Comparison<'_> {
    /// Every queue is bound to the default exchange by its name.
    fn default_exchange(&mut self) -> Verdict {
        let [before, after] = self.sides;
        for (one, other) in [(before, after), (after, before)] {
            for (_, name, _) in one.queues().filter(|(_, name, _)| other.queue(name).is_none()) {
                if self.try_message(name.as_bytes(), &Table::new()).is_break() {
                    return Verdict::Differs;
                }
            }
        }
        self.verdict(true)
    }

    fn run(&mut self, local: &BTreeMap<&str, Vec<Seed>>, budget: &mut Budget) -> Verdict {
        let reached = self.reached();
        let seeds: Vec<&Seed> = reached.iter().filter_map(|name| local.get(&**name)).flatten().collect();
        if seeds.is_empty() && self.refused() == [None, None] {
            return Verdict::Same;
        }
        let mut exchanges = Vec::new();
        for name in &reached {
            exchanges.extend(self.sides.iter().filter_map(|router| Some((*router, router.exchange(name)?))));
        }
        let Combinations { tables, mut is_complete } = combinations(&exchanges);
        if self.refused() != [None, None] {
            let _ = self.try_message(b"x", &Table::new());
        }
        for seed in &seeds {
            for key in &seed.keys {
                if self.is_asked_for(key) && self.try_messages(key, &tables).is_break() {
                    return Verdict::Differs;
                }
            }
        }
        if !self.witnesses.is_empty() {
            return Verdict::Differs;
        }
        let Tracked { languages, is_complete: all_read } = tracked(&exchanges);
        is_complete &= all_read;
        for seed in seeds {
            is_complete &= !seed.is_opaque;
            is_complete &= self.search(seed, &languages, &tables, budget);
            if !self.witnesses.is_empty() {
                return Verdict::Differs;
            }
        }
        self.verdict(is_complete)
    }

    /// Looks through all keys of a seed, one for each set of bindings that can match together; false if the budget does
    /// not suffice.
    fn search(&mut self, seed: &Seed, languages: &[Language], tables: &[Table], budget: &mut Budget) -> bool {
        let line_feeds = self.options.line_feeds;
        let mut part = budget.split(SEARCH);
        // What cannot match together with the seed needs no watching.
        let mut watched = Vec::new();
        for language in languages {
            let query = Query { inside: &[&seed.inside, language], outside: &[], tracked: &[], line_feeds };
            match query.find(&mut part) {
                Found::None => {}
                Found::Key(_) => watched.push(language),
                Found::Undecided => {
                    budget.join(part);
                    return false;
                }
            }
        }
        let outside: Vec<&Language> = seed.outside.iter().collect();
        let query = Query { inside: &[&seed.inside], outside: &outside, tracked: &watched, line_feeds };
        let explored = query.explore(&mut part, &mut |key| match self.try_messages(key, tables) {
            ControlFlow::Continue(()) if self.witnesses.is_empty() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        });
        budget.join(part);
        explored != Explored::OverBudget
    }

    /// The exchanges that a message may come to on either side.
    fn reached(&self) -> Vec<Box<str>> {
        let mut reached: BTreeSet<Box<str>> = BTreeSet::new();
        let mut ask: Vec<Box<str>> = Vec::from([self.name.into()]);
        while let Some(name) = ask.pop() {
            if !reached.insert(name.clone()) {
                continue;
            }
            for router in self.sides {
                let Some(id) = router.exchange(&name) else { continue };
                ask.extend(alternate(router, id).map(Into::into));
                let next = router.bindings_from(id).filter_map(|binding| match binding.destination {
                    Destination::Exchange(next) => router.exchange_name(next),
                    Destination::Queue(_) => None,
                });
                ask.extend(next.filter(|next| !reached.contains(*next)).map(Into::into));
            }
        }
        reached.into_iter().collect()
    }

    fn is_asked_for(&self, key: &[u8]) -> bool {
        key.len() <= crate::MAX_SHORT_STRING && (self.options.line_feeds || !key.contains(&b'\n'))
    }

    /// Where publishing is refused, the word for it.
    fn refused(&self) -> [Option<&'static str>; 2] {
        self.sides.map(|router| {
            match router.exchange(self.name).and_then(|id| router.exchange_properties(id)) {
                None => Some("unknown-exchange"),
                Some(exchange) if exchange.is_internal() => Some("internal-exchange"),
                Some(_) => None,
            }
        })
    }

    fn try_messages(&mut self, key: &[u8], tables: &[Table]) -> ControlFlow<()> {
        tables.iter().try_for_each(|headers| self.try_message(key, headers))
    }

    /// Sends one message both ways; breaks off once there are as many witnesses as were asked for.
    fn try_message(&mut self, key: &[u8], headers: &Table) -> ControlFlow<()> {
        let Ok(message) = Message::new(key).headers(headers) else { return ControlFlow::Continue(()) };
        let refused = self.refused();
        let [before, after] = [0, 1].map(|side| match refused[side] {
            Some(outcome) => Answer { outcome, queues: Vec::new() },
            None => self.answer(side, &message),
        });
        if before == after {
            return ControlFlow::Continue(());
        }
        let only = |a: &Answer, b: &Answer| Answer {
            outcome: a.outcome,
            queues: a.queues.iter().filter(|queue| b.queues.binary_search(queue).is_err()).cloned().collect(),
        };
        if self.seen.insert((only(&before, &after), only(&after, &before))) {
            let routing_key = ByteString::from(self.plainer(key, headers, [&before, &after]));
            self.witnesses.push(Witness { routing_key, headers: headers.clone(), before, after });
        }
        match self.witnesses.len() >= self.options.witnesses.max(1) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The key without empty words, where that is answered the same.
    fn plainer(&mut self, key: &[u8], headers: &Table, answers: [&Answer; 2]) -> Vec<u8> {
        if self.refused() != [None, None] {
            return key.into();
        }
        let same = |key: &[u8]| {
            let Ok(message) = Message::new(key).headers(headers) else { return false };
            [0, 1].into_iter().all(|side| self.answer(side, &message) == *answers[side])
        };
        reading::plainer(key, same).unwrap_or_else(|| key.into())
    }

    fn answer(&mut self, side: usize, message: &Message<'_>) -> Answer {
        let router = self.sides[side];
        let exchange = router.exchange(self.name).unwrap_or(Router::DEFAULT_EXCHANGE);
        let outcome = router.route(exchange, message, &mut self.routes).as_str();
        let names = self.routes.into_iter().map(|queue| router.queue_name(queue).unwrap_or_default().into());
        let mut queues: Vec<Box<str>> = names.collect();
        queues.sort_unstable();
        Answer { outcome, queues }
    }

    fn verdict(&self, is_complete: bool) -> Verdict {
        match (self.witnesses.is_empty(), is_complete) {
            (false, _) => Verdict::Differs,
            (true, true) => Verdict::Same,
            (true, false) => Verdict::Undecided,
        }
    }
}

/// What bindings of some exchanges match, each language once.
struct Tracked {
    languages: Vec<Language>,
    /// Whether each binding that looks at keys could be read.
    is_complete: bool,
}

fn tracked(exchanges: &[(&Router, ExchangeId)]) -> Tracked {
    let mut tracked = Tracked { languages: Vec::new(), is_complete: true };
    let mut seen = BTreeSet::new();
    for (router, id) in exchanges {
        let (Some(name), Some(kind)) =
            (router.exchange_name(*id), router.exchange_properties(*id).map(Exchange::kind))
        else {
            continue;
        };
        for binding in router.bindings_from(*id).filter(|_| kind != ExchangeKind::Headers) {
            if !seen.insert((kind.as_str(), binding.key, binding.dialect, binding.pattern)) {
                continue;
            }
            match reading::language(kind, name, &binding) {
                Some(language) => tracked.languages.push(language),
                None => tracked.is_complete = false,
            }
        }
    }
    tracked
}
