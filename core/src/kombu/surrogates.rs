//! Bytes that are no UTF-8, in JSON: Python's `surrogateescape`.
//!
//! A text of JSON cannot hold the byte `ff`. Python has a word for it, the lone surrogate `\udcff`, which its `json` reads
//! and writes like any other character: a Kombu that gets, requeues or restores such a message keeps it. Strict readers
//! refuse it, so [`without_surrogates`] makes what they take of it, and [`read_text`] reads one text exactly.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::json::{write_string, write_unit};
use crate::ByteString;

/// Writes bytes as a JSON text, and those that are part of no UTF-8 as `\udc80` to `\udcff`.
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes) {
        return write_string(out, text);
    }
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        // Its quotes are those of the whole.
        let start = out.len();
        write_string(out, chunk.valid());
        out.remove(start);
        out.pop();
        for byte in chunk.invalid() {
            write_unit(out, 0xdc00 | u16::from(*byte));
        }
    }
    out.push(b'"');
}

/// The bytes that a JSON text stands for, its quotes included in what is given; nothing if it is none.
///
/// `\udc80` to `\udcff` are bytes, as Python's `surrogateescape` reads them. Any other surrogate that stands alone is
/// U+FFFD.
///
/// ```
/// use keyrail_core::kombu::read_text;
///
/// assert_eq!(read_text(r#""caf\u00e9""#).unwrap().as_str(), Some("caf\u{e9}"));
/// assert_eq!(&*read_text(r#""\udcff.end""#).unwrap(), b"\xff.end");
/// assert_eq!(read_text("null"), None);
/// ```
pub fn read_text(text: &str) -> Option<ByteString> {
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let mut behind = rest[at + 1..].chars();
        let c = match behind.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            c @ ('"' | '\\' | '/') => c,
            'u' => {
                let (escape, length) = Escape::read(&rest.as_bytes()[at..])?;
                if let Escape::Lone(unit @ 0xdc80..=0xdcff) = escape {
                    bytes.push(unit as u8);
                } else {
                    let c = if let Escape::Char(c) = escape { c } else { char::REPLACEMENT_CHARACTER };
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                rest = &rest[at + length..];
                continue;
            }
            _ => return None,
        };
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = behind.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes.into())
}

/// The same JSON with U+FFFD for every surrogate that stands alone, for readers that refuse those.
///
/// ```
/// use keyrail_core::kombu::without_surrogates;
///
/// assert_eq!(&*without_surrogates(br#"["\udcff", "\ud83d\ude00"]"#), br#"["\ufffd", "\ud83d\ude00"]"#);
/// ```
pub fn without_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut copied, mut at) = (Vec::new(), 0, 0);
    // Outside of texts JSON has no backslash.
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        match Escape::read(&json[at..]) {
            Some((Escape::Lone(_), length)) => {
                out.extend_from_slice(&json[copied..at]);
                out.extend_from_slice(br"\ufffd");
                at += length;
                copied = at;
            }
            Some((Escape::Char(_), length)) => at += length,
            // The backslash and what it escapes.
            None => at = json.len().min(at + 2),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out.extend_from_slice(&json[copied..]);
    Cow::Owned(out)
}

/// `\u` and four digits, or two of these that are one character.
enum Escape {
    Char(char),
    Lone(u16),
}

impl Escape {
    /// The escape at the start of these bytes, and its length.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let first = unit(bytes)?;
        let second = bytes.get(6..).and_then(unit).filter(|_| matches!(first, 0xd800..=0xdbff));
        let both = [first, second.unwrap_or_default()];
        match char::decode_utf16(both).next()? {
            Ok(c) => Some((Escape::Char(c), 6 * c.len_utf16())),
            Err(_) => Some((Escape::Lone(first), 6)),
        }
    }
}

fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut text = Vec::new();
        write_bytes(&mut text, bytes);
        String::from_utf8(text).unwrap()
    }

    /// What Python 3.11 prints for `json.dumps(bytes.decode("utf-8", "surrogateescape"))`.
    #[test]
    fn as_python_writes_them() {
        for (bytes, text) in [
            (&b""[..], r#""""#),
            (b"\xff.end", r#""\udcff.end""#),
            (b"\xff\xfe", r#""\udcff\udcfe""#),
            (b"\xc3.\xa9.end", r#""\udcc3.\udca9.end""#),
            (b"caf\xc3\xa9\"\n\x80", r#""caf\u00e9\"\n\udc80""#),
            // A surrogate as UTF-8 would write it is none, and a character cut short stays the bytes it is.
            (b"\xed\xb3\xbf", r#""\udced\udcb3\udcbf""#),
            (b"\xf0\x9f\x98", r#""\udcf0\udc9f\udc98""#),
            (b"\xf0\x9f\x98\x80", r#""\ud83d\ude00""#),
        ] {
            assert_eq!(written(bytes), text);
            assert_eq!(&*read_text(text).unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_no_text_is_refused_and_other_surrogates_are_replaced() {
        for bad in ["", "\"", "null", "1", r#""\x""#, r#""\u12""#, r#""\u12g4""#, "\"\\\"", r#""\u+0ff""#] {
            assert_eq!(read_text(bad), None, "{bad}");
        }
        for (text, bytes) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\udc7f""#, "\u{fffd}"),
            (r#""\\udcff\/""#, "\\udcff/"),
        ] {
            assert_eq!(read_text(text).unwrap().as_str(), Some(bytes), "{text}");
        }
        assert_eq!(&*read_text(r#""\uDCFF""#).unwrap(), b"\xff");
    }
}
