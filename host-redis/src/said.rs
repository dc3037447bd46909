//! What is wrong with a JSON text, in the words of who wrote it: serde speaks of Rust's types and of its own parser.

/// The same as `error` says, by what was found and what was expected, with line and column where there are any.
///
/// ```
/// let said = |json: &str| keyrail_redis::json_error(&serde_json::from_str::<Vec<u8>>(json).unwrap_err());
/// assert_eq!(said(""), "it is empty");
/// assert_eq!(said("[1,"), "it ends too early at line 1 column 3");
/// assert_eq!(said("[1, {}]"), "found an object, expected a whole number from 0 to 255 at line 1 column 4");
/// assert_eq!(said("[300]"), "found `300`, expected a whole number from 0 to 255 at line 1 column 4");
/// assert_eq!(said("x"), "expected a JSON value at line 1 column 1");
/// ```
pub fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (line, column) = (error.line(), error.column());
    let place = format!(" at line {line} column {column}");
    let (said, place) = match text.strip_suffix(&place) {
        Some(said) => (said, place),
        None => (&*text, String::new()),
    };
    if said.starts_with("EOF while parsing") {
        return if column == 0 && line < 2 {
            "it is empty".into()
        } else {
            format!("it ends too early{place}")
        };
    }
    if matches!(said, "expected value" | "expected ident") {
        return format!("expected a JSON value{place}");
    }
    let found = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    match found.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("found {}, expected {}{place}", thing(found), type_of(expected)),
        None => format!("{said}{place}"),
    }
}

/// A value, without the name of its type in Rust.
fn thing(found: &str) -> &str {
    match found {
        "map" => "an object",
        "sequence" => "a list",
        _ => ["integer ", "floating point ", "boolean ", "string "]
            .iter()
            .find_map(|name| found.strip_prefix(name))
            .unwrap_or(found),
    }
}

/// A type, by what JSON has of it.
fn type_of(expected: &str) -> &str {
    match expected {
        "a map" => "an object",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "i64" | "isize" => "a whole number",
        "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or above",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}
