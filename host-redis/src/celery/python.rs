//! JSON as Python's `json.dumps` writes it, and values on their way there.

use std::io;

use keyrail_core::kombu::{BigInt, Json};
use serde::Serialize;
use serde_json::{Serializer, Value, ser::Formatter};

/// The text of a value, numbers as they are. A map whose keys are no text gives nothing.
pub(super) fn dumps(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut text, Python)) {
        // What is written is ASCII.
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// The value whose members keep their order from here on.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Json::Int(int),
            // Whole, and beyond 64 bits with a sign; or else a fraction.
            None => {
                let wide = number.as_u64().and_then(|wide| BigInt::new(&wide.to_string()));
                wide.map_or_else(|| Json::from(number.as_f64()), Json::BigInt)
            }
        },
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
    }
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(Json::Float(value).to_python().as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `json.dumps` of the same.
    #[test]
    fn as_python_writes_it() {
        let value = json!({
            "a": [1, -2.5, 1e16, 0.0001, 1e-5, u64::MAX, null, true, []], "b": "caf\u{e9} \u{1f600} \"\\/\n\u{7f}\u{1}",
            "c": {},
        });
        let text = r#"{"a": [1, -2.5, 1e+16, 0.0001, 1e-05, 18446744073709551615, null, true, []], "b": "caf\u00e9 \ud83d\ude00 \"\\/\n\u007f\u0001", "c": {}}"#;
        assert_eq!(dumps(&value), text);
        assert_eq!(json(&value["b"]).to_python(), dumps(&value["b"]));
        assert_eq!(json(&value["a"]).to_python(), dumps(&value["a"]));
    }

    /// A number that Python wrote is that number, to the last digit.
    #[test]
    fn floats_are_read_as_they_were_written() {
        for text in ["1795357001.6482623", "1795357013.5130227", "0.1", "5e-324", "2.2403e-05"] {
            let value: Value = serde_json::from_str(text).expect("a number");
            assert_eq!(dumps(&value), text);
        }
    }

    #[test]
    fn what_json_cannot_express_is_nothing() {
        assert_eq!(dumps(&std::collections::BTreeMap::from([((1, 2), 3)])), "");
    }
}
