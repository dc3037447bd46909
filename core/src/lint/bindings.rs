//! Bindings that do nothing: written twice, shadowed, never matched.

use alloc::{format, string::String, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{Code, Fix, Lint, QUESTION};
use crate::{
    Binding, BindingRef, ByteString, Destination, Dialect, Exchange, ExchangeId, ExchangeKind, Message,
    Queue, Router, Routes, Table, Value,
    id::BindingId,
    index::{HeadersPattern, SortedHeaders},
    kombu::Subscription,
    pattern::{Found, Language, find_key},
};

type Groups = HashMap<(ExchangeId, Destination), Vec<usize>, FixedState>;

impl Lint<'_> {
    pub(super) fn bindings(&mut self) {
        let mut first: HashMap<BindingId, usize, FixedState> = HashMap::default();
        // In the order of their first members, so that budgets are spent in the same order everywhere.
        let mut groups: Groups = HashMap::default();
        let mut order = Vec::new();
        for at in 0..self.topology.bindings.len() {
            let (Some(Some(id)), Some(binding)) = (self.ids.get(at).copied(), self.binding(at)) else {
                continue;
            };
            if let Some(earlier) = first.get(&id) {
                let sentence = format!("it is written a second time; the first is `bindings[{earlier}]`");
                let fix = Fix::RemoveBinding { at: at as u32 };
                self.report_binding(Code::DuplicateBinding, at, sentence).fix = Some(fix);
                continue;
            }
            first.insert(id, at);
            if let Some(why) = self.never_matches(&binding) {
                let fix = Fix::RemoveBinding { at: at as u32 };
                self.report_binding(Code::NeverMatches, at, why).fix = Some(fix);
                continue;
            }
            let ends = (binding.source, binding.destination);
            let group = groups.entry(ends).or_default();
            if group.is_empty() {
                order.push(ends);
            }
            group.push(at);
        }
        for ends in order {
            let Some(group) = groups.get(&ends).filter(|group| group.len() > 1) else { continue };
            match self.router.exchange_properties(ends.0).map(Exchange::kind) {
                Some(ExchangeKind::Headers) => self.shadowed_headers(group),
                Some(kind) => self.shadowed_keys(kind, group),
                None => {}
            }
        }
    }

    /// Removing one that never matches changes nothing, since it did not keep the alternate exchange from being asked.
    fn never_matches(&self, binding: &BindingRef<'_>) -> Option<String> {
        match self.router.exchange_properties(binding.source)?.kind() {
            ExchangeKind::Headers => {
                let pattern = HeadersPattern::compile(binding.arguments).ok()?;
                let impossible = |(name, value): &(&[u8], &Value)| {
                    *name == b"BCC" || !matches!(value, Value::Void) && !value.matches(value)
                };
                if pattern.is_any() && pattern.wanted().len() == 0 {
                    return Some("`x-match` is `any` and no argument counts, so nothing can agree".into());
                }
                let mut wanted = pattern.wanted();
                let never = if pattern.is_any() {
                    wanted.all(|w| impossible(&w))
                } else {
                    wanted.any(|w| impossible(&w))
                };
                never.then(|| "it asks for `BCC`, which is taken off before headers are compared, or for a value that equals nothing".into())
            }
            ExchangeKind::Fanout if binding.dialect != Dialect::Amqp => {
                let key = core::str::from_utf8(binding.key).ok()?;
                let exchange = self.router.exchange_name(binding.source)?;
                let plain = !key.contains(['*', '#', '?', '[', ']', '\\']);
                (plain && !Subscription::new(exchange, key).hears(exchange, key)).then(|| {
                    format!("the name `{exchange}` is a Redis glob that does not match itself, so its queues hear nothing")
                })
            }
            _ => None,
        }
    }

    /// The patterns of one exchange to one destination. One of them can only be shadowed by those that match a key of
    /// its own, which a router of the group finds.
    fn shadowed_keys(&mut self, kind: ExchangeKind, group: &[usize]) {
        let mut probe = Router::new();
        let Ok(exchange) = probe.declare_exchange("x", Exchange::new(kind)) else { return };
        let mut languages: Vec<Option<Language>> = Vec::with_capacity(group.len());
        for (place, at) in group.iter().enumerate() {
            let binding = self.binding(*at);
            languages.push(binding.as_ref().and_then(|binding| self.language(binding)));
            let queue = probe.declare_queue(&format!("{place}"), Queue::new());
            if let (Some(binding), Ok(queue)) = (binding, queue) {
                let mut bound = Binding::new(binding.key).dialect(binding.dialect);
                bound.pattern = binding.pattern;
                // It was bound before, to the same kind of exchange.
                let _ = probe.bind(exchange, queue, &bound);
            }
        }
        let mut routes = Routes::new();
        for (place, at) in group.iter().enumerate() {
            let Some(own) = &languages[place] else { continue };
            let sample = match self.ask(&[own], &[]) {
                Found::Key(sample) => sample,
                Found::None => continue,
                Found::Undecided => {
                    self.report_undecided(*at);
                    continue;
                }
            };
            let _ = probe.route(exchange, &Message::new(&sample), &mut routes);
            let others =
                routes.into_iter().map(|queue| queue.index() as usize).filter(|other| *other != place);
            let mut others: Vec<usize> = others.collect();
            others.sort_unstable();
            let mut undecided = others.len() > MOST_CANDIDATES;
            others.truncate(MOST_CANDIDATES);
            let shadow = others.into_iter().find(|other| {
                let Some(language) = &languages[*other] else { return false };
                match self.ask(&[own], &[language]) {
                    Found::Key(_) => false,
                    Found::Undecided => {
                        undecided = true;
                        false
                    }
                    // Of two that match the same, the later one is needless.
                    Found::None if *other < place => true,
                    Found::None => match self.ask(&[language], &[own]) {
                        Found::Key(_) => true,
                        Found::None => false,
                        Found::Undecided => {
                            undecided = true;
                            false
                        }
                    },
                }
            });
            match shadow {
                Some(other) => self.report_shadowed(*at, group[other]),
                None if undecided => self.report_undecided(*at),
                None => {}
            }
        }
    }

    /// One question, within its part of the budget.
    pub(super) fn ask(&mut self, inside: &[&Language], outside: &[&Language]) -> Found {
        let mut part = self.budget.split(QUESTION);
        let found = find_key(inside, outside, &mut part);
        self.budget.join(part);
        found
    }

    fn report_shadowed(&mut self, at: usize, by: usize) {
        let other = &self.topology.bindings[by];
        let name = match other.routing_key.is_empty() {
            false => format!("`{}` (`bindings[{by}]`)", other.routing_key),
            true => format!("`bindings[{by}]`"),
        };
        let sentence = format!("{name} leads there too and matches whatever this one does");
        let fix = Fix::RemoveBinding { at: at as u32 };
        self.report_binding(Code::ShadowedBinding, at, sentence).fix = Some(fix);
    }

    /// Headers bindings of one exchange to one destination. Agreement is asked for, never disagreement, so a binding is
    /// shadowed if the least message that matches it matches the other one too.
    fn shadowed_headers(&mut self, group: &[usize]) {
        let patterns: Vec<Option<(HeadersPattern, Vec<Table>)>> = group
            .iter()
            .map(|at| {
                let pattern = HeadersPattern::compile(self.binding(*at)?.arguments).ok()?;
                let least = least_messages(&pattern)?;
                Some((pattern, least))
            })
            .collect();
        for (place, at) in group.iter().enumerate() {
            let Some((own, least)) = &patterns[place] else { continue };
            let shadow = (0..group.len()).find(|other| {
                let Some((pattern, others)) = &patterns[*other] else { return false };
                *other != place
                    && self.budget.spend(HEADERS_QUESTION)
                    && shadows(pattern, least)
                    && (*other < place || !shadows(own, others))
            });
            if let Some(other) = shadow {
                self.report_shadowed(*at, group[other]);
            } else if self.budget.left() < HEADERS_QUESTION {
                self.report_undecided(*at);
            }
        }
    }

    fn report_undecided(&mut self, at: usize) {
        let sentence = "whether another binding makes it needless was not decided within the budget";
        self.report_binding(Code::Undecided, at, sentence);
    }
}

