//! Headers on the command line: `name=text` and `name:=json`.

use keyrail_core::{ByteString, Table, Value, kombu::Json};

/// One `--header`.
///
/// `name=text` is a text, whatever it looks like; `name:=json` is JSON, so that `priority:=9` is a number and
/// `booked:=true` a boolean. A headers exchange tells `9` from `"9"`.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    name: String,
    value: Value,
}

impl Header {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// As the envelope has it.
    pub(crate) fn json(&self) -> Json {
        keyrail_redis::json_of(&self.value)
    }
}

impl std::str::FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err("expected name=text, or name:=json for a number or a boolean".into());
        };
        let (name, value) = match name.strip_suffix(':') {
            None => (name, Value::from(value)),
            Some(name) => (name, json_value(name, value)?),
        };
        if name.is_empty() {
            return Err("expected a name before the `=`".into());
        }
        Ok(Header { name: name.into(), value })
    }
}

/// Reads JSON by way of a table of one entry, whose values have AMQP's types.
fn json_value(name: &str, json: &str) -> Result<Value, String> {
    let value: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| format!("`{json}` is no JSON: {}", keyrail_redis::json_error(&error)))?;
    if let Some(wide) = keyrail_redis::wide_number(json) {
        return Err(format!("the whole number {wide} has more than 64 bits"));
    }
    let table: Table = serde_json::from_value(serde_json::json!({ name: value }))
        .map_err(|error| format!("`{json}` is no header: {}", keyrail_redis::json_error(&error)))?;
    table.get(name).cloned().ok_or_else(|| format!("`{json}` is no header"))
}

pub(crate) fn table(headers: &[Header]) -> Table {
    headers.iter().map(|header| (header.name.as_str(), header.value.clone())).collect()
}

/// A header or an argument as it is typed on the command line: `pages=4` is a text, `pages:=4` a number.
pub(crate) fn typed(name: &ByteString, value: &Value) -> String {
    match value {
        Value::LongString(text) => format!("{name}={text}"),
        Value::Void => format!("{name}:=null"),
        // A whole number would be read as an integer.
        Value::F64(number) => format!("{name}:={number:?}"),
        Value::Bool(_) | Value::I64(_) => format!("{name}:={value}"),
        Value::Table(_) | Value::Array(_) => {
            let single = Table::from_iter([(&**name, value.clone())]);
            let json = serde_json::to_value(&single).ok();
            let json = json.as_ref().and_then(|json| json.as_object()?.values().next());
            format!("{name}:={}", json.map_or_else(|| value.to_string(), ToString::to_string))
        }
        other => format!("{name}:={other} (type {})", other.tag()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown can be typed again.
    #[test]
    fn headers_are_shown_as_they_are_typed() {
        for text in
            ["pages=4", "pages:=4", "pages:=4.0", "booked:=true", "a:=null", "l:=[1,\"x\"]", "t:={\"a\":2}"]
        {
            let table = table(&[text.parse().expect("a header")]);
            let (name, value) = table.iter().next().expect("one");
            assert_eq!(super::typed(&ByteString::from(name), value), text);
        }
    }
}
