use alloc::vec::Vec;
use core::{cmp::Ordering, fmt, mem};

use crate::{ByteString, hash::hash, sort};

mod json;

/// An AMQP field table: the headers of a message, the arguments of a declaration or a binding.
///
/// Entries keep their wire order and may repeat a name, because RabbitMQ's headers exchange looks at both.
///
/// The same as JSON, where the types matter and where they do not:
///
/// ```
/// use keyrail_core::{Table, Value};
///
/// let plain: Table = serde_json::from_str(r#"{"format": "pdf", "pages": 3}"#)?;
/// assert_eq!(plain.get("pages"), Some(&Value::I64(3)));
/// let typed: Table = serde_json::from_str(r#"[["pages", "I", 3], ["due", "T", 1700000000]]"#)?;
/// assert_eq!(typed.get("pages"), Some(&Value::I32(3)));
/// assert_eq!(typed.get("due"), Some(&Value::Timestamp(1_700_000_000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # JSON
/// Usually an object (`{"format": "pdf", "pages": 3}`): strings are long strings, whole numbers 64-bit integers,
/// other numbers doubles, `null` is void. Where the AMQP type matters, a list of `[name, tag, value]` with the field
/// type octets of AMQP 0-9-1 as RabbitMQ reads them: `[["pages", "I", 3], ["due", "T", 1700000000]]`.
///
/// ```
/// use keyrail_core::{Table, Value};
///
/// let table = Table::from_iter([("format", Value::from("pdf")), ("pages", Value::from(3))]);
/// assert_eq!(table.get("pages"), Some(&Value::I64(3)));
/// ```
/// # Source
/// AMQP 0-9-1 §4.2.5.5; vectors `headers-004` to `headers-013`.
#[derive(Clone, Debug, Default)]
pub struct Table(Vec<(ByteString, Value)>);

/// One value of a [`Table`], with its AMQP 0-9-1 type.
///
/// ```
/// use keyrail_core::{Binding, Message, Outcome, Queue, Router, Routes, Table, Value};
///
/// let mut router = Router::with_predeclared_exchanges();
/// let headers = router.exchange("amq.headers").unwrap();
/// let print = router.declare_queue("print", Queue::new())?;
/// let three = Table::from_iter([("pages", Value::U8(3))]);
/// router.bind(headers, print, &Binding::new("").arguments(&three))?;
/// for (pages, outcome) in [(Value::F64(3.0), Outcome::Routed), (Value::from("3"), Outcome::Unroutable)] {
///     let headers_of_it = Table::from_iter([("pages", pages)]);
///     let message = Message::new("").headers(&headers_of_it)?;
///     assert_eq!(router.route(headers, &message, &mut Routes::new()), outcome);
/// }
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// # Source
/// AMQP 0-9-1 §4.2.5.5; vectors `headers-004`, `headers-005`.
#[derive(Clone, Debug)]
pub enum Value {
    /// `S`: text, or any bytes.
    LongString(ByteString),
    /// `x`: bytes. Equal to a long string of the same bytes when headers are matched.
    ByteArray(ByteString),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L`, which RabbitMQ reads as signed too.
    I64(i64),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `digits` divided by ten to the power of `scale`; never compared by that quotient.
    Decimal {
        /// The number of decimal places.
        scale: u8,
        /// The digits as an integer.
        digits: u32,
    },
    /// `t`
    Bool(bool),
    /// `V`: in a binding of a headers exchange, "this header is present".
    Void,
    /// `F`
    Table(Table),
    /// `A`
    Array(Vec<Value>),
}

impl Table {
    /// An empty table.
    ///
    /// ```
    /// use keyrail_core::Table;
    ///
    /// assert!(Table::new().is_empty());
    /// assert_eq!(Table::new().get("format"), None);
    /// ```
    pub const fn new() -> Self {
        Table(Vec::new())
    }

