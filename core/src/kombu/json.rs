//! JSON as Python's `json.dumps` writes it.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::big_int::BigInt;

/// A JSON value whose objects keep their order.
///
/// Kombu's bytes come from Python's `json.dumps`, and [`to_python`](Json::to_python) writes the same bytes: a blank
/// behind `,` and `:`, nothing but ASCII, floats as `repr` shows them. Reading is left to any serde format. What such a
/// format cannot read as a whole number, beyond 64 bits, becomes a float there: make it a [`BigInt`] from its text.
///
/// ```
/// use keyrail_core::kombu::Json;
///
/// let value = Json::from_iter([("name", Json::from("caf\u{e9}")), ("ok", Json::from(true))]);
/// assert_eq!(value.to_python(), r#"{"name": "caf\u00e9", "ok": true}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond that.
    BigInt(BigInt),
    /// Any other number.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// Names and values in order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The text that Python's `json.dumps` writes.
    ///
    /// ```
    /// use keyrail_core::kombu::Json;
    ///
    /// assert_eq!(Json::from_iter([Json::from(1), Json::from(2.0), Json::Null]).to_python(), "[1, 2.0, null]");
    /// ```
    pub fn to_python(&self) -> String {
        // Most values fit, and growing to that takes longer than asking for it.
        let mut text = String::with_capacity(128);
        self.write(&mut text);
        text
    }

    /// The value under this name, if this is an object that has it; the last one if there are several, as in Python.
    ///
    /// ```
    /// use keyrail_core::kombu::Json;
    ///
    /// let value = Json::from_iter([("n", Json::from(1))]);
    /// assert_eq!(value.member("n"), Some(&Json::Int(1)));
    /// assert_eq!(value.member("m"), None);
    /// ```
    pub fn member(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else {
            return None;
        };
        members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The text, if this is one.
    ///
    /// ```
    /// use keyrail_core::kombu::Json;
    ///
    /// assert_eq!(Json::from("a").as_str(), Some("a"));
    /// assert_eq!(Json::Null.as_str(), None);
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            // Writing into a String cannot fail, here and below.
            Json::Int(number) => drop(write!(out, "{number}")),
            Json::BigInt(number) => out.push_str(number.as_str()),
            Json::Float(number) => write_float(out, *number),
            Json::String(text) => write_string(out, text),
            Json::Array(items) => write_array(out, items),
            Json::Object(members) => write_object(out, members),
        }
    }
}

pub(super) fn write_array(out: &mut String, items: &[Json]) {
    out.push('[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        item.write(out);
    }
    out.push(']');
}

pub(super) fn write_object<N: AsRef<str>>(out: &mut String, members: &[(N, Json)]) {
    out.push('{');
    for (n, (name, value)) in members.iter().enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        write_string(out, name.as_ref());
        out.push_str(": ");
        value.write(out);
    }
    out.push('}');
}

pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // What stays as it is is copied as a whole: bodies and names hardly hold anything else.
    while let Some(at) = first_other(rest.as_bytes()) {
        let (plain, other) = rest.split_at(at);
        out.push_str(plain);
        let mut others = other.chars();
        if let Some(c) = others.next() {
            write_escaped(out, c);
        }
        rest = others.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Where the first byte is that is written otherwise. Blocks are looked at as a whole, which compilers do at once.
fn first_other(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let plain = |block: &[u8; BLOCK]| block.iter().fold(true, |all, byte| all & is_plain(*byte));
    let start = BLOCK * blocks.iter().take_while(|block| plain(block)).count();
    bytes[start..].iter().position(|byte| !is_plain(*byte)).map(|at| start + at)
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn write_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str(r"\\"),
        '\n' => out.push_str(r"\n"),
        '\r' => out.push_str(r"\r"),
        '\t' => out.push_str(r"\t"),
        '\u{8}' => out.push_str(r"\b"),
        '\u{c}' => out.push_str(r"\f"),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on. Where
/// JSON has no word for it, Python's.
fn write_float(out: &mut String, number: f64) {
    if !number.is_finite() {
        out.push_str(if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
        return;
    }
    // The shortest digits tell how many are needed. Where two are equally near, Python takes the even one, as rounding
    // to that many digits does.
    let shortest = format!("{:e}", number.abs());
    let precision = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count() - 1;
    let rounded = format!("{:.precision$e}", number.abs());
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number.is_sign_negative() {
        out.push('-');
    }
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let mut digits = mantissa.chars().filter(char::is_ascii_digit).peekable();
    if exponent < 0 {
        out.push_str("0.");
        (1..exponent.unsigned_abs()).for_each(|_| out.push('0'));
    } else {
        (0..=exponent).for_each(|_| out.push(digits.next().unwrap_or('0')));
        out.push('.');
        if digits.peek().is_none() {
            out.push('0');
        }
    }
    out.extend(digits);
}

macro_rules! from {
    ($($kind:ty => $to:expr),+ $(,)?) => {
        $(impl From<$kind> for Json {
            fn from(value: $kind) -> Self {
                $to(value)
            }
        })+
    };
}

from! {
    bool => Json::Bool,
    i64 => Json::Int,
    i32 => |n| Json::Int(i64::from(n)),
    u32 => |n| Json::Int(i64::from(n)),
    u8 => |n| Json::Int(i64::from(n)),
    f64 => Json::Float,
    String => Json::String,
    &str => |text: &str| Json::String(text.to_owned()),
    Box<str> => |text: Box<str>| Json::String(text.into()),
    Vec<Json> => Json::Array,
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Json::Null, Into::into)
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Json::Array(items.into_iter().collect())
    }
}

impl<N: Into<String>> FromIterator<(N, Json)> for Json {
    fn from_iter<I: IntoIterator<Item = (N, Json)>>(members: I) -> Self {
        Json::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(flag) => serializer.serialize_bool(*flag),
            Json::Int(number) => serializer.serialize_i64(*number),
            Json::BigInt(number) => match number.as_u64() {
                Some(number) => serializer.serialize_u64(number),
                // Formats differ in what they would make of it, or refuse it without a name.
                None => Err(serde::ser::Error::custom(format_args!("`{number}` has more than 64 bits"))),
            },
            Json::Float(number) => serializer.serialize_f64(*number),
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

/// Deepest nesting that is read, whatever the format allows: writing and dropping a value go as deep as it does.
const MAX_DEPTH: u32 = 128;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Nested(MAX_DEPTH).deserialize(deserializer)
    }
}

/// Reads a value that may still nest so deep.
#[derive(Clone, Copy)]
struct Nested(u32);

impl Nested {
    fn inside<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Nested).ok_or_else(|| E::custom("nested deeper than 128"))
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.inside()?.deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(match i64::try_from(number) {
            Ok(number) => Json::Int(number),
            Err(_) => BigInt::new(&number.to_string()).map_or(Json::Null, Json::BigInt),
        })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    // The size hint is the sender's claim: nothing is reserved for it.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inside = self.inside()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key()? {
            members.push((name, map.next_value_seed(inside)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.11 prints for `json.dumps` of each.
    #[test]
    fn floats_as_pythons_repr() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (2.5, "2.5"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e15, "1000000000000000.0"),
            (256173074524479.62, "256173074524479.62"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9007199254740993.0, "9007199254740992.0"),
            (1e-4, "0.0001"),
            (0.00012345, "0.00012345"),
            (1e-5, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1795358854.6965454, "1795358854.6965454"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Json::Float(number).to_python(), text);
        }
    }

    #[test]
    fn texts_are_ascii() {
        let text = "\"\\/\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}\u{e9}\u{2028}\u{1f600}~";
        let expected = r#""\"\\/\n\r\t\b\f\u0000\u001f\u007f\u00e9\u2028\ud83d\ude00~""#;
        assert_eq!(Json::from(text).to_python(), expected);
    }

    #[test]
    fn reading_keeps_the_order_and_writing_pythons_form() {
        let text = r#"{"z": [1, -2, 0.5, null, true, false, {}, []], "a": {"b": "c"}}"#;
        let value: Json = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_python(), text);
        let again: Json = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
        assert_eq!(again, value);
    }

    #[test]
    fn whole_numbers_keep_their_digits() {
        for text in
            ["9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808"]
        {
            let value: Json = serde_json::from_str(text).unwrap();
            assert_eq!(value.to_python(), text);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        for text in
            ["", "-", "0", "00", "-0", "+1", "1.0", "1e30", "9223372036854775807", "0123456789012345678901"]
        {
            assert_eq!(BigInt::new(text), None, "{text}");
        }
        let wide = Json::BigInt(BigInt::new("-12345678901234567890123").unwrap());
        assert_eq!(wide.to_python(), "-12345678901234567890123");
        let refused = serde_json::to_string(&wide).unwrap_err().to_string();
        assert_eq!(refused, "`-12345678901234567890123` has more than 64 bits");
    }

    #[test]
    fn depth_is_limited() {
        use serde::de::value::{Error as ValueError, UnitDeserializer};
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(serde_json::from_str::<Json>(&nested(100)).is_ok());
        assert!(serde_json::from_str::<Json>(&nested(100_000)).is_err());
        let unit = UnitDeserializer::<ValueError>::new();
        assert_eq!(Nested(0).visit_some(unit).unwrap_err().to_string(), "nested deeper than 128");
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        let value: Json = serde_json::from_str(r#"{"a": 1, "a": 2}"#).unwrap();
        assert_eq!(value.member("a"), Some(&Json::Int(2)));
    }
}