/// With how many bindings that match one of its keys a binding is compared.
const MOST_CANDIDATES: usize = 64;

/// What comparing two headers bindings takes of the budget.
const HEADERS_QUESTION: u64 = 8;

fn shadows(pattern: &HeadersPattern, least: &[Table]) -> bool {
    let mut order = Vec::new();
    least.iter().all(|headers| pattern.matches(&SortedHeaders::sort(Some(headers), &mut order)))
}

/// The least headers that match: all arguments together, or one of them. Nothing if a name is repeated, as repeated names
/// pair off by their order.
fn least_messages(pattern: &HeadersPattern) -> Option<Vec<Table>> {
    let mut names = pattern.wanted().map(|(name, _)| name);
    let first = names.next();
    let sorted = first.is_none_or(|first| {
        let mut last = first;
        names.all(|name| core::mem::replace(&mut last, name) != name)
    });
    if !sorted {
        return None;
    }
    let header = |(name, value): (&[u8], &Value)| {
        let value = match value {
            // Any value will do, so one that nobody asks for.
            Value::Void => Value::LongString(ByteString::from(FRESH)),
            value => value.clone(),
        };
        (ByteString::from(name), value)
    };
    let headers = pattern.wanted().map(header);
    Some(match pattern.is_any() {
        true => headers.map(|header| Table::from_iter([header])).collect(),
        false => Vec::from([headers.collect()]),
    })
}

/// A value that no binding names.
const FRESH: [u8; 3] = [0xff, 0, 0xfe];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use crate::{
        Topology,
        lint::{Code, Options},
        pattern::Budget,
    };

    #[test]
    fn a_spent_budget_is_told() {
        let topology = Topology::from_lines("x topic: a.#.b.*.# -> q\nx: a.#.b.# -> q\nx: c -> q").unwrap();
        let codes = |units: u64| -> Vec<(Code, u32)> {
            let options = Options::default().portability(false).budget(Budget::new(units));
            let findings = topology.lint(&options).unwrap().findings;
            let told = findings.iter().map(|finding| match finding.culprit {
                crate::lint::Culprit::Binding { at, .. } => (finding.code, at),
                _ => unreachable!(),
            });
            told.collect()
        };
        assert_eq!(codes(1_000_000), [(Code::ShadowedBinding, 0)]);
        // Nothing suffices for anything, then for some of it: each binding is decided or told, whatever is left.
        assert_eq!(codes(0), [(Code::Undecided, 0), (Code::Undecided, 1), (Code::Undecided, 2)]);
        for units in 1..200 {
            let told = codes(units);
            assert!(told.iter().any(|(_, at)| *at == 0), "{units} units: {told:?}");
        }
    }
}
