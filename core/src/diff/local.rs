//! Where one exchange differs from the exchange of the same name on the other side.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::Options;
use crate::{
    Binding, BindingRef, DestinationName, Dialect, Exchange, ExchangeId, ExchangeKind, Message, Queue,
    Router, Routes, Table,
    index::{HeadersPattern, SortedHeaders},
    pattern::{Budget, Found, Language, Query, reading},
};

/// Messages that may find another destination at this exchange.
pub(super) struct Seed {
    /// Their keys.
    pub(super) inside: Language,
    /// Keys that are known to find the same.
    pub(super) outside: Vec<Language>,
    /// Keys that look like those that people use, to be tried first.
    pub(super) keys: Vec<Vec<u8>>,
    /// Whether the languages are only an upper bound, since a binding could not be read as one.
    pub(super) is_opaque: bool,
}

impl Seed {
    /// Any message: the exchange is of another kind, has another alternate, or is missing on one side.
    fn anything(keys: Vec<Vec<u8>>) -> Self {
        Seed { inside: Language::everything(), outside: Vec::new(), keys, is_opaque: false }
    }
}

/// What one question may take.
const QUESTION: u64 = 200_000;

/// Which messages an exchange of this name may treat differently on the two sides.
pub(super) fn seeds(sides: [&Router; 2], name: &str, options: &Options, budget: &mut Budget) -> Vec<Seed> {
    let ids = sides.map(|router| router.exchange(name));
    let [Some(before), Some(after)] = ids else {
        let keys = sides.iter().zip(ids).flat_map(|(router, id)| id.map(|id| samples(router, id)));
        return Vec::from([Seed::anything(keys.flatten().collect())]);
    };
    let ids = [before, after];
    let properties = [0, 1].map(|side| sides[side].exchange_properties(ids[side]));
    let kinds = properties.map(|exchange| exchange.map(Exchange::kind));
    let alternates = [0, 1].map(|side| alternate(sides[side], ids[side]));
    if kinds[0] != kinds[1] || alternates[0] != alternates[1] {
        let keys = [0, 1].into_iter().flat_map(|side| samples(sides[side], ids[side]));
        return Vec::from([Seed::anything(keys.collect())]);
    }
    let Some(kind) = kinds[0] else { return Vec::new() };
    if matches!(kind, ExchangeKind::ConsistentHash | ExchangeKind::Random) {
        return chosen(sides, ids);
    }
    let groups = [0, 1].map(|side| Groups::of(sides[side], ids[side], kind));
    let mut seeds = Vec::new();
    for (own, other) in [(0, 1), (1, 0)] {
        for (destination, bindings) in &groups[own].by_destination {
            let others = groups[other].by_destination.get(destination).map_or(&[][..], Vec::as_slice);
            let known: HashSet<_, FixedState> = others.iter().map(|binding| says(kind, binding)).collect();
            let left: Vec<_> =
                bindings.iter().filter(|binding| !known.contains(&says(kind, binding))).collect();
            if left.is_empty() {
                continue;
            }
            let cover = Cover::of(kind, name, others);
            seeds.extend(
                left.into_iter().filter_map(|binding| cover.rest(kind, name, binding, options, budget)),
            );
        }
    }
    seeds
}

/// One destination is chosen among all: whatever differs, were it the order, may change the choice.
fn chosen(sides: [&Router; 2], ids: [ExchangeId; 2]) -> Vec<Seed> {
    let [before, after] = [0, 1].map(|side| {
        let bindings = sides[side].bindings_from(ids[side]).map(|binding| {
            let destination = DestinationName::of(sides[side], binding.destination);
            (destination, says(ExchangeKind::Random, &binding))
        });
        let arguments =
            sides[side].exchange_properties(ids[side]).map(|exchange| exchange.argument_table().identity());
        (bindings.collect::<Vec<_>>(), arguments)
    });
    if before == after {
        return Vec::new();
    }
    let keys = (0..CHOICES).map(|at| alloc::format!("x{at}").into_bytes()).collect();
    Vec::from([Seed { is_opaque: true, ..Seed::anything(keys) }])
}

