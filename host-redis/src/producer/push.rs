//! The way of most messages: one copy for one queue. Its command is written at once, without a plan.

use std::cell::RefCell;

use uuid::Uuid;

use super::{Prepared, Producer, expires_ms};
use crate::{executor::Commands, publish::Ways, table::Reach};

thread_local! {
    /// Where payloads are written before their length is known.
    static PAYLOAD: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A larger buffer is not kept.
const KEPT: usize = 1 << 20;

impl Producer {
    /// Adds the push of a message that needs no other command, and returns the list it goes to.
    pub(super) fn add_push(
        &self,
        out: &mut Commands,
        prepared: &Prepared<'_>,
        ways: &Ways,
        reach: Option<&Reach>,
    ) -> Option<String> {
        let ([queue], []) = (&*ways.queues, &*ways.fanout) else { return None };
        // What is published once needs a script that sees to it.
        if self.options.once.is_some() {
            return None;
        }
        if reach.is_some_and(|reach| expires_ms(reach, queue).is_some()) {
            return None;
        }
        let Prepared { asked, envelope } = prepared;
        let list = self.layout.list(queue, envelope.priority_of());
        let mut tag = Uuid::encode_buffer();
        let tag = Uuid::from_u128(asked.tag.wrapping_add(1)).hyphenated().encode_lower(&mut tag);
        let (exchange, routing_key) = match asked.message.return_to_queue {
            true => ("", queue.as_bytes()),
            false => (asked.exchange, asked.routing_key),
        };
        PAYLOAD.with_borrow_mut(|payload| {
            payload.clear();
            envelope.write(payload, exchange, routing_key, tag);
            out.push(&list, payload.as_bytes());
            if payload.capacity() > KEPT {
                *payload = String::new();
            }
        });
        Some(list)
    }
}