    /// Appends an entry; an entry of the same name stays where it is.
    ///
    /// ```
    /// use keyrail_core::{Table, Value};
    ///
    /// let mut table = Table::new();
    /// table.push("format", "pdf");
    /// table.push("format", "ps"); // a second one of this name
    /// assert_eq!((table.len(), table.get("format")), (2, Some(&Value::from("pdf"))));
    /// ```
    ///
    /// # Source
    /// Vector `headers-031`.
    pub fn push(&mut self, name: impl Into<ByteString>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first entry with this name, as RabbitMQ looks arguments up.
    ///
    /// ```
    /// use keyrail_core::{Table, Value};
    ///
    /// let table = Table::from_iter([("format", "pdf")]);
    /// assert_eq!(table.get("format").and_then(Value::as_str), Some("pdf"));
    /// assert_eq!(table.get("Format"), None); // names are compared byte by byte
    /// ```
    ///
    /// # Cost
    /// One comparison for each entry before it.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&Value> {
        let name = name.as_ref();
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The entries in wire order.
    ///
    /// ```
    /// use keyrail_core::Table;
    ///
    /// let table = Table::from_iter([("pages", 3), ("copies", 2)]);
    /// assert!(table.iter().map(|(name, _)| name).eq([&b"pages"[..], b"copies"]));
    /// ```
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &Value)> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name.as_bytes(), value))
    }

    /// The entry at this place of the wire order.
    pub(crate) fn entry(&self, place: u32) -> Option<(&[u8], &Value)> {
        self.0.get(place as usize).map(|(name, value)| (name.as_bytes(), value))
    }

    /// The number of entries, repeated names counted each time.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts by name, entries of the same name staying in their order: how RabbitMQ keeps arguments and headers.
    pub(crate) fn sort(&mut self) {
        let mut placed: Vec<_> = mem::take(&mut self.0).into_iter().enumerate().collect();
        sort::sort_by(&mut placed, |(a_at, (a, _)), (b_at, (b, _))| a.cmp(b).then(a_at.cmp(b_at)));
        self.0 = placed.into_iter().map(|(_, entry)| entry).collect();
    }

    /// Bytes that are equal exactly where RabbitMQ sees the same arguments: sorted by name, types told apart.
    pub(crate) fn identity(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.is_empty() {
            let mut sorted: Vec<_> = self.iter().enumerate().collect();
            sort::sort_by(&mut sorted, |(a_at, (a, _)), (b_at, (b, _))| a.cmp(b).then(a_at.cmp(b_at)));
            encode_entries(sorted.into_iter().map(|(_, entry)| entry), &mut out);
        }
        out
    }
}

impl<N: Into<ByteString>, V: Into<Value>> FromIterator<(N, V)> for Table {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        Table(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Value {
    /// The field type octet of AMQP 0-9-1, as RabbitMQ reads it.
    ///
    /// ```
    /// use keyrail_core::Value;
    ///
    /// assert_eq!((Value::from("pdf").tag(), Value::from(3).tag(), Value::I32(3).tag()), ('S', 'l', 'I'));
    /// ```
    pub const fn tag(&self) -> char {
        match self {
            Value::LongString(_) => 'S',
            Value::ByteArray(_) => 'x',
            Value::I8(_) => 'b',
            Value::U8(_) => 'B',
            Value::I16(_) => 's',
            Value::U16(_) => 'u',
            Value::I32(_) => 'I',
            Value::U32(_) => 'i',
            Value::I64(_) => 'l',
            Value::Timestamp(_) => 'T',
            Value::F32(_) => 'f',
            Value::F64(_) => 'd',
            Value::Decimal { .. } => 'D',
            Value::Bool(_) => 't',
            Value::Void => 'V',
            Value::Table(_) => 'F',
            Value::Array(_) => 'A',
        }
    }

    /// The text of a long string, if it is one and is UTF-8.
    ///
    /// ```
    /// use keyrail_core::Value;
    ///
    /// assert_eq!(Value::from("pdf").as_str(), Some("pdf"));
    /// assert_eq!(Value::LongString([0xff].into()).as_str(), None);
    /// assert_eq!(Value::from(3).as_str(), None);
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::LongString(text) => text.as_str(),
            _ => None,
        }
    }

