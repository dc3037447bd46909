//! What was recorded, and what a server shows, in the same form.
//!
//! Recorded commands are compared by what they write and say: the commands in [`EFFECTS`], in their order. Kombu reads
//! tables and counts messages more often, and puts other brackets around its writes (`MULTI`, a script); that changes
//! nothing for anybody.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
};

use keyrail_redis::{Connection, Executor};
use serde_json::Value;

use crate::support::{PATIENCE, RedisServer};

/// Commands that change something or tell somebody.
const EFFECTS: [&str; 16] = [
    "LPUSH",
    "RPUSH",
    "SADD",
    "SREM",
    "ZADD",
    "ZREM",
    "HSET",
    "HDEL",
    "DEL",
    "SET",
    "SETEX",
    "EXPIRE",
    "PEXPIRE",
    "PUBLISH",
    "PSUBSCRIBE",
    "PUNSUBSCRIBE",
];

/// The text of a recorded file.
pub(crate) fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn capture(name: &str) -> Value {
    serde_json::from_str(&text(&format!("{name}.json"))).expect("JSON")
}

/// Each copy of ours has a tag of its own, so tags are compared by being there.
pub(crate) fn without_tags(text: &str) -> String {
    // In a command the quotes are escaped.
    let text = masked(text, r#""delivery_tag": ""#, "\"");
    masked(&text, r#"\"delivery_tag\": \""#, "\\\"")
}

fn masked(text: &str, before: &str, after: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (tag, rest) = part.split_once(after).expect("a tag ends");
        assert_eq!(tag.len(), 36, "{tag} is no UUID");
        out.extend([before, "TAG", after, rest]);
    }
    out
}

/// As the captures show bytes of the state.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// What lies under each key: the items of a list in their order, else what belongs together, sorted.
pub(crate) type State = BTreeMap<String, Vec<String>>;

/// The keys of a server but keyrail's own, of which Kombu knows nothing. Delivery tags are hidden.
pub(crate) async fn state(connection: &Connection) -> State {
    let mut state = whole_state(connection).await;
    for items in state.values_mut() {
        items.iter_mut().for_each(|item| *item = without_tags(item));
    }
    state
}

/// The same with the tags.
pub(crate) async fn whole_state(connection: &Connection) -> State {
    let redis = connection.connect().await.expect("Redis");
    let client = redis::Client::open(format!("redis://{connection}/{}", connection.options().layout.db));
    let mut raw = client.expect("a URL").get_multiplexed_async_connection().await.expect("Redis");
    let mut state = State::new();
    for key in redis.keys("").await.expect("keys") {
        if key.contains("keyrail.") {
            continue;
        }
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut raw).await.expect("a type");
        let read = match &*kind {
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            "set" => redis::cmd("SMEMBERS").arg(&key).to_owned(),
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            "hash" => redis::cmd("HGETALL").arg(&key).to_owned(),
            "string" => redis::cmd("GET").arg(&key).to_owned(),
            other => panic!("`{key}` is a {other}"),
        };
        let items: Vec<Vec<u8>> = match &*kind {
            "string" => vec![read.query_async(&mut raw).await.expect("a text")],
            _ => read.query_async(&mut raw).await.expect("items"),
        };
        let mut items: Vec<String> = items.iter().map(|item| escaped(item)).collect();
        if kind == "hash" {
            items = items.chunks(2).map(|field| field.join(" = ")).collect();
        }
        if kind != "list" {
            items.sort();
        }
        state.insert(escaped(key.as_bytes()), items);
    }
    state
}

/// The keys of a capture in the same form.
pub(crate) fn recorded(capture: &Value) -> State {
    let mut state = whole_recorded(capture);
    for items in state.values_mut() {
        items.iter_mut().for_each(|item| *item = without_tags(item));
    }
    state
}

/// The same with the tags.
pub(crate) fn whole_recorded(capture: &Value) -> State {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut state = State::new();
    for (key, entry) in capture["state"].as_object().expect("an object") {
        // The recorder's own.
        if key.starts_with("marker:") {
            continue;
        }
        let list = |name: &str| entry[name].as_array().expect("a list").iter();
        let mut items: Vec<String> = match entry["type"].as_str().expect("a type") {
            "list" => list("items_head_to_tail").map(text).collect(),
            "set" => list("members").map(text).collect(),
            "zset" => list("members").map(|member| text(&member[0])).collect(),
            "hash" => {
                let fields = entry["fields"].as_object().expect("fields").iter();
                fields.map(|(field, value)| format!("{field} = {}", text(value))).collect()
            }
            "string" => vec![text(&entry["value"])],
            other => panic!("`{key}` is a {other}"),
        };
        if entry["type"] != "list" {
            items.sort();
        }
        state.insert(key.clone(), items);
    }
    state
}

