//! Tables and layouts on their way in: the forms that `keyrail_core::Table` has in JSON, an object or typed triples.

use keyrail_core::{
    ByteString, Table, Value,
    kombu::{FanoutPrefix, Layout},
};

use crate::{
    fields::{self, Fields, Read, wrong},
    node::{Node, Problem},
};

/// As deep as the core's own reader goes.
const MAX_DEPTH: usize = 64;

pub(crate) fn table(node: &Node) -> Read<Table> {
    table_at(node, 0)
}

fn table_at(node: &Node, depth: usize) -> Read<Table> {
    match node {
        Node::Map(entries) => {
            entries.iter().map(|(name, value)| Ok((&**name, plain(value, depth + 1)?))).collect()
        }
        Node::List(entries) => entries.iter().map(|entry| triple(entry, depth + 1)).collect(),
        _ => Err(expected("a table: an object, or a list of [name, tag, value]")),
    }
}

/// A value in its plain form.
fn plain(node: &Node, depth: usize) -> Read<Value> {
    not_too_deep(depth)?;
    Ok(match node {
        Node::Null => Value::Void,
        Node::Bool(value) => Value::Bool(*value),
        Node::Number(number) => node.integer().map_or(Value::F64(*number), Value::I64),
        Node::Signed(number) => Value::I64(*number),
        Node::Unsigned(number) => return Err(out_of_range(&number.to_string(), "l")),
        Node::Text(text) => Value::LongString((&**text).into()),
        Node::Bytes(bytes) => Value::LongString((&**bytes).into()),
        Node::List(items) => {
            Value::Array(items.iter().map(|item| plain(item, depth + 1)).collect::<Read<_>>()?)
        }
        Node::Map(_) => Value::Table(table_at(node, depth)?),
    })
}

/// `[name, tag, value]`.
fn triple(node: &Node, depth: usize) -> Read<(ByteString, Value)> {
    let Node::List(parts) = node else { return Err(expected("[name, tag, value]")) };
    let [name, parts @ ..] = &**parts else { return Err(expected("[name, tag, value]")) };
    Ok((bytes(name)?, tagged(parts, depth)?))
}

/// A tag and the value that it announces.
fn tagged(parts: &[Node], depth: usize) -> Read<Value> {
    not_too_deep(depth)?;
    let [Node::Text(tag), value] = parts else { return Err(expected("a field type octet and its value")) };
    let tag = &**tag;
    Ok(match tag {
        "S" => Value::LongString(bytes(value)?),
        "x" => Value::ByteArray(bytes(value)?),
        "b" => Value::I8(signed(value, tag)?),
        "B" => Value::U8(signed(value, tag)?),
        "s" => Value::I16(signed(value, tag)?),
        "u" => Value::U16(signed(value, tag)?),
        "I" => Value::I32(signed(value, tag)?),
        "i" => Value::U32(signed(value, tag)?),
        "l" | "L" => Value::I64(signed(value, tag)?),
        "T" => Value::Timestamp(unsigned(value, tag)?),
        // A finite number may be infinite as a single: such a value could be written, and not be read again.
        "f" => match double(value)? as f32 {
            single if single.is_finite() => Value::F32(single),
            _ => return Err(expected("a finite number in the range of the field type f")),
        },
        "d" => Value::F64(double(value)?),
        "D" => match value {
            Node::List(parts) if parts.len() == 2 => {
                Value::Decimal { scale: signed(&parts[0], tag)?, digits: signed(&parts[1], tag)? }
            }
            _ => return Err(expected("[scale, digits]")),
        },
        // A boolean octet: every one but zero is true.
        "t" => match value {
            Node::Bool(value) => Value::Bool(*value),
            _ => Value::Bool(signed::<u8>(value, tag)? != 0),
        },
        "V" => match value {
            Node::Null => Value::Void,
            _ => return Err(expected("null")),
        },
        "F" => Value::Table(table_at(value, depth)?),
        "A" => match value {
            Node::List(items) => {
                Value::Array(items.iter().map(|item| pair(item, depth + 1)).collect::<Read<_>>()?)
            }
            _ => return Err(expected("a list of [tag, value]")),
        },
        _ => {
            return Err(Problem(
                ["`", tag, "` is no field type, expected one of SxbBsuIilLTfdDtVFA"].concat().into(),
            ));
        }
    })
}

/// `[tag, value]`.
fn pair(node: &Node, depth: usize) -> Read<Value> {
    match node {
        Node::List(parts) => tagged(parts, depth),
        _ => Err(expected("[tag, value]")),
    }
}