/// How many keys are tried where one destination is chosen by a hash of the key.
const CHOICES: usize = 64;

/// The alternate exchange that is really asked.
pub(super) fn alternate(router: &Router, exchange: ExchangeId) -> Option<&str> {
    let name = router.alternate_exchange(exchange)?;
    (!name.is_empty() && router.exchange(name).is_some()).then_some(name)
}

/// The bindings of one exchange by where they lead.
struct Groups<'a> {
    by_destination: BTreeMap<DestinationName, Vec<BindingRef<'a>>>,
}

impl<'a> Groups<'a> {
    fn of(router: &'a Router, exchange: ExchangeId, kind: ExchangeKind) -> Self {
        let mut by_destination: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut seen: HashSet<_, FixedState> = HashSet::default();
        for binding in router.bindings_from(exchange) {
            if seen.insert((binding.destination, says(kind, &binding))) {
                let destination = DestinationName::of(router, binding.destination);
                by_destination.entry(destination).or_default().push(binding);
            }
        }
        Groups { by_destination }
    }
}

/// What a binding of an exchange of this kind says to routing.
type Says<'a> = (&'a [u8], Dialect, Option<&'a str>, Box<[u8]>);

fn says<'a>(kind: ExchangeKind, binding: &BindingRef<'a>) -> Says<'a> {
    let BindingRef { key, dialect, pattern, .. } = *binding;
    match kind {
        ExchangeKind::Direct => (key, Dialect::Amqp, None, Box::default()),
        ExchangeKind::Fanout if dialect == Dialect::Amqp => (b"", dialect, None, Box::default()),
        ExchangeKind::Topic => (key, dialect, pattern, Box::default()),
        ExchangeKind::Headers => (b"", Dialect::Amqp, None, binding.arguments.identity().into()),
        _ => (key, dialect, pattern, binding.arguments.identity().into()),
    }
}

/// The other side's bindings to one destination, which may make up for a binding.
struct Cover<'a> {
    bindings: &'a [BindingRef<'a>],
    languages: Vec<Option<Language>>,
    headers: Vec<HeadersPattern>,
    /// Routes a key to those of them that match, by their places.
    probe: Router,
    exchange: Option<ExchangeId>,
}