    /// Whether a headers exchange of RabbitMQ 3.10 takes the two for equal.
    ///
    /// At the top level the types do not count: every integer, timestamp and float of the same value is equal (an
    /// integer and a float exactly, not after rounding), a long string equals a byte array, and an empty table an
    /// empty array. Inside tables and arrays both types and order count.
    pub(crate) fn matches(&self, other: &Value) -> bool {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => return a == b,
            (None, None) => {}
            _ => return false,
        }
        match (self, other) {
            (Value::LongString(a) | Value::ByteArray(a), Value::LongString(b) | Value::ByteArray(b)) => {
                a == b
            }
            (Value::Table(a), Value::Array(b)) | (Value::Array(b), Value::Table(a)) => {
                a.is_empty() && b.is_empty()
            }
            _ => self == other,
        }
    }

    /// A hash that is the same for values that [match](Self::matches).
    pub(crate) fn match_hash(&self, seed: u64) -> u64 {
        match self.number() {
            Some(Number::Integer(n)) => return hash(seed, &n.to_le_bytes()),
            Some(Number::Float(n)) => return hash(!seed, &n.to_le_bytes()),
            None => {}
        }
        match self {
            Value::LongString(bytes) | Value::ByteArray(bytes) => hash(seed.rotate_left(8), bytes),
            Value::Decimal { scale, digits } => {
                hash(seed.rotate_left(16), &[[*scale; 4], digits.to_le_bytes()].concat())
            }
            Value::Bool(b) => seed ^ u64::from(*b),
            // Seldom compared, and what is inside would have to be hashed by types and order.
            Value::Table(table) => hash(seed, &[b'A', table.len() as u8]),
            Value::Array(values) => hash(seed, &[b'A', values.len() as u8]),
            _ => seed,
        }
    }

    fn number(&self) -> Option<Number> {
        let integer = match *self {
            Value::I8(n) => i128::from(n),
            Value::U8(n) => i128::from(n),
            Value::I16(n) => i128::from(n),
            Value::U16(n) => i128::from(n),
            Value::I32(n) => i128::from(n),
            Value::U32(n) => i128::from(n),
            Value::I64(n) => i128::from(n),
            Value::Timestamp(n) => i128::from(n),
            Value::F32(n) => return Some(Number::from_float(f64::from(n))),
            Value::F64(n) => return Some(Number::from_float(n)),
            _ => return None,
        };
        Some(Number::Integer(integer))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.tag() as u8);
        match self {
            Value::LongString(bytes) | Value::ByteArray(bytes) => encode_bytes(bytes, out),
            Value::I8(n) => out.extend(n.to_le_bytes()),
            Value::U8(n) => out.push(*n),
            Value::I16(n) => out.extend(n.to_le_bytes()),
            Value::U16(n) => out.extend(n.to_le_bytes()),
            Value::I32(n) => out.extend(n.to_le_bytes()),
            Value::U32(n) => out.extend(n.to_le_bytes()),
            Value::I64(n) => out.extend(n.to_le_bytes()),
            Value::Timestamp(n) => out.extend(n.to_le_bytes()),
            // Erlang before OTP 27 has one zero, so -0.0 is stored as 0.0.
            Value::F32(n) => out.extend((n + 0.0).to_le_bytes()),
            Value::F64(n) => out.extend((n + 0.0).to_le_bytes()),
            Value::Decimal { scale, digits } => {
                out.push(*scale);
                out.extend(digits.to_le_bytes());
            }
            Value::Bool(b) => out.push(u8::from(*b)),
            Value::Void => {}
            Value::Table(table) => encode_entries(table.iter(), out),
            Value::Array(values) => {
                encode_length(values.len(), out);
                values.iter().for_each(|value| value.encode(out));
            }
        }
    }
}

fn encode_entries<'a>(entries: impl ExactSizeIterator<Item = (&'a [u8], &'a Value)>, out: &mut Vec<u8>) {
    encode_length(entries.len(), out);
    for (name, value) in entries {
        encode_bytes(name, out);
        value.encode(out);
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Lengths take eight bytes on every target, so that identities are the same bytes everywhere.
fn encode_length(length: usize, out: &mut Vec<u8>) {
    out.extend((length as u64).to_le_bytes());
}

/// Typed equality, in order: what RabbitMQ's `=:=` sees, with one zero.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::LongString(a), Value::LongString(b)) | (Value::ByteArray(a), Value::ByteArray(b)) => {
                a == b
            }
            (Value::F32(a), Value::F32(b)) => a == b,
            (Value::F64(a), Value::F64(b)) => a == b,
            (
                Value::Decimal { scale, digits },
                Value::Decimal { scale: other_scale, digits: other_digits },
            ) => scale == other_scale && digits == other_digits,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Void, Value::Void) => true,
            (Value::Table(a), Value::Table(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            _ => {
                self.tag() == other.tag()
                    && matches!((self.number(), other.number()), (Some(a), Some(b)) if a == b)
            }
        }
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// A number of any AMQP type, compared by value and without rounding.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    /// Not a whole number, or too large to be one of AMQP's integers.
    Float(f64),
}

impl Number {
    fn from_float(float: f64) -> Self {
        // Every AMQP integer is below 2^64 in magnitude; inside that range the cast is exact for whole numbers.
        let whole = float as i128;
        if float.abs() < 18_446_744_073_709_551_616.0 && whole as f64 == float {
            Number::Integer(whole)
        } else {
            Number::Float(float)
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Number::Integer(a), Number::Integer(b)) => a == b,
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(b) == Some(Ordering::Equal),
            _ => false,
        }
    }
}

