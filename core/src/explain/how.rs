use alloc::{boxed::Box, string::ToString, vec::Vec};

use serde::Serialize;

use crate::{
    BindingRef, ByteString, Dialect, ExchangeKind, Message, Table, Value,
    index::{HeadersPattern, SortedHeaders},
    pattern::{
        Language,
        reading::Reading,
        words::{Token, Tokens},
    },
};

/// How a binding matched.
///
/// ```
/// use keyrail_core::{How, Message, Topology, Trace};
///
/// let lines = "a topic: order.* -> q\nb direct: order.paid -> q\nc fanout: -> q";
/// let router = Topology::from_lines(lines)?.router()?;
/// let how = |exchange: &str| {
///     let mut trace = Trace::new();
///     router.explain(router.exchange(exchange).unwrap(), &Message::new("order.paid"), &mut trace);
///     trace.hops()[0].matches[0].how.clone()
/// };
/// assert!(matches!(how("a"), How::Words { words } if words.len() == 2));
/// assert_eq!((how("b"), how("c")), (How::Key, How::Always));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # JSON
/// `{"type": "words", "words": [{"token": "order", "kind": "literal", "took": ["order"]}, …]}`; the other types are
/// `always`, `key`, `expression`, `chosen`, `channel` and `headers`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum How {
    /// The exchange asks nothing: a fanout.
    Always,
    /// The binding key is the routing key.
    Key,
    /// The binding key is a pattern of whole words.
    Words {
        /// Each word of the binding key, and the words of the routing key that it took.
        words: Vec<WordMatch>,
    },
    /// The binding key is matched over characters: a `*` that is glued to a word, or a text that Kombu did not write.
    Expression {
        /// The text that Kombu stored, or the binding key.
        pattern: ByteString,
    },
    /// The exchange chose it among all: by a hash, or at random.
    Chosen,
    /// The queue listens to the Redis channel of a fanout exchange of Kombu.
    Channel,
    /// The arguments agree with the headers.
    Headers {
        /// How many of them have to.
        mode: MatchMode,
        /// Each argument that counts.
        headers: Vec<HeaderVerdict>,
    },
}

/// A word of a binding key, and the words of the routing key that it took.
///
/// ```
/// use keyrail_core::{How, Message, Topology, Trace};
///
/// let router = Topology::from_lines("orders topic: order.#.paid -> billing")?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("order.eu.at.paid"), &mut trace);
/// let How::Words { words } = &trace.hops()[0].matches[0].how else { unreachable!() };
/// assert_eq!((words[1].token.as_str(), words[1].took.len()), (Some("#"), 2));
/// assert_eq!(words[1].to_string(), "`#` took `eu.at`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WordMatch {
    /// As in the binding key.
    pub token: ByteString,
    /// What it is.
    pub kind: WordKind,
    /// One word; none or more for `#`, and for the `*` of Kombu up to 5.6 one or more.
    pub took: Vec<ByteString>,
}

/// What a word of a binding key is.
///
/// ```
/// use keyrail_core::{How, Message, Topology, Trace, WordKind};
///
/// let router = Topology::from_lines("orders topic: order.*.# -> audit")?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("order.eu"), &mut trace);
/// let How::Words { words } = &trace.hops()[0].matches[0].how else { unreachable!() };
/// assert!(words.iter().map(|word| word.kind).eq([WordKind::Literal, WordKind::Star, WordKind::Hash]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WordKind {
    /// It stands for itself.
    Literal,
    /// `*`
    Star,
    /// `#`
    Hash,
}

/// How many arguments of a headers binding have to agree: `x-match`, its `-with-x` apart.
///
/// ```
/// use keyrail_core::{How, MatchMode, Message, Table, Topology, Trace};
///
/// let router = Topology::from_lines(r#"files headers: {x-match: "any", format: "pdf"} -> print"#)?.router()?;
/// let (headers, mut trace) = (Table::from_iter([("format", "pdf")]), Trace::new());
/// let message = Message::new("").headers(&headers)?;
/// router.explain(router.exchange("files").unwrap(), &message, &mut trace);
/// assert!(matches!(trace.hops()[0].matches[0].how, How::Headers { mode: MatchMode::Any, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Vectors `headers-001`, `headers-015`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MatchMode {
    /// Every one.
    All,
    /// One is enough.
    Any,
}

