//! Tables as RabbitMQ's definitions have them: plain JSON, which says less than AMQP.

use alloc::boxed::Box;

use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap},
};

use crate::{ByteString, Table, Value};

pub(super) fn serialize<S: Serializer>(table: &Table, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(table.len()))?;
    for (name, value) in table.iter() {
        map.serialize_entry(&ByteString::from(name), &Plain(value))?;
    }
    map.end()
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::LongString(text) | Value::ByteArray(text) => text.serialize(serializer),
            Value::I8(n) => serializer.serialize_i8(*n),
            Value::U8(n) => serializer.serialize_u8(*n),
            Value::I16(n) => serializer.serialize_i16(*n),
            Value::U16(n) => serializer.serialize_u16(*n),
            Value::I32(n) => serializer.serialize_i32(*n),
            Value::U32(n) => serializer.serialize_u32(*n),
            Value::I64(n) => serializer.serialize_i64(*n),
            Value::Timestamp(n) => serializer.serialize_u64(*n),
            Value::F32(n) => serializer.serialize_f64(f64::from(*n)),
            Value::F64(n) => serializer.serialize_f64(*n),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Void => serializer.serialize_unit(),
            Value::Table(table) => self::serialize(table, serializer),
            Value::Array(values) => serializer.collect_seq(values.iter().map(Plain)),
            // Refused before: see `check`.
            Value::Decimal { .. } => Err(S::Error::custom("a decimal has no plain JSON")),
        }
    }
}

/// Whether plain JSON says what routing asks for. At the top a number may lose its type, as RabbitMQ compares values
/// there; inside tables and arrays it compares types too.
pub(super) fn check(table: &Table) -> Result<(), Box<str>> {
    check_entries(table, false)
}

fn check_entries(table: &Table, nested: bool) -> Result<(), Box<str>> {
    for (at, (name, value)) in table.iter().enumerate() {
        let shown = ByteString::from(name);
        let refused = |what: &str| Err(alloc::format!("argument `{shown}` {what}").into());
        if shown.as_str().is_none() {
            return refused("has a name that is not UTF-8, which JSON cannot hold");
        }
        if table.iter().take(at).any(|(other, _)| other == name) {
            return refused("is there twice, which a JSON object cannot hold");
        }
        if let Err(what) = check_value(value, nested) {
            return refused(what);
        }
    }
    Ok(())
}

fn check_value(value: &Value, nested: bool) -> Result<(), &'static str> {
    const NESTED: &str = "has a value inside a list or table whose type plain JSON cannot tell";
    match value {
        Value::LongString(bytes) => match bytes.as_str() {
            Some(_) => Ok(()),
            None => Err("holds bytes that are not UTF-8, which JSON cannot hold"),
        },
        Value::Timestamp(n) if i64::try_from(*n).is_err() => Err("is beyond 64 bits with a sign"),
        Value::F64(n) if !n.is_finite() => Err("is not finite"),
        Value::I64(_) | Value::F64(_) | Value::Bool(_) => Ok(()),
        // Recorded: null_not_allowed.
        Value::Void => Err("is void, and RabbitMQ imports no null"),
        Value::Decimal { .. } => Err("is a decimal, which plain JSON cannot tell"),
        Value::Table(table) => check_entries(table, true).map_err(|_| NESTED),
        Value::Array(values) => values.iter().try_for_each(|value| check_value(value, true)),
        _ if nested => Err(NESTED),
        Value::ByteArray(bytes) if bytes.as_str().is_none() => {
            Err("holds bytes that are not UTF-8, which JSON cannot hold")
        }
        _ => Ok(()),
    }
}