/// Shows a value as a person would write it: text and numbers bare, lists in brackets.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::LongString(bytes) | Value::ByteArray(bytes) => bytes.fmt(f),
            Value::I8(n) => n.fmt(f),
            Value::U8(n) => n.fmt(f),
            Value::I16(n) => n.fmt(f),
            Value::U16(n) => n.fmt(f),
            Value::I32(n) => n.fmt(f),
            Value::U32(n) => n.fmt(f),
            Value::I64(n) => n.fmt(f),
            Value::Timestamp(n) => write!(f, "@{n}"),
            Value::F32(n) => n.fmt(f),
            Value::F64(n) => n.fmt(f),
            Value::Decimal { scale, digits } => write!(f, "{digits}e-{scale}"),
            Value::Bool(b) => b.fmt(f),
            Value::Void => f.write_str("void"),
            Value::Table(table) => {
                let entries = table.iter().map(|(name, value)| (ByteString::from(name), value));
                list(f, "{", entries, |f, (name, value)| write!(f, "{name}: {value}"), "}")
            }
            Value::Array(values) => list(f, "[", values.iter(), |f, value| value.fmt(f), "]"),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: impl Iterator<Item = T>,
    show: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
    close: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (at, item) in items.enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        show(f, item)?;
    }
    f.write_str(close)
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Value::$variant(value.into())
            }
        }
    )*};
}

value_from! {
    &str => LongString,
    ByteString => LongString,
    i32 => I64,
    i64 => I64,
    f64 => F64,
    bool => Bool,
    Table => Table,
    Vec<Value> => Array,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn numbers_compare_by_value_across_types() {
        let one = [
            Value::I8(1),
            Value::U8(1),
            Value::I32(1),
            Value::I64(1),
            Value::Timestamp(1),
            Value::F32(1.0),
            Value::F64(1.0),
        ];
        for a in &one {
            for b in &one {
                assert!(a.matches(b), "{a:?} {b:?}");
                assert_eq!(a == b, a.tag() == b.tag(), "{a:?} {b:?}");
            }
        }
        let big = 1_i64 << 53;
        assert!(Value::I64(big).matches(&Value::F64(big as f64)));
        assert!(!Value::I64(big + 1).matches(&Value::F64(big as f64)));
        assert!(Value::I64(0).matches(&Value::F64(-0.0)));
        assert!(!Value::F32(0.1).matches(&Value::F64(0.1)));
        assert!(!Value::F64(f64::INFINITY).matches(&Value::Timestamp(u64::MAX)));
    }

    #[test]
    fn identity_ignores_order_and_sees_types() {
        let ab = Table::from_iter([("a", Value::I32(1)), ("b", Value::I32(2))]);
        let ba = Table::from_iter([("b", Value::I32(2)), ("a", Value::I32(1))]);
        let wide = Table::from_iter([("a", Value::I64(1)), ("b", Value::I32(2))]);
        assert_eq!(ab.identity(), ba.identity());
        assert_ne!(ab.identity(), wide.identity());
        assert!(Table::new().identity().is_empty());
        let nested = |inner: Table| Table::from_iter([("n", inner)]).identity();
        assert_ne!(nested(ab), nested(ba));
    }

    #[test]
    fn what_matches_hashes_alike() {
        let text = ByteString::from("1");
        let alike = [
            vec![
                Value::I8(1),
                Value::U8(1),
                Value::U16(1),
                Value::I64(1),
                Value::Timestamp(1),
                Value::F32(1.0),
                Value::F64(1.0),
            ],
            vec![Value::I64(0), Value::F64(-0.0), Value::F32(0.0)],
            vec![Value::F32(0.5), Value::F64(0.5)],
            vec![Value::F64(1e30), Value::F64(1e30)],
            vec![Value::LongString(text.clone()), Value::ByteArray(text)],
            vec![Value::Table(Table::new()), Value::Array(Vec::new())],
            vec![Value::Decimal { scale: 1, digits: 2 }, Value::Decimal { scale: 1, digits: 2 }],
        ];
        for (at, group) in alike.iter().enumerate() {
            for value in group {
                assert!(value.matches(&group[0]));
                assert_eq!(value.match_hash(5), group[0].match_hash(5), "{value:?}");
                assert!(
                    alike[..at].iter().all(|other| other[0].match_hash(5) != value.match_hash(5)),
                    "{value:?}"
                );
            }
        }
    }

    #[test]
    fn strings_are_not_numbers() {
        let values = [
            Value::from("1"),
            Value::I64(1),
            Value::Bool(true),
            Value::Decimal { scale: 0, digits: 1 },
            Value::Void,
        ];
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(a.matches(b), i == j, "{a:?} {b:?}");
            }
        }
        assert!(Value::from("1").matches(&Value::ByteArray("1".into())));
        assert!(Value::Table(Table::new()).matches(&Value::Array(Vec::new())));
    }
}
