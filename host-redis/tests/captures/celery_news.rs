//! Celery's events, in a form in which those of two processes can be compared.

use base64::Engine;
use keyrail_core::kombu::Json;

use crate::wire::{without_tags, words};

/// What no two processes can have in common, and the software's own name.
const ONES_OWN: [&str; 7] = ["pid", "clock", "timestamp", "runtime", "loadavg", "sw_ident", "sw_ver"];

/// An event on its channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) channel: String,
    /// The message around it, its tag hidden.
    pub(crate) envelope: String,
    /// The text as Python writes it. Of [`ONES_OWN`] only the kind of value is left.
    pub(crate) text: String,
    pub(crate) clock: i64,
}

/// The events among commands that were sent; what is sent together (`task.multi`) is taken apart.
pub(crate) fn events(commands: &[String]) -> Vec<Event> {
    let published =
        commands.iter().filter(|command| command.to_uppercase().starts_with("\"PUBLISH\" \"/0.CELERYEV/"));
    published.flat_map(|command| taken_apart(command)).collect()
}

fn taken_apart(command: &str) -> Vec<Event> {
    let words: Vec<String> =
        words(command).into_iter().map(|word| String::from_utf8(word).expect("text")).collect();
    let [_, channel, message] = &words[..] else { panic!("{command}") };
    let (before, rest) = message.split_once(r#""body": ""#).expect("a body");
    let (body, after) = rest.split_once('"').expect("a body ends");
    let body = base64::engine::general_purpose::STANDARD.decode(body).expect("base64");
    let body = String::from_utf8(body).expect("text");
    let value: Json = serde_json::from_str(&body).expect("JSON");
    assert_eq!(value.to_python(), body, "not as Python writes it");
    let envelope = without_tags(&format!("{before}{after}"));
    let event = |event: Json| {
        let Json::Object(mut members) = event else { panic!("{body}") };
        let mut clock = 0;
        for (name, value) in &mut members {
            match (&**name, &*value) {
                ("clock", Json::Int(ticks)) => clock = *ticks,
                ("timestamp", Json::Float(seconds)) => assert!(*seconds > 1.7e9),
                _ => {}
            }
            if ONES_OWN.contains(&&**name) {
                *value = Json::from(kind(value));
            }
        }
        Event {
            channel: channel.clone(),
            envelope: envelope.clone(),
            text: Json::Object(members).to_python(),
            clock,
        }
    };
    match value {
        Json::Array(all) => {
            assert!(channel.ends_with("/task.multi"), "{channel}");
            all.into_iter().map(event).collect()
        }
        one => vec![event(one)],
    }
}

fn kind(value: &Json) -> String {
    match value {
        Json::Int(_) => "a whole number".into(),
        Json::Float(_) => "a number".into(),
        Json::String(_) => "a text".into(),
        Json::Array(items) => items.iter().map(kind).collect::<Vec<_>>().join(", "),
        other => format!("{other:?}"),
    }
}

/// The clock goes forward from event to event of tasks. A beat may overtake those that are about to be sent.
pub(crate) fn assert_ordered(events: &[Event]) {
    let of_tasks: Vec<i64> =
        events.iter().filter(|event| event.channel.contains("/task.")).map(|event| event.clock).collect();
    assert!(of_tasks.is_sorted_by(|one, next| one < next), "{events:?}");
}
