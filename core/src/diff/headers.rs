//! Combinations of headers that bindings can tell apart.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{ByteString, ExchangeId, ExchangeKind, Router, Table, Value, index::HeadersPattern};

/// Messages' headers, as many as matter.
pub(super) struct Combinations {
    /// The empty table first.
    pub(super) tables: Vec<Table>,
    /// Whether every combination that bindings can tell apart is among them.
    pub(super) is_complete: bool,
}

/// The most combinations that are tried with each key.
const MOST: usize = 512;

/// A value that no binding names.
const FRESH: [u8; 3] = [0xff, 0, 0xfe];

/// The headers that the headers exchanges among `exchanges` can tell apart.
pub(super) fn combinations(exchanges: &[(&Router, ExchangeId)]) -> Combinations {
    let mut values: BTreeMap<ByteString, Vec<Value>> = BTreeMap::new();
    let (mut least, mut is_complete) = (Vec::new(), true);
    for (router, exchange) in exchanges {
        let kind = router.exchange_properties(*exchange).map(crate::Exchange::kind);
        if kind != Some(ExchangeKind::Headers) {
            continue;
        }
        for binding in router.bindings_from(*exchange) {
            let Ok(pattern) = HeadersPattern::compile(binding.arguments) else { continue };
            let mut table = Table::new();
            for (name, wanted) in pattern.wanted().filter(|(name, _)| *name != b"BCC") {
                let wanted = match wanted {
                    Value::Void => Value::LongString(ByteString::from(FRESH)),
                    wanted => wanted.clone(),
                };
                // Repeated names pair off by their order, and `CC` routes by itself.
                is_complete &= table.get(name).is_none() && name != b"CC";
                if name == b"CC" {
                    continue;
                }
                let known = values.entry(name.into()).or_default();
                if !known.iter().any(|known| known.matches(&wanted)) {
                    known.push(wanted.clone());
                }
                if pattern.is_any() {
                    least.push(Table::from_iter([(name, wanted)]));
                } else {
                    table.push(name, wanted);
                }
            }
            least.push(table);
        }
    }
    let options = |values: &Vec<Value>| values.len() + 2;
    let size = values.values().map(options).try_fold(1usize, |size, options| size.checked_mul(options));
    let mut tables = Vec::from([Table::new()]);
    if size.is_some_and(|size| size <= MOST) {
        for (name, values) in &values {
            let fresh = Value::LongString(ByteString::from(FRESH));
            let fresh = (!values.iter().any(|value| value.matches(&fresh))).then_some(&fresh);
            for at in 0..tables.len() {
                for value in values.iter().chain(fresh) {
                    let mut table = tables[at].clone();
                    table.push(name.clone(), value.clone());
                    tables.push(table);
                }
            }
        }
    } else {
        is_complete = false;
        tables.extend(least.into_iter().take(MOST));
    }
    Combinations { tables, is_complete }
}
