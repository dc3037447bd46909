//! AMQP's declarations with nothing but a name.

use keyrail_core::{Operation, Table};

pub(crate) fn exchange(name: &str, kind: &str) -> Operation {
    Operation::ExchangeDeclare {
        exchange: name.into(),
        kind: kind.into(),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Table::new(),
    }
}

pub(crate) fn queue(name: &str) -> Operation {
    Operation::QueueDeclare {
        queue: name.into(),
        passive: false,
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: Table::new(),
    }
}
