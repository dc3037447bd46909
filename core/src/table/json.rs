//! The JSON form of tables: an object where that says everything, typed triples where it does not.

use alloc::{string::ToString, vec::Vec};
use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
    ser::{SerializeMap, SerializeSeq, SerializeTuple},
};

use super::{Table, Value};
use crate::ByteString;

/// Tables nest this deep at most: an object that contains itself must end in an error, not in a full stack.
const MAX_DEPTH: usize = 64;

/// Integers beyond this lose digits in JavaScript, so they travel as decimal text.
const MAX_SAFE: u64 = (1 << 53) - 1;

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if is_plain(self) {
            let mut map = serializer.serialize_map(Some(self.len()))?;
            for (name, value) in &self.0 {
                map.serialize_entry(name, &Plain(value))?;
            }
            map.end()
        } else {
            Triples(self).serialize(serializer)
        }
    }
}

/// Whether an object gives the table back exactly when it is read again, in JavaScript too.
fn is_plain(table: &Table) -> bool {
    table.iter().enumerate().all(|(at, (name, value))| {
        core::str::from_utf8(name).is_ok()
            // Assigned to an object of JavaScript, it would become the object's prototype.
            && name != b"__proto__"
            && is_plain_value(value)
            && table.iter().take(at).all(|(earlier, _)| earlier != name)
    })
}

fn is_plain_value(value: &Value) -> bool {
    match value {
        Value::LongString(text) => text.as_str().is_some(),
        Value::I64(n) => n.unsigned_abs() <= MAX_SAFE,
        // A whole double would come back as an integer.
        Value::F64(n) => n.is_finite() && (*n as i64) as f64 != *n,
        Value::Bool(_) | Value::Void => true,
        Value::Table(table) => is_plain(table),
        Value::Array(values) => values.iter().all(is_plain_value),
        _ => false,
    }
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::LongString(text) => text.serialize(serializer),
            Value::I64(n) => serializer.serialize_i64(*n),
            Value::F64(n) => serializer.serialize_f64(*n),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Table(table) => table.serialize(serializer),
            Value::Array(values) => serializer.collect_seq(values.iter().map(Plain)),
            _ => serializer.serialize_unit(),
        }
    }
}

struct Triples<'a>(&'a Table);

impl Serialize for Triples<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in &self.0.0 {
            seq.serialize_element(&(name, value.tag(), Payload(value)))?;
        }
        seq.end()
    }
}

/// The third part of a triple: the value without its tag.
struct Payload<'a>(&'a Value);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::LongString(bytes) | Value::ByteArray(bytes) => bytes.serialize(serializer),
            Value::I8(n) => serializer.serialize_i8(*n),
            Value::U8(n) => serializer.serialize_u8(*n),
            Value::I16(n) => serializer.serialize_i16(*n),
            Value::U16(n) => serializer.serialize_u16(*n),
            Value::I32(n) => serializer.serialize_i32(*n),
            Value::U32(n) => serializer.serialize_u32(*n),
            Value::I64(n) if n.unsigned_abs() > MAX_SAFE => serializer.collect_str(n),
            Value::I64(n) => serializer.serialize_i64(*n),
            Value::Timestamp(n) if *n > MAX_SAFE => serializer.collect_str(n),
            Value::Timestamp(n) => serializer.serialize_u64(*n),
            Value::F32(n) => serializer.serialize_f64(f64::from(*n)),
            Value::F64(n) => serializer.serialize_f64(*n),
            Value::Decimal { scale, digits } => {
                let mut pair = serializer.serialize_tuple(2)?;
                pair.serialize_element(scale)?;
                pair.serialize_element(digits)?;
                pair.end()
            }
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Void => serializer.serialize_unit(),
            Value::Table(table) => Triples(table).serialize(serializer),
            Value::Array(values) => {
                serializer.collect_seq(values.iter().map(|value| (value.tag(), Payload(value))))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TableSeed { depth: 0 }.deserialize(deserializer)
    }
}

