//! From a topology to lines.

use alloc::string::{String, ToString};
use core::fmt::Write;

use super::WORDS;
use crate::{
    ApplyTo, BindingDefinition, ByteString, DestinationName, Dialect, ExchangeDefinition, PolicyDefinition,
    QueueDefinition, Table, Topology, Value,
};

pub(super) fn topology(topology: &Topology) -> String {
    let mut out = String::new();
    topology.exchanges.iter().for_each(|exchange| self::exchange(&mut out, exchange));
    topology.queues.iter().for_each(|queue| self::queue(&mut out, queue));
    topology.policies.iter().for_each(|policy| self::policy(&mut out, policy));
    topology.bindings.iter().for_each(|binding| self::binding(&mut out, binding));
    out
}

fn exchange(out: &mut String, exchange: &ExchangeDefinition) {
    put(out, &first(&exchange.name));
    put(out, exchange.kind.as_str());
    flags(
        out,
        &[
            (exchange.durable, "durable"),
            (exchange.auto_delete, "auto-delete"),
            (exchange.internal, "internal"),
        ],
    );
    if let Some(alternate) = &exchange.alternate_exchange {
        put(out, "else");
        put(out, &word(alternate));
    }
    arguments(out, &exchange.arguments);
    out.push('\n');
}

fn queue(out: &mut String, queue: &QueueDefinition) {
    put(out, "queue");
    put(out, &word(&queue.name));
    flags(
        out,
        &[(queue.durable, "durable"), (queue.auto_delete, "auto-delete"), (queue.exclusive, "exclusive")],
    );
    arguments(out, &queue.arguments);
    out.push('\n');
}

fn policy(out: &mut String, policy: &PolicyDefinition) {
    put(out, "policy");
    put(out, &word(&policy.name));
    put(out, &quoted(&policy.pattern));
    if policy.priority != 0 {
        put(out, &alloc::format!("priority {}", policy.priority));
    }
    if policy.apply_to != ApplyTo::All {
        put(out, &alloc::format!("on {}", policy.apply_to.as_str()));
    }
    arguments(out, &policy.definition);
    out.push('\n');
}

fn binding(out: &mut String, binding: &BindingDefinition) {
    put(out, &first(&binding.source));
    out.push(':');
    if !binding.routing_key.is_empty() {
        // A binding key is text: other bytes can neither be bound nor written.
        put(out, &word(&binding.routing_key.to_string()));
    }
    arguments(out, &binding.arguments);
    if binding.dialect != Dialect::Amqp {
        put(out, &alloc::format!("as {}", binding.dialect.as_str()));
    }
    if let Some(pattern) = &binding.pattern {
        put(out, "matching");
        put(out, &quoted(pattern));
    }
    put(out, "->");
    match &binding.destination {
        DestinationName::Queue(name) => put(out, &word(name)),
        DestinationName::Exchange(name) => {
            put(out, "exchange");
            put(out, &word(name));
        }
    }
    out.push('\n');
}

/// Appends a word, after a blank unless it begins the line.
fn put(out: &mut String, word: &str) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push(' ');
    }
    out.push_str(word);
}

fn flags(out: &mut String, flags: &[(bool, &str)]) {
    flags.iter().filter(|(set, _)| *set).for_each(|(_, flag)| put(out, flag));
}

fn arguments(out: &mut String, table: &Table) {
    if !table.is_empty() {
        put(out, &self::table(table));
    }
}

/// The name of an exchange, which begins a line: a bare `#` there begins a comment.
fn first(name: &str) -> String {
    if name.starts_with('#') { quoted(name) } else { word(name) }
}

/// A name or key, in quotes where it would be read as something else.
fn word(text: &str) -> String {
    let plain = |character: char| {
        !character.is_whitespace()
            && !character.is_control()
            && !matches!(character, '"' | '{' | '}' | '[' | ']' | '(' | ')' | ',' | ':' | '\u{feff}')
    };
    let bare =
        !text.is_empty() && text.chars().all(plain) && !text.starts_with("->") && !WORDS.contains(&text);
    if bare { text.into() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Also what would end the line elsewhere, or hide in it.
            control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // INVARIANT: writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn table(table: &Table) -> String {
    let entries =
        table.iter().map(|(name, value)| alloc::format!("{}: {}", name_of(name), self::value(value)));
    alloc::format!("{{{}}}", joined(entries))
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.enumerate().fold(
        String::new(),
        |joined, (at, item)| {
            if at == 0 { item } else { joined + ", " + &item }
        },
    )
}

fn name_of(name: &[u8]) -> String {
    match core::str::from_utf8(name) {
        Ok("hex") => quoted("hex"),
        Ok(name) => word(name),
        Err(_) => alloc::format!("hex({})", hex(name)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

fn value(value: &Value) -> String {
    let text = |bytes: &ByteString| match bytes.as_str() {
        Some(text) => quoted(text),
        None => alloc::format!("hex {}", hex(bytes)),
    };
    let tagged = |content: String| alloc::format!("{}({content})", value.tag());
    match value {
        Value::LongString(bytes) if bytes.as_str().is_some() => text(bytes),
        Value::LongString(bytes) | Value::ByteArray(bytes) => tagged(text(bytes)),
        Value::I8(n) => tagged(n.to_string()),
        Value::U8(n) => tagged(n.to_string()),
        Value::I16(n) => tagged(n.to_string()),
        Value::U16(n) => tagged(n.to_string()),
        Value::I32(n) => tagged(n.to_string()),
        Value::U32(n) => tagged(n.to_string()),
        Value::I64(n) => n.to_string(),
        Value::Timestamp(n) => tagged(n.to_string()),
        Value::F32(n) => tagged(n.to_string()),
        // A whole double would come back as an integer.
        Value::F64(n) => tagged(n.to_string()),
        Value::Decimal { scale, digits } => tagged(alloc::format!("{scale}, {digits}")),
        Value::Bool(b) => b.to_string(),
        Value::Void => "null".into(),
        Value::Table(table) => self::table(table),
        Value::Array(values) => alloc::format!("[{}]", joined(values.iter().map(self::value))),
    }
}
