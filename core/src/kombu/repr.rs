//! Values as Celery shows them to people: Python's `repr`, cut.

use alloc::string::String;
use core::fmt::Write;

use super::json::Json;

/// Celery shows arguments to humans in at most so many characters.
const SHOWN: usize = 1024;
/// Python's own guard is a recursion limit; deeper values are shown as dots.
const SHOWN_DEPTH: u32 = 32;

/// Python's `repr` of the value that `json.loads` would make, cut at 1,024 characters more simply than Celery does it.
///
/// Celery's events tell results in this form.
///
/// ```
/// use keyrail_core::kombu::{Json, python_repr};
///
/// let value = Json::from_iter([("total", Json::from(5)), ("note", Json::from("it's"))]);
/// assert_eq!(python_repr(&value), r#"{'total': 5, 'note': "it's"}"#);
/// ```
pub fn python_repr(value: &Json) -> String {
    shown(|text| write_repr(text, value, 0))
}

/// The `repr` of a tuple of them.
pub(super) fn tuple(items: &[Json]) -> String {
    shown(|text| write_tuple(text, items))
}

/// The `repr` of a dict.
pub(super) fn dict(members: &[(String, Json)]) -> String {
    shown(|text| write_dict(text, members, 0))
}

fn shown(write: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    write(&mut text);
    if text.len() > SHOWN
        && let Some((cut, _)) = text.char_indices().nth(SHOWN)
    {
        text.truncate(cut);
        text.push_str("...");
    }
    text
}

fn write_tuple(text: &mut String, items: &[Json]) {
    text.push('(');
    write_items(text, items, 0);
    text.push_str(if items.len() == 1 { ",)" } else { ")" });
}

fn write_items(text: &mut String, items: &[Json], depth: u32) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        if text.len() > 4 * SHOWN {
            // It will be cut in any case.
            return;
        }
        write_repr(text, item, depth);
    }
}

fn write_dict(text: &mut String, members: &[(String, Json)], depth: u32) {
    text.push('{');
    for (n, (name, value)) in members.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        if text.len() > 4 * SHOWN {
            return;
        }
        write_str_repr(text, name);
        text.push_str(": ");
        write_repr(text, value, depth);
    }
    text.push('}');
}

/// Python's `repr` of the value that `json.loads` would make.
fn write_repr(text: &mut String, value: &Json, depth: u32) {
    match value {
        Json::Null => text.push_str("None"),
        Json::Bool(true) => text.push_str("True"),
        Json::Bool(false) => text.push_str("False"),
        Json::Float(number) if number.is_nan() => text.push_str("nan"),
        Json::Float(number) if number.is_infinite() => {
            text.push_str(if *number > 0.0 { "inf" } else { "-inf" })
        }
        Json::Int(_) | Json::BigInt(_) | Json::Float(_) => text.push_str(&value.to_python()),
        Json::String(string) => write_str_repr(text, string),
        Json::Array(_) | Json::Object(_) if depth >= SHOWN_DEPTH => text.push_str("..."),
        Json::Array(items) => {
            text.push('[');
            write_items(text, items, depth + 1);
            text.push(']');
        }
        Json::Object(members) => write_dict(text, members, depth + 1),
    }
}

fn write_str_repr(text: &mut String, string: &str) {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(quote);
    // What stays as it is is copied as a whole, a byte a character.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\' && *byte != quote as u8;
    let plain = string.bytes().take(SHOWN + 1).take_while(plain).count();
    let (plain, rest) = string.split_at(plain);
    text.push_str(plain);
    for c in rest.chars().take(SHOWN + 1 - plain.len()) {
        match c {
            '\n' => text.push_str(r"\n"),
            '\r' => text.push_str(r"\r"),
            '\t' => text.push_str(r"\t"),
            '\\' => text.push_str(r"\\"),
            c if c == quote => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => {
                // Writing into a String cannot fail.
                let _ = write!(text, "\\x{:02x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_for_humans() {
        let show = |value: Json| shown(|text| write_tuple(text, &[value]));
        for (value, text) in [
            (Json::from("it's"), r#"("it's",)"#),
            (Json::from("'\""), r#"('\'"',)"#),
            (Json::from("a\n\0\u{e9}"), "('a\\n\\x00\u{e9}',)"),
            (Json::from(1e16), "(1e+16,)"),
            (Json::from_iter([Json::Null, Json::from(true)]), "([None, True],)"),
            (Json::from_iter([("k", Json::from(0.5))]), "({'k': 0.5},)"),
        ] {
            assert_eq!(show(value), text);
        }
        assert_eq!(show(Json::from("x".repeat(5000))).len(), SHOWN + 3);
        let deep = (0..500).fold(Json::Null, |value, _| Json::from_iter([value]));
        assert!(show(deep).contains("[...]"));
    }
}
