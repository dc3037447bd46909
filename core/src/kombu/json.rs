//! JSON as Python's `json.dumps` writes it.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

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
        text(self.to_bytes())
    }

    /// The same as bytes, of which all are ASCII.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Most values fit, and growing to that takes longer than asking for it.
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        out
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

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Int(number) => write_int(out, *number),
            Json::BigInt(number) => out.extend_from_slice(number.as_str().as_bytes()),
            Json::Float(number) => write_float(out, *number),
            Json::String(text) => write_string(out, text),
            Json::Array(items) => write_array(out, items),
            Json::Object(members) => write_object(out, members),
        }
    }
}

/// What was written is ASCII.
fn text(written: Vec<u8>) -> String {
    String::from_utf8(written).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

pub(super) fn write_array(out: &mut Vec<u8>, items: &[Json]) {
    out.push(b'[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.extend_from_slice(b", ");
        }
        item.write(out);
    }
    out.push(b']');
}

pub(super) fn write_object(out: &mut Vec<u8>, members: &[(String, Json)]) {
    write_members(out, members, |out, name| write_string(out, name));
}

pub(super) fn write_members<N>(
    out: &mut Vec<u8>,
    members: &[(N, Json)],
    write_name: impl Fn(&mut Vec<u8>, &N),
) {
    out.push(b'{');
    for (n, (name, value)) in members.iter().enumerate() {
        if n > 0 {
            out.extend_from_slice(b", ");
        }
        write_name(out, name);
        out.extend_from_slice(b": ");
        value.write(out);
    }
    out.push(b'}');
}

/// A name of ours, in which everything is plain.
pub(super) fn write_plain(out: &mut Vec<u8>, name: &'static str) {
    debug_assert!(name.bytes().all(is_plain), "{name}");
    out.reserve(name.len() + 2);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    // What stays as it is is copied as a whole: bodies and names hardly hold anything else.
    while let Some(at) = first_other(rest.as_bytes()) {
        let (plain, other) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut others = other.chars();
        if let Some(c) = others.next() {
            write_escaped(out, c);
        }
        rest = others.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// Where the first byte is that is written otherwise. Blocks are looked at as a whole, which compilers do at once.
fn first_other(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let word = |word: &[u8; 8]| others(u64::from_ne_bytes(*word));
    let plain = |block: &[u8; BLOCK]| block.as_chunks().0.iter().fold(0, |any, eight| any | word(eight)) == 0;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let start = BLOCK * blocks.iter().take_while(|block| plain(block)).count();
    let (words, rest) = bytes[start..].as_chunks();
    // The last eight again, unless there are fewer.
    let last = || bytes.last_chunk().map_or_else(|| few(rest), word);
    if words.iter().all(|eight| word(eight) == 0) && last() == 0 {
        return None;
    }
    bytes[start..].iter().position(|byte| !is_plain(*byte)).map(|at| start + at)
}

/// The same for less than eight: four from either end, or with something plain behind them.
fn few(bytes: &[u8]) -> u64 {
    others(match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last))
        }
        _ => bytes.iter().fold(u64::from_ne_bytes(*b"        "), |word, byte| word << 8 | u64::from(*byte)),
    })
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Eight bytes at once; zero if all of them are plain. The highest bit of a byte is set by what is none, or by a borrow
/// from a neighbour that is none.
const fn others(bytes: u64) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const fn zeros(bytes: u64) -> u64 {
        bytes.wrapping_sub(each(1))
    }
    let below = bytes.wrapping_sub(each(b' '));
    let any =
        bytes | below | zeros(bytes ^ each(b'"')) | zeros(bytes ^ each(b'\\')) | zeros(bytes ^ each(0x7f));
    any & each(0x80)
}

fn write_escaped(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write_unit(out, *unit);
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A unit of UTF-16 by its number.
pub(super) fn write_unit(out: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift) & 0xf];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

fn write_int(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let (mut digits, mut at, mut rest) = ([0; 20], 20, number.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on. Where
/// JSON has no word for it, Python's.
fn write_float(out: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        out.extend_from_slice(if number.is_nan() {
            b"NaN"
        } else if number > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
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
        out.push(b'-');
    }
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
        return;
    }
    let mut digits = mantissa.bytes().filter(u8::is_ascii_digit).peekable();
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        (1..exponent.unsigned_abs()).for_each(|_| out.push(b'0'));
    } else {
        (0..=exponent).for_each(|_| out.push(digits.next().unwrap_or(b'0')));
        out.push(b'.');
        if digits.peek().is_none() {
            out.push(b'0');
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

    /// Wherever it stands among others, and however many they are.
    #[test]
    fn every_byte_is_written_as_it_is_alone() {
        for byte in 0..=0x7f_u8 {
            let alone = Json::from(&*char::from(byte).to_string()).to_python();
            let alone = alone.trim_start_matches('"').strip_suffix('"').unwrap_or("").to_string();
            let alone = if byte == b'"' { r#"\""#.to_string() } else { alone };
            for (before, behind) in (0..20).flat_map(|before| [0, 1, 7, 8, 20].map(|behind| (before, behind)))
            {
                let text = ["~".repeat(before), char::from(byte).to_string(), "!".repeat(behind)].concat();
                let written = ["\"", &"~".repeat(before), &alone, &"!".repeat(behind), "\""].concat();
                assert_eq!(Json::from(&*text).to_python(), written);
            }
            assert_eq!(is_plain(byte), others(u64::from_ne_bytes([byte; 8])) == 0, "{byte}");
        }
    }

    #[test]
    fn whole_numbers() {
        for number in [0, 9, 10, -1, 1_234_567_890, i64::MAX, i64::MIN] {
            assert_eq!(Json::Int(number).to_python(), number.to_string());
        }
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
