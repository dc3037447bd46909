//! Arguments against headers, by RabbitMQ 3.10's rules.

use alloc::{boxed::Box, vec::Vec};
use core::cmp::Ordering;

use crate::{Table, Value, error::BindError, message::BCC, sort};

/// Which arguments of a headers binding must agree with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatchMode {
    any: bool,
    /// Whether arguments whose name begins with `x-` count too (`x-match` itself never does).
    with_x: bool,
}

impl MatchMode {
    /// Reads `x-match`; missing means `all`.
    fn of(arguments: &Table) -> Result<Self, BindError> {
        let Some(value) = arguments.get("x-match") else {
            return Ok(MatchMode { any: false, with_x: false });
        };
        match value.as_str() {
            Some("all") => Ok(MatchMode { any: false, with_x: false }),
            Some("any") => Ok(MatchMode { any: true, with_x: false }),
            Some("all-with-x") => Ok(MatchMode { any: false, with_x: true }),
            Some("any-with-x") => Ok(MatchMode { any: true, with_x: true }),
            Some(other) => Err(BindError::InvalidMatchMode { found: other.into() }),
            None => {
                let found = alloc::format!("a value of field type {}", value.tag()).into();
                Err(BindError::InvalidMatchMode { found })
            }
        }
    }
}

/// A headers binding made ready: the arguments that count, sorted by name.
#[derive(Clone, Debug)]
pub(crate) struct HeadersPattern {
    any: bool,
    wanted: Box<[(Box<[u8]>, Value)]>,
}

impl HeadersPattern {
    pub(crate) fn compile(arguments: &Table) -> Result<Self, BindError> {
        let mode = MatchMode::of(arguments)?;
        let counts = |name: &[u8]| name != b"x-match" && (mode.with_x || !name.starts_with(b"x-"));
        let mut sorted = arguments.clone();
        sorted.sort();
        let wanted = sorted.iter().filter(|(name, _)| counts(name));
        let wanted = wanted.map(|(name, value)| (name.into(), value.clone())).collect();
        Ok(HeadersPattern { any: mode.any, wanted })
    }

    /// Whether a message with these headers, sorted by name, matches.
    ///
    /// Both sides are merged: names that occur more than once are paired off in order. Void in the binding asks for
    /// presence alone.
    pub(crate) fn matches(&self, headers: &SortedHeaders<'_>) -> bool {
        let mut at = 0;
        for (name, wanted) in &self.wanted {
            while headers.name(at).is_some_and(|header| header < &**name) {
                at += 1;
            }
            let present = headers.get(at).filter(|(header, _)| header.cmp(&&**name) == Ordering::Equal);
            let agrees = match present {
                None => false,
                Some((_, value)) => {
                    at += 1;
                    matches!(wanted, Value::Void) || wanted.matches(value)
                }
            };
            if agrees == self.any {
                return agrees;
            }
        }
        // With `all` nothing failed; with `any` nothing agreed.
        !self.any
    }
}

impl HeadersPattern {
    /// Whether one argument that agrees is enough.
    pub(crate) const fn is_any(&self) -> bool {
        self.any
    }

    /// The arguments that count, sorted by name.
    pub(crate) fn wanted(&self) -> impl ExactSizeIterator<Item = (&[u8], &Value)> {
        self.wanted.iter().map(|(name, value)| (&**name, value))
    }

    /// Each argument that counts, with the header that [`matches`](Self::matches) pairs it with.
    pub(crate) fn compare<'h>(
        &self,
        headers: &SortedHeaders<'h>,
    ) -> impl Iterator<Item = (&[u8], &Value, Option<&'h Value>)> {
        let mut at = 0;
        self.wanted().map(move |(name, wanted)| {
            while headers.name(at).is_some_and(|header| header < name) {
                at += 1;
            }
            let present = headers.get(at).filter(|(header, _)| *header == name);
            at += usize::from(present.is_some());
            (name, wanted, present.map(|(_, value)| value))
        })
    }
}

/// The headers of one message in the order of their names. `BCC` is not among them.
pub(crate) struct SortedHeaders<'a> {
    table: Option<&'a Table>,
    order: &'a [u32],
}

impl<'a> SortedHeaders<'a> {
    /// Fills `order`, which is kept from call to call, with the places of the headers sorted by name.
    pub(crate) fn sort(table: Option<&'a Table>, order: &'a mut Vec<u32>) -> Self {
        order.clear();
        if let Some(table) = table {
            let places = (0..).zip(table.iter());
            order.extend(places.filter(|(_, (name, _))| *name != BCC).map(|(place, _)| place));
            // By place where names are equal: that is a stable sort without its allocation.
            let name = |place: u32| table.entry(place).map(|(name, _)| name);
            sort::sort_by(order, |a, b| name(*a).cmp(&name(*b)).then(a.cmp(b)));
        }
        SortedHeaders { table, order }
    }

    fn get(&self, at: usize) -> Option<(&'a [u8], &'a Value)> {
        self.table?.entry(*self.order.get(at)?)
    }

    fn name(&self, at: usize) -> Option<&'a [u8]> {
        self.get(at).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(arguments: &[(&str, Value)], headers: &[(&str, Value)]) -> bool {
        let arguments = Table::from_iter(arguments.iter().cloned());
        let headers = Table::from_iter(headers.iter().cloned());
        let pattern = HeadersPattern::compile(&arguments).unwrap();
        pattern.matches(&SortedHeaders::sort(Some(&headers), &mut Vec::new()))
    }

    #[test]
    fn repeated_names_are_paired_in_order() {
        let twice = [("k", Value::I32(1)), ("k", Value::I32(2))];
        assert!(matches(&twice, &twice));
        assert!(!matches(&twice, &[("k", Value::I32(1))]));
        assert!(!matches(&twice, &[("k", Value::I32(2)), ("k", Value::I32(1))]));
    }

    #[test]
    fn no_usable_argument_matches_all_and_never_any() {
        let hidden = ("x-k", Value::I32(1));
        assert!(matches(core::slice::from_ref(&hidden), &[]));
        assert!(!matches(&[("x-match", "any".into()), hidden], &[]));
    }

    #[test]
    fn secret_recipients_are_not_headers() {
        assert!(!matches(&[("BCC", Value::Void)], &[("BCC", Value::Array(Vec::new()))]));
        assert!(matches(&[("CC", Value::Void)], &[("CC", Value::Array(Vec::new()))]));
    }
}
