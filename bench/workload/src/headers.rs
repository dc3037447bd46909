//! Headers bindings as lines: `all tenant:l=17 kind:S=invoice`, with the letters that AMQP gives its types. A message
//! is such a line without `all` or `any`. Values have no spaces; `V` has no value and asks for presence alone.

use keyrail_core::{Table, Value};

use crate::{Keys, Random, Row, Zipf};

/// A headers exchange's bindings, and messages of which 70% are made from a binding.
///
/// Most bindings ask for a header with many values (a tenant, a kind), so that few share one; all ask for types too,
/// and some messages bring a number in another type, which AMQP brokers take as equal.
#[derive(Debug)]
pub struct HeadersWorkload {
    rows: Vec<Row>,
    tenants: u64,
    kinds: Zipf,
    random: Random,
}

const KINDS: usize = 400;

impl HeadersWorkload {
    /// The table of this size.
    pub fn new(bindings: usize) -> Self {
        let tenants = (bindings as u64 / 2).max(1);
        let random = Random::new(0x4EAD + bindings as u64);
        let mut workload =
            HeadersWorkload { rows: Vec::new(), tenants, kinds: Zipf::new(KINDS, KINDS as u64 / 4), random };
        let queues = (bindings as u64 / 4).max(4);
        for _ in 0..bindings {
            let arguments = workload.arguments();
            workload.rows.push((arguments, workload.random.below(queues)));
        }
        workload
    }

    /// Every binding: a line of arguments and a queue.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Lines of headers.
    pub fn messages(&mut self, count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|_| self.message())
    }

    fn arguments(&mut self) -> String {
        let (tenant, kind) = (self.tenant(), self.kind());
        match self.random.below(100) {
            0..=34 => format!("all {tenant} {kind}"),
            35..=54 => format!("all {kind} {} {}", self.region(), self.version()),
            55..=74 => format!("all {tenant} {kind} {}", self.region()),
            75..=84 => format!("all {tenant} urgent:t=true"),
            85..=94 => format!("any {tenant} order:l={}", self.random.below(1_000_000)),
            _ => format!("all {tenant} trace{}:V", self.random.below(50)),
        }
    }

    fn message(&mut self) -> String {
        let mut headers: Vec<String> = Vec::new();
        if self.random.percent(70) {
            let (line, _) = &self.rows[self.random.index(self.rows.len())];
            headers.extend(line.split(' ').skip(1).map(str::to_string));
        }
        for free in [self.tenant(), self.kind(), self.region(), self.version()] {
            let name = |header: &str| header.split([':', '=']).next().map(str::to_string);
            if headers.iter().all(|header| name(header) != name(&free)) && self.random.percent(75) {
                headers.push(free);
            }
        }
        headers.push(format!("sent:T={}", 1_700_000_000 + self.random.below(1 << 24)));
        headers.join(" ")
    }

    fn tenant(&mut self) -> String {
        let tenant = self.random.below(self.tenants);
        // One in ten sends a double where others send an integer.
        if self.random.percent(10) { format!("tenant:d={tenant}") } else { format!("tenant:l={tenant}") }
    }

    fn kind(&mut self) -> String {
        format!("kind:S=kind{}", self.kinds.draw(&mut self.random))
    }

    fn region(&mut self) -> String {
        format!("region:S=region{}", self.random.below(24))
    }

    fn version(&mut self) -> String {
        format!("version:B={}", self.random.below(8))
    }
}

/// Reads a line as arguments of a binding, with `x-match`, or as headers of a message.
///
/// # Errors
/// The reason.
pub fn parse(line: &[u8]) -> Result<Table, String> {
    let mut table = Table::new();
    let (mode, headers) = entries(line)?;
    if let Some(mode) = mode {
        table.push("x-match", mode);
    }
    for header in headers {
        let Entry { name, tag, value } = header?;
        let invalid = || format!("`{value}` is no value of the type `{tag}`");
        let value = match tag {
            'S' => Value::from(value),
            'l' => Value::I64(value.parse().map_err(|_| invalid())?),
            'B' => Value::U8(value.parse().map_err(|_| invalid())?),
            'T' => Value::Timestamp(value.parse().map_err(|_| invalid())?),
            'd' => Value::F64(value.parse().map_err(|_| invalid())?),
            't' => Value::Bool(value.parse().map_err(|_| invalid())?),
            'V' if value.is_empty() => Value::Void,
            _ => return Err(format!("`{tag}` is none of the types S, l, B, T, d, t, V")),
        };
        table.push(name, value);
    }
    Ok(table)
}

