//! What one message may cost a broker.

use alloc::format;

use super::{Code, Culprit, Fix, Lint};
use crate::{BindingDefinition, BindingRef, Dialect, ExchangeKind, MAX_SHORT_STRING, index::HeadersPattern};

/// RabbitMQ refuses a third `#` from 4.3.5 on.
const MOST_HASHES: usize = 2;

impl Lint<'_> {
    pub(super) fn cost(&mut self) {
        self.hashes();
        let router = self.router;
        for (id, name, exchange) in router.exchanges() {
            let kind = exchange.kind();
            let (mut sum, mut worst, mut dearest) = (0u64, 0, None);
            for binding in router.bindings_from(id) {
                let steps = steps(kind, &binding);
                sum = sum.saturating_add(steps);
                if steps > worst {
                    (worst, dearest) = (steps, Some(binding));
                }
            }
            let Some(dearest) = dearest.filter(|_| sum > self.options.cost) else { continue };
            let dearest = BindingDefinition::of(router, &dearest);
            let sentence = format!(
                "a broker may take {sum} steps for one message, {worst} of them for the {dearest}; {} are allowed",
                self.options.cost
            );
            self.report(Code::CostOverBudget, Culprit::Exchange { name: name.into() }, sentence);
        }
    }

    fn hashes(&mut self) {
        for at in 0..self.topology.bindings.len() {
            let Some(binding) = self.binding(at) else { continue };
            let kind = self.router.exchange_properties(binding.source).map(crate::Exchange::kind);
            let hashes = hashes(binding.key);
            if kind != Some(ExchangeKind::Topic) || hashes <= MOST_HASHES {
                continue;
            }
            let sentence =
                format!("it has {hashes} `#`; RabbitMQ refuses more than {MOST_HASHES} from 4.3.5 on");
            // To RabbitMQ, `#.#` says no more than `#`.
            let fewer = without_repeats(binding.key).filter(|_| binding.pattern.is_none());
            let fewer = fewer.filter(|key| {
                binding.dialect == Dialect::Amqp && self::hashes(key.as_bytes()) <= MOST_HASHES
            });
            let definition = BindingDefinition::of(self.router, &binding);
            let fix = fewer.map(|key| Fix::ReplaceBinding {
                at: at as u32,
                binding: BindingDefinition { routing_key: key.into(), ..definition },
            });
            self.report_binding(Code::TooManyHashes, at, sentence).fix = fix;
        }
    }
}

fn hashes(key: &[u8]) -> usize {
    key.split(|byte| *byte == b'.').filter(|word| *word == b"#").count()
}

fn without_repeats(key: &[u8]) -> Option<alloc::string::String> {
    let mut words: alloc::vec::Vec<&str> = core::str::from_utf8(key).ok()?.split('.').collect();
    words.dedup_by(|next, word| *next == "#" && *word == "#");
    Some(words.join("."))
}

/// How often a broker may have to look at a message for one binding, in the worst case. RabbitMQ before 4.3 tries every
/// way to spread the words over several `#`, and Kombu's regular expressions do so with characters.
fn steps(kind: ExchangeKind, binding: &BindingRef<'_>) -> u64 {
    match kind {
        ExchangeKind::Headers => HeadersPattern::compile(binding.arguments)
            .map_or(1, |pattern| pattern.wanted().len().max(1) as u64),
        ExchangeKind::Topic => {
            let stars = binding.key.split(|byte| *byte == b'.').filter(|word| *word == b"*").count();
            match binding.dialect {
                Dialect::Amqp => ways(MAX_SHORT_STRING.div_ceil(2), hashes(binding.key)),
                Dialect::Kombu57 => ways(MAX_SHORT_STRING, hashes(binding.key)),
                Dialect::Kombu56 => ways(MAX_SHORT_STRING, hashes(binding.key) + stars),
            }
        }
        _ => 1,
    }
}

/// How many ways there are to cut `items` into `parts`, at least one: a binomial coefficient.
fn ways(items: usize, parts: usize) -> u64 {
    let mut ways: u64 = 1;
    for part in 1..parts as u64 {
        ways = ways.saturating_mul(items as u64 + part) / part;
    }
    ways
}