/// Listens to everything that a server is told.
pub(crate) struct Monitor {
    lines: BufReader<TcpStream>,
}

impl Monitor {
    pub(crate) fn of(server: &RedisServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("Redis");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        (&stream).write_all(b"MONITOR\r\n").expect("sent");
        let mut monitor = Monitor { lines: BufReader::new(stream) };
        assert_eq!(monitor.line(), "+OK");
        monitor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line in time");
        line.trim_end().to_owned()
    }

    /// The commands since it was asked last, as the captures show them: `"LPUSH" "celery" "{…}"`.
    pub(crate) fn commands(&mut self, server: &RedisServer) -> Vec<String> {
        let end = uuid::Uuid::new_v4().to_string();
        server.command(&["ECHO", &end]);
        let mut commands = Vec::new();
        loop {
            let line = self.line();
            if line.contains(&end) {
                return commands;
            }
            let (_, command) = line.split_once("] ").expect("a command behind time and client");
            commands.push(command.to_owned());
        }
    }

    /// What of it has effects, from an empty server on, with the tags hidden.
    pub(crate) fn effects(&mut self, server: &RedisServer) -> Vec<String> {
        effects(&self.commands(server), Vec::new())
    }
}

/// The commands of a capture, as [`Monitor::commands`] has them.
pub(crate) fn said(capture: &Value) -> Vec<String> {
    let lines = capture["monitor"].as_array().expect("lines").iter().filter_map(Value::as_str);
    // `c1 db0 "LPUSH" …`
    lines.filter_map(|line| Some(line.splitn(3, ' ').nth(2)?.to_owned())).collect()
}

/// Every `LPUSH` of it.
pub(crate) fn pushes(capture: &Value) -> Vec<String> {
    said(capture).into_iter().filter(|command| command.starts_with("\"LPUSH\"")).collect()
}

/// What of it has effects, from an empty server on, with the tags hidden.
pub(crate) fn said_effects(capture: &Value) -> Vec<String> {
    effects(&said(capture), Vec::new())
}

/// The commands that change or tell something, but for what concerns nobody else: keyrail's own keys and the recorder's.
///
/// A row that is there is not added again, and one that is not there not removed: keyrail asserts its bindings once more
/// when a message finds nobody, and with each row removes the twins that an older Kombu may have left. `rows` are there
/// from the beginning, each as table and row in quotes.
pub(crate) fn effects(commands: &[String], mut rows: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    for command in commands {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let name = name.trim_matches('"').to_uppercase();
        let key = rest.split(' ').next().unwrap_or_default().trim_matches('"');
        if !EFFECTS.contains(&&*name) || key.contains("keyrail.") || key.starts_with("marker:") {
            continue;
        }
        let known = rows.iter().position(|row| row == rest);
        match (&*name, known) {
            ("SADD", Some(_)) | ("SREM", None) => continue,
            ("SADD", None) => rows.push(rest.to_owned()),
            ("SREM", Some(place)) => drop(rows.remove(place)),
            _ => {}
        }
        // When it was is not what was said.
        let rest = if name == "ZADD" { without_scores(rest) } else { without_tags(rest) };
        let effect = format!("{name} {rest}");
        // A deadline that is moved once more is the same deadline.
        if key.ends_with("_kombu.binding_deadlines") && out.contains(&effect) {
            continue;
        }
        out.push(effect);
    }
    out
}

/// `"key" "GT" "17953…" "member"` without the time.
fn without_scores(arguments: &str) -> String {
    let words = arguments.split(' ').map(|word| match word.trim_matches('"').parse::<f64>() {
        Ok(time) if time > 1e9 => "TIME",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A command as MONITOR shows it, in its arguments.
pub(crate) fn words(command: &str) -> Vec<Vec<u8>> {
    let mut bytes = command.bytes();
    let mut words = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'"' {
            continue;
        }
        let mut word = Vec::new();
        loop {
            match bytes.next().expect("a word ends") {
                b'"' => break,
                b'\\' => word.push(match bytes.next().expect("an escape ends") {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'x' => {
                        let digits = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                        let digits = std::str::from_utf8(&digits).expect("ASCII");
                        u8::from_str_radix(digits, 16).expect("hexadecimal")
                    }
                    other => other,
                }),
                other => word.push(other),
            }
        }
        words.push(word);
    }
    words
}
