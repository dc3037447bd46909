//! The fields of an object, by name. JavaScript has checked them, so what is wrong here is told in few words.

use keyrail_core::{
    ByteString, Table,
    kombu::{Json, Layout},
};
use wasm_bindgen::JsValue;

use crate::{
    arguments,
    error::Failure,
    node::{Node, Problem},
};

pub(crate) type Read<T> = Result<T, Problem>;

/// An object on its way in.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [(Box<str>, Node)]);

/// Reads what `js/encode.ts` wrote.
pub(crate) fn node(bytes: &[u8]) -> Result<Node, JsValue> {
    Node::read(bytes).ok_or_else(|| Failure::from(Problem("the data is cut off".into())).into())
}

impl<'a> Fields<'a> {
    pub(crate) fn of(node: &'a Node) -> Read<Self> {
        match node {
            Node::Map(entries) => Ok(Fields(entries)),
            _ => Err(Problem("expected an object".into())),
        }
    }

    /// A field that is there.
    pub(crate) fn get(self, name: &str) -> Option<&'a Node> {
        let found = self.0.iter().find(|(field, _)| **field == *name)?;
        Some(&found.1).filter(|node| !matches!(node, Node::Null))
    }

    pub(crate) fn text(self, name: &str) -> Read<Box<str>> {
        self.maybe_text(name)?.ok_or_else(|| wrong(name))
    }

    pub(crate) fn maybe_text(self, name: &str) -> Read<Option<Box<str>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name)),
        }
    }

    /// False if it is not there.
    pub(crate) fn flag(self, name: &str) -> Read<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Node::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn integer(self, name: &str) -> Read<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(node) => node.integer().map(Some).ok_or_else(|| wrong(name)),
        }
    }

    /// A number from 0.
    pub(crate) fn size(self, name: &str) -> Read<Option<u64>> {
        match self.integer(name)? {
            None => Ok(None),
            Some(number) => u64::try_from(number).map(Some).map_err(|_| wrong(name)),
        }
    }

    pub(crate) fn number(self, name: &str) -> Read<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(Node::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(wrong(name)),
        }
    }

    /// Text or bytes; empty if it is not there.
    pub(crate) fn bytes(self, name: &str) -> Read<ByteString> {
        match self.get(name) {
            None => Ok(ByteString::default()),
            Some(node) => bytes(node).ok_or_else(|| wrong(name)),
        }
    }

    /// Empty if it is not there.
    pub(crate) fn table(self, name: &str) -> Read<Table> {
        self.get(name).map_or_else(|| Ok(Table::new()), arguments::table)
    }

    /// Kombu's names if it is not there.
    pub(crate) fn layout(self) -> Read<Layout> {
        self.get("layout").map_or_else(|| Ok(Layout::default()), arguments::layout)
    }

    /// Empty if it is not there.
    pub(crate) fn list(self, name: &str) -> Read<&'a [Node]> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Node::List(items)) => Ok(items),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn json(self, name: &str) -> Read<Option<Json>> {
        self.get(name).map(json).transpose()
    }

    /// The members of an object; none if it is not there.
    pub(crate) fn members(self, name: &str) -> Read<Vec<(String, Json)>> {
        match self.json(name)? {
            None => Ok(Vec::new()),
            Some(Json::Object(members)) => Ok(members),
            Some(_) => Err(wrong(name)),
        }
    }
}

pub(crate) fn bytes(node: &Node) -> Option<ByteString> {
    match node {
        Node::Text(text) => Some(ByteString::from(&**text)),
        Node::Bytes(bytes) => Some(ByteString::from(&**bytes)),
        _ => None,
    }
}

pub(crate) fn json(node: &Node) -> Read<Json> {
    Ok(match node {
        Node::Null => Json::Null,
        Node::Bool(value) => Json::Bool(*value),
        Node::Number(number) => node.integer().map_or(Json::Float(*number), Json::Int),
        Node::Signed(number) => Json::Int(*number),
        Node::Unsigned(number) => {
            return Err(Problem(
                ["`", &number.to_string(), "` is no whole number of 64 bits with a sign"].concat().into(),
            ));
        }
        Node::Text(text) => Json::String((**text).into()),
        Node::Bytes(_) => return Err(Problem("JSON has no bytes".into())),
        Node::List(items) => Json::Array(items.iter().map(json).collect::<Read<_>>()?),
        Node::Map(entries) => {
            let members = entries.iter().map(|(name, value)| Ok(((**name).into(), json(value)?)));
            Json::Object(members.collect::<Read<_>>()?)
        }
    })
}

pub(crate) fn wrong(name: &str) -> Problem {
    Problem(["`", name, "` is missing, or of the wrong type"].concat().into())
}
