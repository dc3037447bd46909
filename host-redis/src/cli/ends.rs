//! The flags that name a binding.

use clap::ValueEnum;
use keyrail_core::{BindingDefinition, DestinationName, Dialect};

use super::{
    Failure,
    header::{self, Header},
};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("to").required(true).args(["queue", "to_exchange"]))]
pub(crate) struct Ends {
    /// The exchange
    #[arg(long, short = 'x', value_name = "NAME")]
    exchange: String,

    /// The queue that gets the messages
    #[arg(long, short = 'q', value_name = "NAME")]
    queue: Option<String>,

    /// The exchange that gets the messages, instead of a queue
    #[arg(long, value_name = "NAME")]
    to_exchange: Option<String>,

    /// The binding key; a topic exchange reads * and # in it
    #[arg(long, short = 'k', value_name = "KEY", default_value = "")]
    key: String,

    /// An argument, which a headers exchange compares: name=text, or name:=json for a number or a boolean
    #[arg(long = "argument", short = 'a', value_name = "NAME=TEXT")]
    arguments: Vec<Header>,
}

impl Ends {
    /// The binding, read as RabbitMQ reads it.
    pub(crate) fn binding(&self) -> Result<BindingDefinition, Failure> {
        let destination = match (&self.queue, &self.to_exchange) {
            (Some(queue), _) => DestinationName::Queue(queue.as_str().into()),
            (None, Some(exchange)) => DestinationName::Exchange(exchange.as_str().into()),
            (None, None) => {
                return Err(Failure::usage(
                    "nothing says where the binding leads to; give --queue or --to-exchange",
                ));
            }
        };
        Ok(BindingDefinition {
            source: self.exchange.as_str().into(),
            destination,
            routing_key: self.key.as_str().into(),
            arguments: header::table(&self.arguments),
            dialect: Dialect::Amqp,
            pattern: None,
        })
    }
}

/// The dialects by their stable words.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    Kombu57,
    Kombu56,
    Amqp,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::Kombu57 => Dialect::Kombu57,
            DialectName::Kombu56 => Dialect::Kombu56,
            DialectName::Amqp => Dialect::Amqp,
        }
    }
}