/// Text, bytes or `{ hex }`.
fn bytes(node: &Node) -> Read<ByteString> {
    if let Some(bytes) = fields::bytes(node) {
        return Ok(bytes);
    }
    let Node::Map(entries) = node else { return Err(expected("text, bytes or {\"hex\": …}")) };
    let [(name, Node::Text(hex))] = &**entries else { return Err(expected("the one field `hex`")) };
    let octets = hex.as_bytes().chunks(2).map(|pair| match pair {
        // Both are digits: a sign would be taken too.
        [_, _] if pair.iter().all(u8::is_ascii_hexdigit) => {
            u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
        }
        _ => None,
    });
    match octets.collect::<Option<Vec<u8>>>() {
        Some(octets) if **name == *"hex" => Ok(octets.into()),
        Some(_) => Err(expected("the one field `hex`")),
        None => Err(Problem(["`", hex, "` is not an even number of hex digits"].concat().into())),
    }
}

/// A whole number in its range, or its decimal text.
fn signed<N: TryFrom<i64>>(node: &Node, tag: &str) -> Read<N> {
    let number = match node {
        Node::Text(text) => text.parse().ok(),
        node => node.integer(),
    };
    number.and_then(|number| N::try_from(number).ok()).ok_or_else(|| out_of_range(&shown(node), tag))
}

fn unsigned(node: &Node, tag: &str) -> Read<u64> {
    let number = match node {
        Node::Unsigned(number) => Some(*number),
        Node::Text(text) => text.parse().ok(),
        node => node.integer().and_then(|number| number.try_into().ok()),
    };
    number.ok_or_else(|| out_of_range(&shown(node), tag))
}

fn double(node: &Node) -> Read<f64> {
    match node {
        Node::Number(number) if number.is_finite() => Ok(*number),
        Node::Signed(number) => Ok(*number as f64),
        Node::Unsigned(number) => Ok(*number as f64),
        _ => Err(expected("a finite number")),
    }
}

fn shown(node: &Node) -> String {
    match node {
        Node::Text(text) => text.to_string(),
        Node::Number(number) => number.to_string(),
        Node::Signed(number) => number.to_string(),
        Node::Unsigned(number) => number.to_string(),
        _ => "the value".to_owned(),
    }
}

fn not_too_deep(depth: usize) -> Read<()> {
    if depth > MAX_DEPTH {
        return Err(Problem(format!("a table nests deeper than {MAX_DEPTH} levels").into()));
    }
    Ok(())
}

fn out_of_range(number: &str, tag: &str) -> Problem {
    Problem(["`", number, "` is no whole number in the range of the field type `", tag, "`"].concat().into())
}

fn expected(what: &str) -> Problem {
    Problem(["expected ", what].concat().into())
}

/// Kombu's transport options, as far as they change names.
pub(crate) fn layout(node: &Node) -> Read<Layout> {
    let fields = Fields::of(node)?;
    let mut layout = Layout::default();
    for (name, text) in [
        ("global_keyprefix", &mut layout.global_keyprefix),
        ("sep", &mut layout.sep),
        ("unacked_key", &mut layout.unacked_key),
        ("unacked_index_key", &mut layout.unacked_index_key),
        ("unacked_mutex_key", &mut layout.unacked_mutex_key),
    ] {
        if let Some(said) = fields.maybe_text(name)? {
            *text = said.into();
        }
    }
    if fields.get("priority_steps").is_some() {
        let step = |step: &Node| step.integer().and_then(|step| step.try_into().ok());
        let steps = fields.list("priority_steps")?.iter().map(step).collect::<Option<_>>();
        layout.priority_steps = steps.ok_or_else(|| wrong("priority_steps"))?;
    }
    layout.fanout_prefix = match fields.get("fanout_prefix") {
        None | Some(Node::Bool(true)) => FanoutPrefix::Database,
        Some(Node::Bool(false)) => FanoutPrefix::None,
        Some(Node::Text(text)) => FanoutPrefix::Text((**text).into()),
        Some(_) => return Err(wrong("fanout_prefix")),
    };
    if fields.get("fanout_patterns").is_some() {
        layout.fanout_patterns = fields.flag("fanout_patterns")?;
    }
    if let Some(db) = fields.size("db")? {
        layout.db = db.try_into().map_err(|_| wrong("db"))?;
    }
    Ok(layout)
}
