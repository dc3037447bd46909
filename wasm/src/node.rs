//! Data of JavaScript's, on its way in.
//!
//! `js/encode.ts` writes it as bytes, which are read here into one tree: what the module does with structured values is
//! compiled for this tree alone.

use std::fmt;

use serde::ser;

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// JavaScript's only number; whole where that is exact.
    Number(f64),
    Signed(i64),
    Unsigned(u64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Node>),
    /// In the order of the object.
    Map(Vec<(Box<str>, Node)>),
}

/// The octets that say what follows.
pub(crate) mod tag {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const FALSE: u8 = 1;
    pub(crate) const TRUE: u8 = 2;
    /// A double.
    pub(crate) const NUMBER: u8 = 3;
    pub(crate) const SIGNED: u8 = 4;
    pub(crate) const UNSIGNED: u8 = 5;
    /// A length of 32 bits, then UTF-8.
    pub(crate) const TEXT: u8 = 6;
    pub(crate) const BYTES: u8 = 7;
    /// A count of 32 bits, then as many values.
    pub(crate) const LIST: u8 = 8;
    /// A count of 32 bits, then as many names and values; a name is a length and UTF-8.
    pub(crate) const MAP: u8 = 9;
}

/// `Number.MAX_SAFE_INTEGER`
pub(crate) const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

impl Node {
    /// Reads what `js/encode.ts` wrote; nothing if it is cut off.
    pub(crate) fn read(bytes: &[u8]) -> Option<Node> {
        Reader { bytes }.node()
    }

    /// The whole number that this is.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            // Exact: it is whole and has 53 bits.
            Node::Number(number) if number.abs() <= MAX_SAFE && *number as i64 as f64 == *number => {
                Some(*number as i64)
            }
            Node::Signed(number) => Some(*number),
            _ => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn node(&mut self) -> Option<Node> {
        Some(match self.take(1)?[0] {
            tag::NULL => Node::Null,
            tag::FALSE => Node::Bool(false),
            tag::TRUE => Node::Bool(true),
            tag::NUMBER => Node::Number(f64::from_bits(self.eight()?)),
            tag::SIGNED => Node::Signed(self.eight()? as i64),
            tag::UNSIGNED => Node::Unsigned(self.eight()?),
            tag::TEXT => Node::Text(self.text()?),
            tag::BYTES => {
                let length = self.count()?;
                Node::Bytes(self.take(length)?.into())
            }
            tag::LIST => {
                let count = self.count()?;
                Node::List((0..count).map(|_| self.node()).collect::<Option<_>>()?)
            }
            tag::MAP => {
                let count = self.count()?;
                Node::Map((0..count).map(|_| Some((self.text()?, self.node()?))).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn eight(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<Box<str>> {
        let length = self.count()?;
        Some(std::str::from_utf8(self.take(length)?).ok()?.into())
    }
}

/// Why data is not what it should be.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Box<str>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl ser::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem(message.to_string().into())
    }
}