/// An argument of a headers binding, and the header of the message that it is compared with.
///
/// ```
/// use keyrail_core::{How, Message, Table, Topology, Trace, Verdict};
///
/// let router = Topology::from_lines(r#"files headers: {format: "pdf", pages: null} -> print"#)?.router()?;
/// let headers = Table::from_iter([("format", "pdf"), ("pages", "many")]);
/// let (message, mut trace) = (Message::new("").headers(&headers)?, Trace::new());
/// router.explain(router.exchange("files").unwrap(), &message, &mut trace);
/// let How::Headers { headers, .. } = &trace.hops()[0].matches[0].how else { unreachable!() };
/// assert_eq!((headers[0].verdict, headers[1].verdict), (Verdict::Equal, Verdict::Present));
/// assert_eq!(headers[0].to_string(), "`format` is `pdf`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderVerdict {
    /// The name of both.
    pub name: ByteString,
    /// What came of it.
    pub verdict: Verdict,
    /// The argument, as text; left out where the header only has to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Box<str>>,
    /// The header, as text; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Box<str>>,
}

/// What came of comparing an argument with a header.
///
/// ```
/// use keyrail_core::{Message, Mismatch, Table, Topology, Trace, Verdict};
///
/// let router = Topology::from_lines("files headers: {pages: 3, format: null} -> print")?.router()?;
/// let headers = Table::from_iter([("pages", "3")]);
/// let (message, mut trace) = (Message::new("").headers(&headers)?, Trace::new().with_near_misses(1));
/// router.explain(router.exchange("files").unwrap(), &message, &mut trace);
/// let Mismatch::Headers { headers, .. } = &trace.near_misses()[0].mismatch else { unreachable!() };
/// let verdicts: Vec<Verdict> = headers.iter().map(|header| header.verdict).collect();
/// assert_eq!(verdicts, [Verdict::Missing, Verdict::DifferentType]); // in the order of names
/// assert!(!verdicts[0].agrees() && Verdict::Present.agrees());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Vectors `headers-004` to `headers-007`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// RabbitMQ takes the two for equal.
    Equal,
    /// The argument asks for nothing more than a header of this name.
    Present,
    /// There is no such header.
    Missing,
    /// Another number, another text.
    DifferentValue,
    /// A text where a number was wanted, for instance, which are never equal.
    DifferentType,
}

/// A key that the sender selected beside the routing key, and the header that names it.
///
/// ```
/// use keyrail_core::{Message, Topology, Trace, Table, Value};
///
/// let router = Topology::from_lines("orders direct: audit -> audit")?.router()?;
/// let headers = Table::from_iter([("CC", vec![Value::from("audit")])]);
/// let (message, mut trace) = (Message::new("paid").headers(&headers)?, Trace::new());
/// router.explain(router.exchange("orders").unwrap(), &message, &mut trace);
/// let selected = trace.hops()[0].matches[0].selected.as_ref().unwrap();
/// assert_eq!((selected.header, selected.key.as_str()), ("CC", Some("audit")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Vectors `sender-selected-001` to `sender-selected-031`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectedKey {
    /// `CC` or `BCC`.
    pub header: &'static str,
    /// The key.
    pub key: ByteString,
}

impl How {
    /// How a binding of an exchange of this kind, which does match, matches; and the key that it matches where that is
    /// not the routing key.
    pub(crate) fn of(
        kind: ExchangeKind,
        binding: &BindingRef<'_>,
        message: &Message<'_>,
    ) -> (Self, Option<SelectedKey>) {
        match kind {
            ExchangeKind::Direct => {
                (How::Key, selected_key(message, |key| (key == binding.key).then_some(())).1)
            }
            ExchangeKind::Fanout if binding.dialect != Dialect::Amqp => (How::Channel, None),
            ExchangeKind::Headers => (How::headers(binding.arguments, message), None),
            ExchangeKind::Topic => How::topic(binding, message),
            ExchangeKind::ConsistentHash | ExchangeKind::Random => (How::Chosen, None),
            _ => (How::Always, None),
        }
    }

