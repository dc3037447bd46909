//! Arguments in a line: `{x-match: "any", pages: 3, due: T(1700000000)}`.

use alloc::{string::ToString, vec::Vec};

use super::{LineError, scan::Scanner};
use crate::{ByteString, Table, Value};

/// Tables nest this deep at most, as in JSON.
const MAX_DEPTH: usize = 64;

/// Reads a table; the brace is the next character.
pub(super) fn table(scanner: &mut Scanner<'_>, depth: usize) -> Result<Table, LineError> {
    if depth > MAX_DEPTH {
        return Err(scanner.error(scanner.at(), "a table nests deeper than 64 levels", ""));
    }
    let mut table = Table::new();
    scanner.take("{");
    if scanner.take("}") {
        return Ok(table);
    }
    loop {
        let name = name(scanner)?;
        if !scanner.take(":") {
            return Err(scanner.expected("a colon after the argument's name", ""));
        }
        table.push(name, value(scanner, depth)?);
        if scanner.take("}") {
            return Ok(table);
        }
        if !scanner.take(",") {
            return Err(scanner.expected("a comma or a closing brace", ""));
        }
    }
}

fn name(scanner: &mut Scanner<'_>) -> Result<ByteString, LineError> {
    match scanner.word(true)? {
        Some(word) if !word.quoted && &*word.text == "hex" && scanner.is_next("(") => hex(scanner),
        Some(word) => Ok(ByteString::from(&*word.text)),
        None => Err(scanner.expected("the name of an argument", "")),
    }
}

/// `(ff00)`
fn hex(scanner: &mut Scanner<'_>) -> Result<ByteString, LineError> {
    scanner.take("(");
    let bytes = hex_digits(scanner)?;
    close(scanner)?;
    Ok(bytes)
}

fn hex_digits(scanner: &mut Scanner<'_>) -> Result<ByteString, LineError> {
    let Some(word) = scanner.word(false)? else { return Ok(ByteString::default()) };
    let digits: Option<Vec<u8>> =
        word.text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into())
        }
        _ => Err(scanner.error(word.start, "these are no pairs of hexadecimal digits", "")),
    }
}

fn close(scanner: &mut Scanner<'_>) -> Result<(), LineError> {
    if scanner.take(")") { Ok(()) } else { Err(scanner.expected("a closing parenthesis", "")) }
}

fn value(scanner: &mut Scanner<'_>, depth: usize) -> Result<Value, LineError> {
    const HINT: &str = "a text is in quotes, a type is written before: I(3)";
    if scanner.is_next("{") {
        return table(scanner, depth + 1).map(Value::Table);
    }
    if scanner.is_next("[") {
        return list(scanner, depth + 1);
    }
    let Some(word) = scanner.word(false)? else { return Err(scanner.expected("a value", HINT)) };
    if word.quoted {
        return Ok(Value::LongString(ByteString::from(&*word.text)));
    }
    if scanner.is_next("(") {
        scanner.take("(");
        let value = typed(scanner, &word.text, word.start)?;
        close(scanner)?;
        return Ok(value);
    }
    match &*word.text {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        "null" => return Ok(Value::Void),
        _ => {}
    }
    if let Ok(number) = word.text.parse() {
        return Ok(Value::I64(number));
    }
    match word.text.parse::<f64>() {
        Ok(number) if number.is_finite() && is_number(&word.text) => Ok(Value::F64(number)),
        _ => Err(scanner.error(word.start, alloc::format!("`{}` is no value", word.text), HINT)),
    }
}

/// Rust reads `inf` and `nan` too.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'))
}

fn list(scanner: &mut Scanner<'_>, depth: usize) -> Result<Value, LineError> {
    if depth > MAX_DEPTH {
        return Err(scanner.error(scanner.at(), "a list nests deeper than 64 levels", ""));
    }
    scanner.take("[");
    let mut values = Vec::new();
    if scanner.take("]") {
        return Ok(Value::Array(values));
    }
    loop {
        values.push(value(scanner, depth)?);
        if scanner.take("]") {
            return Ok(Value::Array(values));
        }
        if !scanner.take(",") {
            return Err(scanner.expected("a comma or a closing bracket", ""));
        }
    }
}

/// What stands between the parentheses after a field type octet.
fn typed(scanner: &mut Scanner<'_>, tag: &str, start: usize) -> Result<Value, LineError> {
    Ok(match tag {
        "S" => Value::LongString(bytes(scanner)?),
        "x" => Value::ByteArray(bytes(scanner)?),
        "b" => Value::I8(number(scanner, tag)?),
        "B" => Value::U8(number(scanner, tag)?),
        "s" => Value::I16(number(scanner, tag)?),
        "u" => Value::U16(number(scanner, tag)?),
        "I" => Value::I32(number(scanner, tag)?),
        "i" => Value::U32(number(scanner, tag)?),
        "l" | "L" => Value::I64(number(scanner, tag)?),
        "T" => Value::Timestamp(number(scanner, tag)?),
        "f" => {
            let single: f32 = finite(scanner, tag)?;
            if !single.is_finite() {
                return Err(scanner.error(start, "the number is too large for the field type f", ""));
            }
            Value::F32(single)
        }
        "d" => Value::F64(finite(scanner, tag)?),
        "D" => {
            let scale = number(scanner, tag)?;
            if !scanner.take(",") {
                return Err(scanner.expected("a comma after the scale", "a decimal is D(SCALE, DIGITS)"));
            }
            Value::Decimal { scale, digits: number(scanner, tag)? }
        }
        _ => {
            let reason = alloc::format!("`{tag}` is no field type with a value in parentheses");
            return Err(scanner.error(start, reason, "expected one of SxbBsuIilLTfdD"));
        }
    })
}

/// A text, or `hex ff00`.
fn bytes(scanner: &mut Scanner<'_>) -> Result<ByteString, LineError> {
    match scanner.word(false)? {
        Some(word) if word.quoted => Ok(ByteString::from(&*word.text)),
        Some(word) if &*word.text == "hex" => hex_digits(scanner),
        _ => Err(scanner.expected("a text in quotes, or hex and digits", "")),
    }
}

fn number<N: core::str::FromStr>(scanner: &mut Scanner<'_>, tag: &str) -> Result<N, LineError> {
    let Some(word) = scanner.word(false)? else { return Err(scanner.expected("a whole number", "")) };
    word.text.parse().map_err(|_| {
        let reason =
            alloc::format!("`{}` is no whole number in the range of the field type {tag}", word.text);
        scanner.error(word.start, reason, "")
    })
}

fn finite<N: core::str::FromStr>(scanner: &mut Scanner<'_>, tag: &str) -> Result<N, LineError> {
    let Some(word) = scanner.word(false)? else { return Err(scanner.expected("a number", "")) };
    let finite = word.text.parse::<f64>().is_ok_and(f64::is_finite);
    match word.text.parse() {
        Ok(number) if finite && is_number(&word.text) => Ok(number),
        _ => {
            let reason = alloc::format!("`{}` is no number of the field type {tag}", word.text).to_string();
            Err(scanner.error(word.start, reason, ""))
        }
    }
}
