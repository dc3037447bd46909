//! The tree of [`node`](crate::node) as serde reads it: for the documents of others, which only `keyrail/full` takes.

use serde::{
    Deserializer,
    de::{
        self, IntoDeserializer, Visitor,
        value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::node::{Node, Problem};

impl de::Error for Problem {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Problem(message.to_string().into())
    }
}

impl<'de> IntoDeserializer<'de, Problem> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Number(number) => match self.integer() {
                Some(whole) => visitor.visit_i64(whole),
                None => visitor.visit_f64(*number),
            },
            Node::Signed(number) => visitor.visit_i64(*number),
            Node::Unsigned(number) => visitor.visit_u64(*number),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Node::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Node::Map(entries) => visitor
                .visit_map(MapDeserializer::new(entries.iter().map(|(name, value)| (Name(name), value)))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self {
            Node::Text(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            Node::Map(entries) => visitor.visit_enum(de::value::MapAccessDeserializer::new(
                MapDeserializer::new(entries.iter().map(|(name, value)| (Name(name), value))),
            )),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

/// A name in an object.
struct Name<'de>(&'de str);

impl<'de> IntoDeserializer<'de, Problem> for Name<'de> {
    type Deserializer = BorrowedStrDeserializer<'de, Problem>;

    fn into_deserializer(self) -> Self::Deserializer {
        BorrowedStrDeserializer::new(self.0)
    }
}
