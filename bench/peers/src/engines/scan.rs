use keyrail_core::{Table, Value};
use keyrail_workload::{Kind, headers};

use crate::engine::{Engine, Job};

/// Headers bindings asked one after another, with nothing but the comparison made fast: what RabbitMQ does.
pub(crate) struct Scan {
    bindings: Vec<Binding>,
    messages: Vec<Vec<Header>>,
    found: Vec<u32>,
}

/// A name and a value, none for void.
type Header = (Box<[u8]>, Option<Plain>);

struct Binding {
    any: bool,
    wanted: Vec<Header>,
    queue: u32,
}

/// A value without the width of its number.
#[derive(PartialEq)]
enum Plain {
    Text(Box<[u8]>),
    Number(f64),
    Bool(bool),
}

impl Engine for Scan {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Headers)?;
        let mut bindings = Vec::new();
        for (line, queue) in job.table.iter() {
            let table = headers::parse(line)?;
            let any = table.get("x-match").and_then(Value::as_str) == Some("any");
            let wanted = entries(&table).filter(|(name, _)| **name != *b"x-match").collect();
            bindings.push(Binding { any, wanted, queue });
        }
        let message = |key: &&str| {
            let table = headers::parse(key.as_bytes())?;
            Ok(entries(&table).collect())
        };
        let messages = job.keys.iter().map(message).collect::<Result<_, String>>()?;
        Ok(Scan { bindings, messages, found: Vec::new() })
    }

    fn route(&mut self, number: usize, _: &str) {
        self.found.clear();
        let message = &self.messages[number];
        for Binding { any, wanted, queue } in &self.bindings {
            let agrees = |(name, wanted): &Header| {
                let mut same_name = message.iter().filter(|(other, _)| other == name);
                same_name.any(|(_, value)| wanted.is_none() || wanted == value)
            };
            if if *any { wanted.iter().any(agrees) } else { wanted.iter().all(agrees) } {
                self.found.push(*queue);
            }
        }
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}

fn entries(table: &Table) -> impl Iterator<Item = Header> {
    table.iter().map(|(name, value)| {
        let value = match value {
            Value::Void => None,
            Value::Bool(value) => Some(Plain::Bool(*value)),
            Value::I64(number) => Some(Plain::Number(*number as f64)),
            Value::U8(number) => Some(Plain::Number(f64::from(*number))),
            Value::Timestamp(seconds) => Some(Plain::Number(*seconds as f64)),
            Value::F64(number) => Some(Plain::Number(*number)),
            other => Some(Plain::Text(other.to_string().into_bytes().into())),
        };
        (name.into(), value)
    })
}