/// Reads every message of a file of headers.
///
/// # Errors
/// The line and the reason.
pub fn parse_messages(keys: &Keys) -> Result<Vec<Table>, (usize, String)> {
    (1..).zip(keys.iter()).map(|(line, key)| parse(key).map_err(|reason| (line, reason))).collect()
}

/// A line for the oracle, which does without the core: values are texts, and numbers lose their types.
#[derive(Debug)]
pub(crate) struct Plain<'l> {
    any: bool,
    headers: Vec<(&'l str, Option<String>)>,
}

impl<'l> Plain<'l> {
    pub(crate) fn parse(line: &'l [u8]) -> Result<Self, String> {
        let (mode, headers) = entries(line)?;
        let headers = headers.map(|header| {
            let Entry { name, tag, value } = header?;
            let value = match tag {
                'V' => None,
                'S' | 't' => Some(format!("{tag}{value}")),
                // The workload's numbers are whole.
                _ => Some(value.to_string()),
            };
            Ok((name, value))
        });
        Ok(Plain { any: mode == Some("any"), headers: headers.collect::<Result<_, String>>()? })
    }

    pub(crate) fn matches(&self, message: &Plain<'_>) -> bool {
        let agrees = |(name, wanted): &(&str, Option<String>)| {
            let mut same_name = message.headers.iter().filter(|(other, _)| other == name);
            same_name.any(|(_, value)| wanted.is_none() || wanted == value)
        };
        if self.any { self.headers.iter().any(agrees) } else { self.headers.iter().all(agrees) }
    }
}

struct Entry<'l> {
    name: &'l str,
    tag: char,
    value: &'l str,
}

/// `all` or `any` if the line begins with it, and the headers.
fn entries(line: &[u8]) -> Result<(Option<&str>, impl Iterator<Item = Result<Entry<'_>, String>>), String> {
    let line = std::str::from_utf8(line).map_err(|_| "headers are written in UTF-8".to_string())?;
    let mut words = line.split(' ').filter(|word| !word.is_empty()).peekable();
    let mode = words.next_if(|word| ["all", "any"].contains(word));
    let headers = words.map(|word| {
        let invalid = || format!("`{word}` is not of the form `name:type=value`");
        let (name, rest) = word.split_once(':').ok_or_else(invalid)?;
        let (tag, value) = rest.split_once('=').unwrap_or((rest, ""));
        let mut letters = tag.chars();
        match (letters.next(), letters.next()) {
            (Some(tag), None) => Ok(Entry { name, tag, value }),
            _ => Err(invalid()),
        }
    });
    Ok((mode, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_tables_and_bad_ones_are_told() {
        let table = parse(b"any tenant:l=17 kind:S=invoice trace:V").unwrap();
        assert_eq!(table.get("x-match").and_then(Value::as_str), Some("any"));
        assert!(matches!(table.get("tenant"), Some(Value::I64(17))));
        assert!(matches!(table.get("trace"), Some(Value::Void)));
        assert!(parse(b"").unwrap().is_empty());
        for (line, reason) in [
            (&b"tenant"[..], "`tenant` is not of the form `name:type=value`"),
            (b"tenant:l=x", "`x` is no value of the type `l`"),
            (b"tenant:q=1", "`q` is none of the types S, l, B, T, d, t, V"),
            (b"a:S=\xff", "headers are written in UTF-8"),
        ] {
            assert_eq!(parse(line).unwrap_err(), reason);
        }
    }
}
