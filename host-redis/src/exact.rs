//! JSON with whole numbers of any length, as Python writes and reads them. serde_json rounds what has more than 64 bits.

use keyrail_core::kombu::{BigInt, Json};

/// Reads JSON, every whole number to its last digit.
///
/// # Errors
/// What serde_json says of a text that is no JSON.
///
/// ```
/// let read = keyrail_redis::read_json(b"{\"id\": 12345678901234567890123}").unwrap();
/// assert_eq!(read.to_python(), r#"{"id": 12345678901234567890123}"#);
/// ```
pub fn read_json(text: &[u8]) -> Result<Json, serde_json::Error> {
    let read: Json = serde_json::from_slice(text)?;
    Ok(match is_rounded(&read) {
        true => std::str::from_utf8(text).ok().and_then(exactly).unwrap_or(read),
        false => read,
    })
}

/// The first whole number in a JSON text that has more than 64 bits, which a `serde_json::Value` would round.
///
/// ```
/// use keyrail_redis::wide_number;
///
/// assert_eq!(wide_number(r#"[1, "12345678901234567890123", 18446744073709551616]"#), Some("18446744073709551616"));
/// assert_eq!(wide_number("[18446744073709551615, 1e30]"), None);
/// ```
pub fn wide_number(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?..];
        let end = if rest.starts_with('"') { end_of_text(rest) } else { end_of_word(rest) };
        let (token, after) = rest.split_at(end);
        if token.len() > MAX_DIGITS && is_wide(token) {
            return Some(token);
        }
        rest = after;
    }
}

/// The least that can be too long.
const MAX_DIGITS: usize = 19;

fn is_wide(digits: &str) -> bool {
    BigInt::new(digits).is_some_and(|number| number.as_u64().is_none())
}

/// Whether a number of it may have been a whole one that does not fit.
fn is_rounded(json: &Json) -> bool {
    match json {
        Json::Float(number) => number.abs() >= 9e18,
        Json::Array(items) => items.iter().any(is_rounded),
        Json::Object(members) => members.iter().any(|(_, value)| is_rounded(value)),
        _ => false,
    }
}

/// Reads a text that serde_json has read before: it is JSON, and nests no deeper than that allows.
fn exactly(text: &str) -> Option<Json> {
    Reader { rest: text }.value()
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<Json> {
        match self.next()? {
            b'[' => {
                let mut items = Vec::new();
                self.skip();
                while !self.ends(b']')? {
                    items.push(self.value()?);
                }
                Some(Json::Array(items))
            }
            b'{' => {
                let mut members = Vec::new();
                self.skip();
                while !self.ends(b'}')? {
                    let Json::String(name) = self.value()? else { return None };
                    // The colon.
                    self.next()?;
                    self.skip();
                    members.push((name, self.value()?));
                }
                Some(Json::Object(members))
            }
            first => {
                let end = if first == b'"' { end_of_text(self.rest) } else { end_of_word(self.rest) };
                let (token, after) = self.rest.split_at(end);
                self.rest = after;
                match BigInt::new(token) {
                    Some(number) => Some(Json::BigInt(number)),
                    None => serde_json::from_str(token).ok(),
                }
            }
        }
    }

    /// The first byte behind blanks.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Whether this was the last; else the next one is in front.
    fn ends(&mut self, end: u8) -> Option<bool> {
        let next = self.next()?;
        if next == b',' || next == end {
            self.skip();
        }
        Some(next == end)
    }
}

/// Behind the closing quote.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let inside = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    inside.map_or(text.len(), |at| at + 2)
}

/// Behind a number or a word.
fn end_of_word(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_number_keeps_its_digits() {
        for text in [
            "12345678901234567890123",
            "[18446744073709551615, -9223372036854775809, 9223372036854775808, 1e+22]",
            r#"{"a": {"b": [[], {}, [12345678901234567890123, null, true, "x\"\\"]]}, "c\u00e9": -99999999999999999999}"#,
        ] {
            assert_eq!(read_json(text.as_bytes()).unwrap().to_python(), text);
            let spread = text.replace(", ", " ,\n").replace('[', "[ ").replace(']', " ]");
            assert_eq!(read_json(spread.as_bytes()).unwrap().to_python(), text);
        }
        let deep = format!("{}12345678901234567890123{}", "[".repeat(127), "]".repeat(127));
        assert_eq!(read_json(deep.as_bytes()).unwrap().to_python(), deep);
        for bad in ["", "[1,]", "12345678901234567890123x", "[12345678901234567890123"] {
            assert!(read_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wide_number_is_found_and_nothing_else() {
        for (text, found) in [
            ("12345678901234567890123", Some("12345678901234567890123")),
            (r#"{"12345678901234567890123": "\"12345678901234567890123"}"#, None),
            ("[1.2345678901234567890123, 12345678901234567890123e2, 18446744073709551615]", None),
            ("[-9223372036854775808, -9223372036854775809]", Some("-9223372036854775809")),
            (r#"["caf\u00e9 é", 18446744073709551616]"#, Some("18446744073709551616")),
            (r#""open"#, None),
            ("", None),
        ] {
            assert_eq!(wide_number(text), found, "{text}");
        }
    }
}