    fn topic(binding: &BindingRef<'_>, message: &Message<'_>) -> (Self, Option<SelectedKey>) {
        let pattern = binding.pattern.map_or_else(|| ByteString::from(binding.key), ByteString::from);
        match Reading::of(binding) {
            Reading::Words { key, dialect } => {
                let tokens = Tokens::of(&key, dialect);
                let (words, selected) = selected_key(message, |key| {
                    let words = tokens.words(key);
                    tokens.layout(&words).map(|ends| took(&tokens.tokens, &words, &ends))
                });
                // Only a key of many thousand words, out of `CC`, is not laid out.
                (words.map_or(How::Expression { pattern }, |words| How::Words { words }), selected)
            }
            Reading::Glued(glued) => {
                let language = Language::glued(&glued);
                let selected = selected_key(message, |key| language.matches(key).then_some(())).1;
                (How::Expression { pattern }, selected)
            }
            Reading::Foreign => {
                let selected = selected_key(message, |key| foreign_matches(binding, key).then_some(())).1;
                (How::Expression { pattern }, selected)
            }
        }
    }

    fn headers(arguments: &Table, message: &Message<'_>) -> Self {
        match HeadersPattern::compile(arguments) {
            Ok(pattern) => {
                How::Headers { mode: MatchMode::of(&pattern), headers: verdicts(&pattern, message) }
            }
            // INVARIANT: what does not compile is not bound.
            Err(_) => How::Always,
        }
    }
}

impl MatchMode {
    pub(super) fn of(pattern: &HeadersPattern) -> Self {
        if pattern.is_any() { MatchMode::Any } else { MatchMode::All }
    }
}

impl Verdict {
    /// Whether the two agree.
    pub const fn agrees(self) -> bool {
        matches!(self, Verdict::Equal | Verdict::Present)
    }

    fn of(wanted: &Value, found: Option<&Value>) -> Self {
        match (wanted, found) {
            (_, None) => Verdict::Missing,
            (Value::Void, Some(_)) => Verdict::Present,
            (wanted, Some(found)) if wanted.matches(found) => Verdict::Equal,
            (wanted, Some(found)) if family(wanted) == family(found) => Verdict::DifferentValue,
            _ => Verdict::DifferentType,
        }
    }
}

/// Values of one family may be equal whatever their field types.
fn family(value: &Value) -> char {
    match value {
        Value::LongString(_) | Value::ByteArray(_) => 'S',
        Value::Decimal { .. } | Value::Bool(_) | Value::Void | Value::Table(_) | Value::Array(_) => {
            value.tag()
        }
        _ => 'l',
    }
}

pub(super) fn verdicts(pattern: &HeadersPattern, message: &Message<'_>) -> Vec<HeaderVerdict> {
    let mut order = Vec::new();
    let headers = SortedHeaders::sort(message.header_table(), &mut order);
    let compared = pattern.compare(&headers).map(|(name, wanted, found)| HeaderVerdict {
        name: name.into(),
        verdict: Verdict::of(wanted, found),
        wanted: (!matches!(wanted, Value::Void)).then(|| wanted.to_string().into()),
        found: found.map(|found| found.to_string().into()),
    });
    compared.collect()
}

/// What each token took, by the word behind its last one.
pub(super) fn took(tokens: &[Token<'_>], words: &[&[u8]], ends: &[usize]) -> Vec<WordMatch> {
    let mut from = 0;
    let matched = tokens.iter().zip(ends).map(|(token, end)| {
        let took = words.get(from..*end).unwrap_or_default();
        from = *end;
        let (token, kind) = match token {
            Token::Word(word) => (*word, WordKind::Literal),
            Token::Star => (&b"*"[..], WordKind::Star),
            Token::Hash => (&b"#"[..], WordKind::Hash),
        };
        WordMatch { token: token.into(), kind, took: took.iter().map(|word| (*word).into()).collect() }
    });
    matched.collect()
}

/// The first key for which `matched` has something, and which one that was if it is not the routing key.
pub(crate) fn selected_key<T>(
    message: &Message<'_>,
    mut matched: impl FnMut(&[u8]) -> Option<T>,
) -> (Option<T>, Option<SelectedKey>) {
    if let Some(found) = matched(message.routing_key()) {
        return (Some(found), None);
    }
    for (header, key) in message.selected_keys() {
        if let Some(found) = matched(key) {
            return (Some(found), Some(SelectedKey { header, key: key.into() }));
        }
    }
    (None, None)
}

#[cfg(feature = "regex")]
fn foreign_matches(binding: &BindingRef<'_>, key: &[u8]) -> bool {
    let pattern = binding.pattern.and_then(|pattern| crate::kombu::ForeignPattern::compile(pattern).ok());
    pattern.is_some_and(|pattern| pattern.matches(key))
}

#[cfg(not(feature = "regex"))]
fn foreign_matches(_: &BindingRef<'_>, _: &[u8]) -> bool {
    false
}
