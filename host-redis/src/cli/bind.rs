use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::ValueEnum;
use keyrail_core::{BindingDefinition, DestinationName, Dialect};
use keyrail_redis::{Bind, HostError};

use super::{
    Failure,
    header::{self, Header},
    open::Source,
};

/// Bind a queue or an exchange to an exchange.
///
/// On Redis the binding is written where every Kombu publisher finds it, or beside it where Kombu has no word for it
/// (headers, exchanges bound to exchanges). Binding twice is binding once. With --topology and no --redis the file stays
/// as it is, and the topology with the new binding is printed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail bind --redis redis://127.0.0.1/0 -x orders --type topic -k 'order.*.paid' -q billing
  keyrail bind --redis redis://127.0.0.1/0 -x invoices --type headers -a x-match=all -a pages:=3 -q print
  keyrail bind --topology shop.json -x orders -k 'order.#' -q audit > new.json")]
#[group(id = "to", required = true, multiple = false, args = ["queue", "to_exchange"])]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// The exchange; with --type it is created if it is new
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

    /// What * and # mean to whoever publishes: as Kombu 5.7 writes it, as Kombu up to 5.6 wrote it, or as RabbitMQ
    #[arg(long, value_name = "DIALECT", default_value = "kombu57")]
    dialect: DialectName,
}

/// The dialects by their stable words.
#[derive(Clone, Copy, ValueEnum)]
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

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    let destination = match (args.queue, args.to_exchange) {
        (Some(queue), _) => DestinationName::Queue(queue.into()),
        (None, Some(exchange)) => DestinationName::Exchange(exchange.into()),
        (None, None) => return Err(Failure::usage("nothing to bind; give --queue or --to-exchange")),
    };
    let mut binding = BindingDefinition {
        source: args.exchange.as_str().into(),
        destination,
        routing_key: args.key.as_str().into(),
        arguments: header::table(&args.arguments),
        dialect: args.dialect.into(),
        pattern: None,
    };
    if args.source.redis.is_none() {
        // A file is read as RabbitMQ reads it, unless it says otherwise.
        binding.dialect = Dialect::Amqp;
        return print(&args.source, binding);
    }
    let host = args.source.tables(&args.exchange).await?;
    let kind = args.source.kind_of(&args.exchange)?;
    let bind = Bind { dialect: binding.dialect, kind, binding };
    let kind = host.bind(&bind).await?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{kind} exchange {} ─▶ {}",
        super::show::clean(&bind.binding.source),
        super::show::clean(&bind.binding.destination.to_string())
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The topology of the file with the binding in it.
fn print(source: &Source, binding: BindingDefinition) -> Result<ExitCode, Failure> {
    let Some(mut file) = source.file()? else { return Err(Failure::usage("give --topology FILE")) };
    let bound = file.router.exchange(&binding.source).ok_or_else(|| {
        HostError::from(keyrail_core::BindError::ExchangeNotFound { name: binding.source.clone() })
    });
    let bound = bound.and_then(|source| {
        let destination = binding.destination.find(&file.router)?;
        Ok(file.router.bind(source, destination, &binding.binding())?)
    });
    if bound.map_err(|error| Failure::failed(error.to_string()))? {
        file.topology.bindings.push(binding);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&file.topology).map_err(io::Error::other)?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
