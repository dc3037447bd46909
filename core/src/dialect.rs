use serde::{Deserialize, Serialize};

/// What `*` and `#` mean in a binding key.
///
/// The dialect belongs to the binding, not to the exchange: Kombu stores a regular expression with each binding in
/// Redis, so a table that lived through an upgrade holds rows of both Kombu dialects, and every publisher obeys the
/// stored text.
///
/// | binding key | routing key | `Amqp` | `Kombu57` | `Kombu56` |
/// |---|---|---|---|---|
/// | `a.#` | `a` | yes | no | no |
/// | `a.*` | `a.` | yes | no | no |
/// | `a.*.c` | `a.b.x.c` | no | no | yes |
/// | `a` | `a\n` | no | yes | yes |
///
/// ```
/// use keyrail_core::{Dialect, pattern::Language};
///
/// let who = |binding_key: &str, routing_key: &str| -> Vec<&str> {
///     let matches = |dialect: &Dialect| Language::topic(binding_key, *dialect).unwrap().matches(routing_key);
///     Dialect::ALL.into_iter().filter(matches).map(Dialect::as_str).collect()
/// };
/// assert_eq!(who("a.#", "a"), ["amqp"]);
/// assert_eq!(who("a.*.c", "a.b.x.c"), ["kombu56"]);
/// assert_eq!(who("a", "a\n"), ["kombu57", "kombu56"]);
/// ```
///
/// # Source
/// `Amqp`: RabbitMQ 3.10.8 (`tests/vectors/amqp.jsonl`). `Kombu57`: Kombu 5.7.0, `Kombu56`: Kombu 5.6.2 and older
/// (`kombu57.jsonl`, `kombu56.jsonl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// RabbitMQ: `*` is exactly one word, empty ones included; `#` is zero or more words; the empty key has no words.
    #[default]
    Amqp,
    /// Kombu 5.7: `*` is one word that is not empty, `#` one or more words without a line feed.
    Kombu57,
    /// Kombu up to 5.6.2: `*` is one or more words, the last of them not empty; `#` as in 5.7.
    Kombu56,
}

impl Dialect {
    /// Every dialect, in declaration order.
    pub const ALL: [Dialect; 3] = [Dialect::Amqp, Dialect::Kombu57, Dialect::Kombu56];

    /// The stable word for this dialect in JSON, logs and flags: `amqp`, `kombu57` or `kombu56`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::Amqp => "amqp",
            Dialect::Kombu57 => "kombu57",
            Dialect::Kombu56 => "kombu56",
        }
    }
}

impl core::fmt::Display for Dialect {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