#[derive(Clone, Copy)]
struct TableSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for TableSeed {
    type Value = Table;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Table, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TableSeed {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table: an object, or a list of [name, tag, value]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut table = Table::new();
        while let Some(name) = map.next_key::<ByteString>()? {
            let value = map.next_value_seed(PlainSeed { depth: self.depth + 1 })?;
            table.push(name, value);
        }
        Ok(table)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Table, A::Error> {
        let mut table = Table::new();
        while let Some((name, value)) = seq.next_element_seed(TripleSeed { depth: self.depth + 1 })? {
            table.push(name, value);
        }
        Ok(table)
    }
}

fn too_deep<E: Error>() -> E {
    E::custom(format_args!("a table nests deeper than {MAX_DEPTH} levels"))
}

/// A value in its plain JSON form.
#[derive(Clone, Copy)]
struct PlainSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for PlainSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PlainSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false, null, a list or an object")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::I64(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Value::I64(value)),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &"a 64-bit signed integer")),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        finite(value).map(Value::F64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::LongString(value.into()))
    }

    fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::LongString(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Void)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Void)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(PlainSeed { depth: self.depth + 1 })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        TableSeed { depth: self.depth }.visit_map(map).map(Value::Table)
    }
}

/// RabbitMQ cannot read the others: the connection dies.
fn finite<E: Error>(value: f64) -> Result<f64, E> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(E::invalid_value(Unexpected::Float(value), &"a finite number"))
    }
}

/// A finite number may be infinite as a single: such a value could be written, and not be read again.
fn single<E: Error>(value: f64) -> Result<f32, E> {
    let single = value as f32;
    if single.is_finite() {
        Ok(single)
    } else {
        Err(E::invalid_value(Unexpected::Float(value), &"a finite number in the range of the field type f"))
    }
}

/// `[name, tag, value]`.
struct TripleSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for TripleSeed {
    type Value = (ByteString, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for TripleSeed {
    type Value = (ByteString, Value);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[name, tag, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let name = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let value = tagged(&mut seq, self.depth, 1)?;
        Ok((name, value))
    }
}

/// `[tag, value]`, an element of a typed array.
struct PairSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for PairSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PairSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[tag, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        tagged(&mut seq, self.depth, 0)
    }
}

/// The rest of a sequence: a tag, the value it announces, and nothing after it.
fn tagged<'de, A: SeqAccess<'de>>(seq: &mut A, depth: usize, at: usize) -> Result<Value, A::Error> {
    const EXPECTED: &str = "a field type octet and its value";
    let tag: char = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &EXPECTED))?;
    let value = seq
        .next_element_seed(PayloadSeed { tag, depth })?
        .ok_or_else(|| A::Error::invalid_length(at + 1, &EXPECTED))?;
    match seq.next_element::<IgnoredAny>()? {
        None => Ok(value),
        Some(_) => Err(A::Error::invalid_length(at + 3, &EXPECTED)),
    }
}

/// The value that a tag announces.
struct PayloadSeed {
    tag: char,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for PayloadSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(match self.tag {
            'S' => Value::LongString(ByteString::deserialize(d)?),
            'x' => Value::ByteArray(ByteString::deserialize(d)?),
            'b' => Value::I8(integer(d, self.tag)?),
            'B' => Value::U8(integer(d, self.tag)?),
            's' => Value::I16(integer(d, self.tag)?),
            'u' => Value::U16(integer(d, self.tag)?),
            'I' => Value::I32(integer(d, self.tag)?),
            'i' => Value::U32(integer(d, self.tag)?),
            'l' | 'L' => Value::I64(integer(d, self.tag)?),
            'T' => Value::Timestamp(integer(d, self.tag)?),
            'f' => Value::F32(single(f64::deserialize(d)?)?),
            'd' => Value::F64(finite(f64::deserialize(d)?)?),
            'D' => {
                let (scale, digits) = <(u8, u32)>::deserialize(d)?;
                Value::Decimal { scale, digits }
            }
            't' => Value::Bool(d.deserialize_any(OctetVisitor)?),
            'V' => {
                <()>::deserialize(d)?;
                Value::Void
            }
            'F' => Value::Table(TableSeed { depth: self.depth }.deserialize(d)?),
            'A' => Value::Array(d.deserialize_seq(ArrayVisitor { depth: self.depth })?),
            other => {
                let message = format_args!("`{other}` is no field type, expected one of SxbBsuIilLTfdDtVFA");
                return Err(D::Error::custom(message));
            }
        })
    }
}

