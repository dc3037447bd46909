//! Field tables in a snapshot: a count, then for each entry its name, the octet of its type, and its value.

use alloc::vec::Vec;

use super::{
    SnapshotError,
    bytes::{Reader, put_bytes, put_number},
};
use crate::{ByteString, Table, Value};

/// Tables nest this deep at most, as in JSON.
const MAX_DEPTH: usize = 64;

pub(super) fn put_table(out: &mut Vec<u8>, table: &Table) {
    put_number(out, table.len() as u64);
    for (name, value) in table.iter() {
        put_bytes(out, name);
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    out.push(value.tag() as u8);
    match value {
        Value::LongString(bytes) | Value::ByteArray(bytes) => put_bytes(out, bytes),
        Value::I8(n) => out.extend(n.to_le_bytes()),
        Value::U8(n) => out.push(*n),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::Timestamp(n) => out.extend(n.to_le_bytes()),
        Value::F32(n) => out.extend(n.to_le_bytes()),
        Value::F64(n) => out.extend(n.to_le_bytes()),
        Value::Decimal { scale, digits } => {
            out.push(*scale);
            out.extend(digits.to_le_bytes());
        }
        Value::Bool(b) => out.push(u8::from(*b)),
        Value::Void => {}
        Value::Table(table) => put_table(out, table),
        Value::Array(values) => {
            put_number(out, values.len() as u64);
            values.iter().for_each(|value| put_value(out, value));
        }
    }
}

pub(super) fn read_table(reader: &mut Reader<'_>) -> Result<Table, SnapshotError> {
    table(reader, 0)
}

fn table(reader: &mut Reader<'_>, depth: usize) -> Result<Table, SnapshotError> {
    let count = reader.count(2)?;
    let mut table = Table::new();
    for _ in 0..count {
        let name = ByteString::from(reader.bytes()?);
        table.push(name, value(reader, depth)?);
    }
    Ok(table)
}

fn value(reader: &mut Reader<'_>, depth: usize) -> Result<Value, SnapshotError> {
    if depth > MAX_DEPTH {
        return Err(reader.error("a table nests deeper than 64 levels"));
    }
    Ok(match reader.byte()? {
        b'S' => Value::LongString(reader.bytes()?.into()),
        b'x' => Value::ByteArray(reader.bytes()?.into()),
        b'b' => Value::I8(i8::from_le_bytes(array(reader)?)),
        b'B' => Value::U8(reader.byte()?),
        b's' => Value::I16(i16::from_le_bytes(array(reader)?)),
        b'u' => Value::U16(u16::from_le_bytes(array(reader)?)),
        b'I' => Value::I32(i32::from_le_bytes(array(reader)?)),
        b'i' => Value::U32(u32::from_le_bytes(array(reader)?)),
        b'l' => Value::I64(i64::from_le_bytes(array(reader)?)),
        b'T' => Value::Timestamp(u64::from_le_bytes(array(reader)?)),
        b'f' => {
            let single = f32::from_le_bytes(array(reader)?);
            finite(reader, single.into())?;
            Value::F32(single)
        }
        b'd' => {
            let double = f64::from_le_bytes(array(reader)?);
            finite(reader, double)?;
            Value::F64(double)
        }
        b'D' => Value::Decimal { scale: reader.byte()?, digits: u32::from_le_bytes(array(reader)?) },
        b't' => Value::Bool(match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(reader.error("a boolean is neither 0 nor 1")),
        }),
        b'V' => Value::Void,
        b'F' => Value::Table(table(reader, depth + 1)?),
        b'A' => {
            let count = reader.count(1)?;
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(value(reader, depth + 1)?);
            }
            Value::Array(values)
        }
        _ => return Err(reader.error("a field type is unknown")),
    })
}

/// As everywhere: RabbitMQ cannot read the others.
fn finite(reader: &Reader<'_>, float: f64) -> Result<(), SnapshotError> {
    if float.is_finite() { Ok(()) } else { Err(reader.error("a number is not finite")) }
}

fn array<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], SnapshotError> {
    let mut array = [0; N];
    array.copy_from_slice(reader.take(N as u64)?);
    Ok(array)
}
