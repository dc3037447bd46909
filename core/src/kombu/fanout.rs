//! Who hears a fanout publish: Redis PUB/SUB with glob patterns.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use super::names::Layout;

/// A queue that listens to a fanout exchange.
///
/// On Redis a fanout publish is one `PUBLISH`, and the table of bindings is never read. Unlike in AMQP the keys count: a
/// queue bound with an empty key hears only messages with an empty key, and `*` and `#` are both the glob `*`, which
/// crosses dots. `?`, `[…]` and `\` in the binding key *or in the exchange name* are glob syntax, too.
///
/// ```
/// use keyrail_core::kombu::Subscription;
///
/// let logs = Subscription::new("news", "log.#");
/// assert!(logs.hears("news", "log.a.b"));
/// assert!(!logs.hears("news", "log"));
/// assert!(!Subscription::new("news", "").hears("news", "log"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pattern: String,
    layout: Layout,
}

impl Subscription {
    /// Listens with Kombu's default layout.
    ///
    /// ```
    /// use keyrail_core::kombu::Subscription;
    ///
    /// assert!(Subscription::new("news", "").hears("news", ""));
    /// ```
    pub fn new(exchange: &str, binding_key: &str) -> Self {
        Subscription::with_layout(&Layout::default(), exchange, binding_key)
    }

    /// Listens with a layout of its own.
    ///
    /// ```
    /// use keyrail_core::kombu::{Layout, Subscription};
    ///
    /// let layout = Layout { fanout_patterns: false, ..Layout::default() };
    /// assert!(Subscription::with_layout(&layout, "news", "a").hears("news", "b"));
    /// ```
    pub fn with_layout(layout: &Layout, exchange: &str, binding_key: &str) -> Self {
        Subscription { pattern: layout.fanout_pattern(exchange, binding_key), layout: layout.clone() }
    }

    /// What to `PSUBSCRIBE` to.
    ///
    /// ```
    /// use keyrail_core::kombu::Subscription;
    ///
    /// assert_eq!(Subscription::new("news", "log.#").pattern(), "/0.news/log.*");
    /// ```
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether a publish to this exchange with this routing key is heard.
    ///
    /// ```
    /// use keyrail_core::kombu::Subscription;
    ///
    /// assert!(Subscription::new("n?ws", "").hears("news", ""), "the exchange name is a pattern, too");
    /// ```
    pub fn hears(&self, exchange: &str, routing_key: &str) -> bool {
        glob_matches(self.pattern.as_bytes(), self.layout.fanout_channel(exchange, routing_key).as_bytes())
    }
}

/// Whether Kombu peers can live with this name for a fanout exchange.
///
/// # Errors
/// A slash, at which Kombu's consumers cut the name off and then raise, and the characters of a glob, with which a
/// subscription hears other exchanges or not even its own.
///
/// ```
/// use keyrail_core::kombu::check_fanout_exchange;
///
/// assert!(check_fanout_exchange("celery.pidbox").is_ok());
/// assert_eq!(check_fanout_exchange("a/b").unwrap_err().code(), "fanout-name");
/// ```
pub fn check_fanout_exchange(name: &str) -> Result<(), FanoutNameError> {
    match name.char_indices().find(|(_, c)| r"/*?[]\".contains(*c)) {
        Some((position, character)) => Err(FanoutNameError { name: name.into(), character, position }),
        None => Ok(()),
    }
}

/// A fanout exchange's name that Kombu peers cannot live with.
///
/// ```
/// let error = keyrail_core::kombu::check_fanout_exchange("a*").unwrap_err();
/// assert_eq!(error.to_string(), "fanout exchange `a*` has a `*` at byte 1, which has a meaning on its channel");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FanoutNameError {
    /// The exchange.
    pub name: Box<str>,
    /// What must not be in it.
    pub character: char,
    /// Byte of the name at which it stands.
    pub position: usize,
}

impl FanoutNameError {
    /// The stable word: `fanout-name`.
    pub const fn code(&self) -> &'static str {
        "fanout-name"
    }
}

impl fmt::Display for FanoutNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FanoutNameError { name, character, position } = self;
        write!(
            f,
            "fanout exchange `{name}` has a `{character}` at byte {position}, which has a meaning on its channel"
        )
    }
}

impl core::error::Error for FanoutNameError {}

/// Whether Redis' glob matches the whole text: `*`, `?`, `[abc]`, `[^abc]`, `[a-z]` and `\`, byte for byte.
///
/// # Cost
/// Time ≤ pattern × text, however many `*` there are: every element but `*` takes exactly one byte, so the first place
/// that fits what follows a `*` is as good as any later one, and only the last `*` is ever tried again.
///
/// ```
/// use keyrail_core::kombu::glob_matches;
///
/// assert!(glob_matches(b"/0.news/*.[a-c]?", b"/0.news/x.y.b1"));
/// assert!(!glob_matches(br"a\*", b"ab"));
/// ```
pub fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        // Redis enters its loop only with bytes on both sides, so not even `*` matches nothing at all.
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut last_star = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            last_star = Some((p, t));
            continue;
        }
        let Some(&byte) = text.get(t) else {
            return p == pattern.len();
        };
        if let Some(after) = element(pattern, p, byte) {
            (p, t) = (after, t + 1);
            continue;
        }
        let Some((after_star, from)) = last_star else {
            return false;
        };
        (p, t) = (after_star, from + 1);
        last_star = Some((p, t));
    }
}

/// Matches one byte with the element at `p`; where the next element starts, or nothing.
fn element(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

/// A class from behind its `[`. One that is never closed reaches to the end of the pattern.
fn class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(p..).unwrap_or_default() {
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                p += 2;
            }
            [b']', ..] => {
                p += 1;
                break;
            }
            [] => break,
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                p += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "a", true),
            ("*", "", false),
            ("**", "a.b", true),
            ("a*", "a", true),
            ("*a*b", "xaxb", true),
            ("*a*b", "xaxbx", false),
            ("*ab", "aab", true),
            ("?", "", false),
            ("[abc]", "b", true),
            ("[^abc]", "b", false),
            ("[^]", "b", true),
            ("[]", "b", false),
            ("[", "b", false),
            ("[^", "b", true),
            ("[c-a]", "b", true),
            ("[a-", "-", true),
            ("[a-]", "]", true),
            (r"[\]]", "]", true),
            (r"[\", r"\", true),
            (r"\", r"\", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            (r"\a", "a", true),
            ("[ab", "b", true),
        ] {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let text = "a".repeat(10_000);
        assert!(!glob_matches(("*a".repeat(200) + "b").as_bytes(), text.as_bytes()));
    }
}