struct ArrayVisitor {
    depth: usize,
}

impl<'de> Visitor<'de> for ArrayVisitor {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of [tag, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(PairSeed { depth: self.depth + 1 })? {
            values.push(value);
        }
        Ok(values)
    }
}

/// A boolean octet: `true`, `false`, or the raw octet, of which every one but zero is true.
struct OctetVisitor;

impl Visitor<'_> for OctetVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or an octet")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        match u8::try_from(value) {
            Ok(octet) => Ok(octet != 0),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        match u8::try_from(value) {
            Ok(octet) => Ok(octet != 0),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }
}

/// A whole number in its range, or its decimal text.
fn integer<'de, D: Deserializer<'de>, N: TryFrom<i128>>(d: D, tag: char) -> Result<N, D::Error> {
    let value = d.deserialize_any(IntegerVisitor)?;
    N::try_from(value).map_err(|_| {
        let message = format_args!("{value} is out of range for the field type `{tag}`").to_string();
        D::Error::custom(message)
    })
}

struct IntegerVisitor;

impl Visitor<'_> for IntegerVisitor {
    type Value = i128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or its decimal text")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<i128, E> {
        value.parse().map_err(|_| E::invalid_value(Unexpected::Str(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    #[test]
    fn a_single_is_finite() {
        let parse = serde_json::from_str::<Table>;
        assert_eq!(parse(r#"[["x","f",3e38]]"#).unwrap().get("x"), Some(&Value::F32(3e38)));
        let error = parse(r#"[["x","f",1e39]]"#).unwrap_err().to_string();
        assert!(error.contains("the field type f"), "{error}");
    }

    fn round_trip(json: &str) -> Table {
        let table: Table = serde_json::from_str(json).expect(json);
        assert_eq!(serde_json::to_string(&table).unwrap(), json);
        table
    }

    #[test]
    fn plain_tables_are_objects() {
        let table = round_trip(r#"{"a":1,"b":"x","c":[1.5,null,{"d":true}]}"#);
        assert_eq!(table.get("a"), Some(&Value::I64(1)));
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn typed_tables_are_triples() {
        round_trip(r#"[["a","I",1],["a","T",7]]"#);
        round_trip(r#"[["n","d",1.0]]"#);
        round_trip(r#"[["__proto__","S","x"]]"#);
        round_trip(r#"[["n","l","9007199254740993"]]"#);
        round_trip(r#"[["n","A",[["S","x"],["F",[["k","D",[2,314]]]]]]]"#);
        round_trip(r#"[[{"hex":"fe"},"x",{"hex":"ff00"}]]"#);
        let octet: Table = serde_json::from_str(r#"[["t","t",2]]"#).unwrap();
        assert_eq!(octet.get("t"), Some(&Value::Bool(true)));
    }

    #[test]
    fn errors_name_the_culprit() {
        for (json, culprit) in [
            (r#"[["a","q",1]]"#, "`q`"),
            (r#"[["a","B",256]]"#, "256"),
            (r#"[["a","I"]]"#, "field type"),
            (r#"[["a","I",1,2]]"#, "field type"),
            (r#"[["a","l","12x"]]"#, "12x"),
            (r#"[["a","l",1.5]]"#, "1.5"),
            (r#"{"a":18446744073709551615}"#, "18446744073709551615"),
            (r#"7"#, "a table"),
        ] {
            let error = format!("{}", serde_json::from_str::<Table>(json).unwrap_err());
            assert!(error.contains(culprit), "{json}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let json: String = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        let error = format!("{}", serde_json::from_str::<Table>(&json).unwrap_err());
        assert!(error.contains("nests deeper"), "{error}");
    }
}