impl<'a> Cover<'a> {
    fn of(kind: ExchangeKind, name: &str, bindings: &'a [BindingRef<'a>]) -> Self {
        let mut cover = Cover {
            bindings,
            languages: Vec::new(),
            headers: Vec::new(),
            probe: Router::new(),
            exchange: None,
        };
        if kind == ExchangeKind::Headers {
            let compile = |binding: &BindingRef<'_>| HeadersPattern::compile(binding.arguments).ok();
            cover.headers = bindings.iter().filter_map(compile).collect();
            return cover;
        }
        cover.languages = bindings.iter().map(|binding| reading::language(kind, name, binding)).collect();
        cover.exchange = cover.probe.declare_exchange("x", Exchange::new(kind)).ok();
        for (place, binding) in bindings.iter().enumerate() {
            let queue = cover.probe.declare_queue(&alloc::format!("{place}"), Queue::new());
            if let (Some(exchange), Ok(queue)) = (cover.exchange, queue) {
                let mut bound = Binding::new(binding.key).dialect(binding.dialect);
                bound.pattern = binding.pattern;
                // It was bound before, to the same kind of exchange.
                let _ = cover.probe.bind(exchange, queue, &bound);
            }
        }
        cover
    }

    /// The messages of a binding that nothing here makes up for.
    fn rest(
        &self,
        kind: ExchangeKind,
        name: &str,
        binding: &BindingRef<'_>,
        options: &Options,
        budget: &mut Budget,
    ) -> Option<Seed> {
        if kind == ExchangeKind::Headers {
            return self.rest_of_headers(binding);
        }
        let keys = sample_keys(kind, binding);
        let Some(own) = reading::language(kind, name, binding) else {
            return Some(Seed { is_opaque: true, ..Seed::anything(keys) });
        };
        let all = |outside: &[&Language], budget: &mut Budget| {
            let query = Query { inside: &[&own], outside, tracked: &[], line_feeds: options.line_feeds };
            let mut part = budget.split(QUESTION);
            let found = query.find(&mut part);
            budget.join(part);
            found
        };
        // One that matches everything matches this, too.
        let sample = match all(&[], budget) {
            Found::Key(sample) => sample,
            Found::None => return None,
            Found::Undecided => return Some(Seed::anything(keys)),
        };
        for place in self.matching(&sample).into_iter().take(MOST_CANDIDATES) {
            let Some(other) = self.languages.get(place).and_then(Option::as_ref) else { continue };
            if all(&[other], budget) == Found::None {
                return None;
            }
        }
        let mut outside = Vec::new();
        for other in self.languages.iter().flatten() {
            if !budget.spend(1) {
                break;
            }
            let query =
                Query { inside: &[&own, other], outside: &[], tracked: &[], line_feeds: options.line_feeds };
            let mut part = budget.split(QUESTION);
            if query.find(&mut part) != Found::None {
                outside.push(other.clone());
            }
            budget.join(part);
        }
        let mut keys = keys;
        match all(&outside.iter().collect::<Vec<_>>(), budget) {
            Found::None => return None,
            Found::Key(key) => keys.push(key.as_bytes().into()),
            Found::Undecided => {}
        }
        Some(Seed { inside: own, outside, keys, is_opaque: self.languages.iter().any(Option::is_none) })
    }

    fn matching(&self, key: &[u8]) -> Vec<usize> {
        let mut routes = Routes::new();
        if let Some(exchange) = self.exchange {
            let _ = self.probe.route(exchange, &Message::new(key), &mut routes);
        }
        let mut places: Vec<usize> = routes.into_iter().map(|queue| queue.index() as usize).collect();
        places.sort_unstable();
        places.truncate(self.bindings.len());
        places
    }

    /// Every least message of the binding has to match one here.
    fn rest_of_headers(&self, binding: &BindingRef<'_>) -> Option<Seed> {
        let pattern = HeadersPattern::compile(binding.arguments).ok()?;
        let covered = |headers: &Table| {
            let mut order = Vec::new();
            let sorted = SortedHeaders::sort(Some(headers), &mut order);
            self.headers.iter().any(|pattern| pattern.matches(&sorted))
        };
        let mut fresh = HashMap::<&[u8], usize, FixedState>::default();
        let table: Vec<(&[u8], crate::Value)> = pattern
            .wanted()
            .map(|(name, value)| {
                *fresh.entry(name).or_default() += 1;
                let value = match value {
                    crate::Value::Void => crate::Value::LongString([0xff, 0, 0xfe].into()),
                    value => value.clone(),
                };
                (name, value)
            })
            .collect();
        // Repeated names pair off by their order, and then less is not always less.
        let repeated = fresh.values().any(|count| *count > 1);
        let is_covered = match pattern.is_any() {
            true => table.into_iter().all(|entry| covered(&Table::from_iter([entry]))),
            false => covered(&Table::from_iter(table)),
        };
        (!is_covered || repeated).then(|| Seed::anything(Vec::new()))
    }
}

/// How many of the bindings that match a key are looked at one by one.
const MOST_CANDIDATES: usize = 64;

fn sample_keys(kind: ExchangeKind, binding: &BindingRef<'_>) -> Vec<Vec<u8>> {
    match kind {
        ExchangeKind::Topic => {
            let mut samples = reading::samples(&reading::Reading::of(binding));
            samples.dedup();
            samples
        }
        _ => Vec::from([binding.key.into()]),
    }
}

/// Keys that bindings of an exchange match, and some that none does.
fn samples(router: &Router, exchange: ExchangeId) -> Vec<Vec<u8>> {
    let kind = router.exchange_properties(exchange).map_or(ExchangeKind::Direct, Exchange::kind);
    let bindings = router.bindings_from(exchange).take(MOST_CANDIDATES);
    let none = [&b"x"[..], b"", b"x.x", b"x.x.x"].map(Vec::from);
    bindings.flat_map(|binding| sample_keys(kind, &binding)).chain(none).collect()
}
