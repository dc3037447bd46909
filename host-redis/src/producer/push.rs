//! The way of most messages: one copy for one queue. Its command is written at once, without a plan.

use ::redis::Value;
use keyrail_core::kombu::Priority;
use uuid::Uuid;

use super::{Prepared, Producer, expires_ms};
use crate::{ExecuteError, executor::Commands, publish::Ways, table::Reach};

impl Producer {
    /// Adds the push of a message that needs no other command; false if it does.
    pub(super) fn add_push(
        &self,
        out: &mut Commands,
        prepared: &Prepared<'_>,
        ways: &Ways,
        reach: Option<&Reach>,
    ) -> bool {
        let ([queue], []) = (&*ways.queues, &*ways.fanout) else { return false };
        // What is published once needs a script that sees to it.
        if self.options.once.is_some() {
            return false;
        }
        if reach.is_some_and(|reach| expires_ms(reach, queue).is_some()) {
            return false;
        }
        let Prepared { asked, envelope } = prepared;
        let mut tag = Uuid::encode_buffer();
        let tag = Uuid::from_u128(asked.tag.wrapping_add(1)).hyphenated().encode_lower(&mut tag);
        let (exchange, routing_key) = match asked.message.return_to_queue {
            true => ("", queue.as_bytes()),
            false => (asked.exchange, asked.routing_key),
        };
        let list = self.layout.list_name(queue, envelope.priority_of());
        out.push(&list, |payload| envelope.write(payload, exchange, routing_key, tag));
        true
    }

    /// What the server said to a push that was added so.
    pub(super) fn pushed(&self, ways: &Ways, priority: Priority, answer: Value) -> Result<(), ExecuteError> {
        if let Value::Int(_) = answer {
            return Ok(());
        }
        let queue = ways.queues.first().map_or("", String::as_str);
        self.redis.read_one("LPUSH", &self.layout.list_name(queue, priority), answer).map(drop)
    }
}
