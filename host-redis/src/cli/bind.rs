use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{BindError, BindingDefinition, DestinationName, Dialect, Exchange, ExchangeKind};
use keyrail_redis::{Bind, Bound, HostError, load};
use serde::Serialize;

use super::{
    Failure,
    ends::{DialectName, Ends},
    open::Source,
    show::{Style, clean},
};

/// Bind a queue or an exchange to an exchange.
///
/// On Redis the binding is written where every Kombu publisher finds it, or beside it where Kombu has no word for it
/// (headers, exchanges bound to exchanges, queues of fanout exchanges in which messages wait). Binding twice is binding
/// once. With --topology the file stays as it is, and the topology with the new binding is printed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail bind --redis redis://127.0.0.1/0 -x orders --type topic -k 'order.*.paid' -q billing
  keyrail bind --redis redis://127.0.0.1/0 -x invoices --type headers -a x-match=all -a pages:=3 -q print
  keyrail bind --redis redis://127.0.0.1/0 -x orders -k 'order.#' --to-exchange audit --type audit=fanout
  keyrail bind --topology shop.json -x orders -k 'order.#' -q audit > new.json

An exchange that is new is created with --type.")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    ends: Ends,

    /// What * and # mean to whoever publishes: as Kombu 5.7 writes it, as Kombu up to 5.6 wrote it, or as RabbitMQ; of a
    /// fanout exchange, whether messages wait in the queue (amqp) or it only listens, as Kombu's do
    /// [default: kombu57 in Kombu's tables, amqp in keyrail's own keys and in a file]
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<DialectName>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    binding: &'a BindingDefinition,
    kind: ExchangeKind,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    guessed: bool,
    new: bool,
    replaced: &'a [Dialect],
    kombu: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    let mut binding = args.ends.binding()?;
    if args.source.is_offline() {
        binding.dialect = args.dialect.map_or(Dialect::Amqp, Into::into);
        return print(&args.source, binding);
    }
    args.source.require_one()?;
    let host = args.source.tables(&binding.source).await?;
    let kind = args.source.kind_of(&binding.source)?;
    // In keyrail's own keys a binding says itself how it is read, and waits for nobody to listen.
    binding.dialect = args.dialect.map_or(Dialect::Amqp, Into::into);
    let dialect = args.dialect.map_or(Dialect::Kombu57, Into::into);
    let mut bind = Bind { dialect, kind, binding };
    let bound = host.bind(&bind).await?;
    if bound.is_kombus && bound.kind != ExchangeKind::Fanout {
        bind.binding.dialect = dialect;
    }
    if bound.kind == ExchangeKind::Topic && bound.is_kombus && dialect != Dialect::Amqp {
        warn_of_repeated_letters(&bind.binding.routing_key.to_string());
    }
    let mut out = io::stdout().lock();
    let Bound { kind, is_guessed, new, replaced, is_kombus } = &bound;
    if args.json {
        let (kind, guessed) = (*kind, *is_guessed);
        let answer = Answer { binding: &bind.binding, kind, guessed, new: *new, replaced, kombu: *is_kombus };
        writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::other)?)?;
    } else {
        let BindingDefinition { source, destination, .. } = &bind.binding;
        writeln!(out, "{kind} exchange {} ─▶ {}", clean(source), clean(&destination.to_string()))?;
        let style = Style::of_stdout();
        for note in notes(&bind.binding, &bound) {
            writeln!(out, "  {}", style.dim(note))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A `*` within a word is a letter in AMQP, and repeats the letter before it in every Kombu. The row is written as Kombu
/// writes it, since its peers look for those bytes, and what that means is said.
fn warn_of_repeated_letters(key: &str) {
    let repeats = |word: &&str| word.len() > 1 && word.contains('*');
    if !key.split('.').any(|word| repeats(&word)) {
        return;
    }
    let once = |word: &str| if repeats(&word) { word.replace('*', "") } else { word.to_owned() };
    let once: Vec<String> = key.split('.').map(once).collect();
    tracing::warn!(
        "in the key `{key}` a `*` within a word repeats the letter before it for Kombu's publishers, and is a letter in \
         AMQP: Kombu matches `{}` and not `{key}`, AMQP the other way round; --dialect amqp writes AMQP's meaning",
        once.join(".")
    );
}

/// What may not be as expected.
fn notes(binding: &BindingDefinition, bound: &Bound) -> Vec<String> {
    let mut notes = Vec::new();
    if bound.is_guessed {
        notes.push("the type is guessed; --type tells it to everyone".into());
    }
    if !bound.new {
        notes.push("it was there already".into());
    }
    for dialect in &bound.replaced {
        notes.push(format!("in place of the same key as {}", dialect.as_str()));
    }
    let unknown = match (&binding.destination, bound.kind) {
        _ if bound.is_kombus => None,
        (DestinationName::Exchange(_), _) => Some("no bindings of exchanges to exchanges".into()),
        (_, ExchangeKind::Fanout) => Some("no queue of a fanout exchange in which messages wait".into()),
        (_, kind @ (ExchangeKind::Direct | ExchangeKind::Topic)) => {
            Some(format!("no arguments of {kind} bindings"))
        }
        (_, kind) => Some(format!("no {kind} exchanges")),
    };
    if let Some(unknown) = unknown {
        notes.push(format!("only keyrail's publishers follow it: Kombu on Redis knows {unknown}"));
    } else if bound.kind == ExchangeKind::Fanout {
        notes.push(
            "a subscription: who consumes hears it while listening, and nothing waits in the queue; --dialect amqp \
             binds a queue in which messages wait"
                .into(),
        );
    }
    notes
}

/// The topology of the file with the binding in it.
fn print(source: &Source, binding: BindingDefinition) -> Result<ExitCode, Failure> {
    let Some(mut file) = source.file()? else { return Err(Failure::usage("give --topology FILE")) };
    let told = source.kinds(&binding.source)?;
    let leads_to = match &binding.destination {
        DestinationName::Exchange(name) => Some(name),
        DestinationName::Queue(_) => None,
    };
    for name in [Some(&binding.source), leads_to].into_iter().flatten() {
        if let Some(kind) = told.get(&**name) {
            declare(&mut file, name, *kind)?;
        }
    }
    let bound = file
        .router
        .exchange(&binding.source)
        .ok_or_else(|| HostError::from(BindError::ExchangeNotFound { name: binding.source.clone() }));
    let bound = bound.and_then(|source| {
        let destination = binding.destination.find(&file.router)?;
        Ok(file.router.bind(source, destination, &binding.binding())?)
    });
    let refused = |error: HostError| match error {
        HostError::Bind(BindError::QueueNotFound { .. }) => {
            Failure::failed(format!("{error}; a file names its queues, so add it to the file's queues first"))
        }
        error => error.into(),
    };
    if bound.map_err(refused)? {
        file.topology.bindings.push(binding);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&file.topology).map_err(io::Error::other)?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Declares an exchange, if the file has none of this name, or only guesses its type.
fn declare(file: &mut load::Loaded, name: &str, kind: ExchangeKind) -> Result<(), Failure> {
    let mut guesses =
        file.topology.exchanges.iter_mut().filter(|exchange| load::is_guessed(&exchange.arguments));
    if let Some(guess) = guesses.find(|exchange| *exchange.name == *name) {
        *guess = keyrail_core::ExchangeDefinition::durable(name, kind);
        let rebuilt = file.topology.router().map_err(|error| Failure::failed(error.to_string()));
        file.router = rebuilt?;
        return Ok(());
    }
    let known = file.router.exchange(name).and_then(|id| file.router.exchange_properties(id));
    match known.map(|exchange| exchange.kind()) {
        Some(known) if known != kind => {
            Err(Failure::failed(format!("exchange `{name}` is {known} already and cannot become {kind}")))
        }
        Some(_) => Ok(()),
        None => {
            file.router.declare_exchange(name, Exchange::new(kind)).map_err(HostError::from)?;
            file.topology.exchanges.push(keyrail_core::ExchangeDefinition::durable(name, kind));
            Ok(())
        }
    }
}
