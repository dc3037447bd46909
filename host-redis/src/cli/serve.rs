use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use keyrail_core::{
    Outcome, Router, Table, Trace,
    kombu::{Envelope, Json},
};
use keyrail_redis::{Executor, Host, Memory, Outgoing, Shared, load, serve};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{
    Failure,
    open::{Source, seconds},
    show::{Style, Tree, clean, count},
};

/// Serve the page and the HTTP interface on this machine.
///
/// Without --redis everything happens in this process: queues are kept in memory and are gone at the end. Only loopback
/// addresses are served. With --redis, requests that publish or take messages need the token that is printed at the
/// start (or given with --token); in memory they need none unless --token is given.
///
/// SIGHUP reads the file of --topology again: requests that come after that go by the new one. A file that cannot be
/// loaded changes nothing. The tables in a Redis are read with each request, so there the signal has nothing to do.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail serve --topology definitions.json --demo
  keyrail serve --redis redis://127.0.0.1/0 --listen 127.0.0.1:8080
  curl -d '{\"exchange\": \"shop.orders\", \"routingKey\": \"order.eu.paid\", \"body\": \"hello\"}' \\
       -H 'content-type: application/json' http://127.0.0.1:5680/v1/publish
  curl -X POST http://127.0.0.1:5680/v1/queues/eu.vat/get")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5680")]
    listen: String,

    /// Publish the messages of this file at the start, and say where they went and why
    #[arg(long, value_name = "FILE")]
    show: Option<PathBuf>,

    /// The same with the file messages.json beside the topology
    #[arg(long, conflicts_with = "show", requires = "topology")]
    demo: bool,

    /// What requests that publish or take must bear: `Authorization: Bearer TOKEN`
    #[arg(
        long,
        value_name = "TOKEN",
        env = "KEYRAIL_TOKEN",
        hide_env_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    token: Option<String>,

    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES", default_value = "1048576", help_heading = "Limits")]
    max_body: usize,

    /// The longest time for one request, in seconds: for its headers, for body and answer, and for
    /// reading that
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Limits")]
    request_timeout: std::time::Duration,

    /// The most connections at once; others wait
    #[arg(
        long,
        value_name = "N",
        default_value_t = serve::Connections::default().most,
        value_parser = most,
        help_heading = "Limits"
    )]
    max_connections: usize,
}

/// Above zero, or nobody would be served.
fn most(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|most| *most > 0).ok_or_else(|| "expected a number above 0".into())
}

/// A message to show.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Example {
    #[serde(default)]
    about: String,
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    headers: Table,
    #[serde(default)]
    body: serde_json::Value,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let address = address(&args.listen)?;
    let examples = examples(&args)?;
    if !args.source.is_offline() {
        let host = args.source.host("").await?;
        return start(args, address, host, examples).await;
    }
    let router = match args.source.file()? {
        Some(file) => file.router,
        None => Router::with_predeclared_exchanges(),
    };
    let host = Host::fixed(Memory::new(), args.source.layout()?, router);
    start(args, address, host, examples).await
}

fn address(listen: &str) -> Result<SocketAddr, Failure> {
    let text = listen.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr = text.parse().map_err(|_| {
        Failure::usage(format!("--listen: `{listen}` is no address, expected one like 127.0.0.1:5680"))
    })?;
    if !serve::is_loopback(&address) {
        return Err(Failure::usage(format!(
            "--listen: `{listen}` can be reached from other machines, and only loopback is served; use 127.0.0.1:{}",
            address.port()
        )));
    }
    Ok(address)
}

fn examples(args: &Args) -> Result<Vec<Example>, Failure> {
    let beside = |topology: &PathBuf| topology.with_file_name("messages.json");
    let path = match (&args.show, args.demo) {
        (Some(path), _) => path.clone(),
        (None, true) => args.source.topology.as_ref().map(beside).unwrap_or_default(),
        (None, false) => return Ok(Vec::new()),
    };
    let shown = path.display();
    let bytes = load::bytes(&path, &args.source.limits())?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::failed(format!("`{shown}` is no list of messages: {error}")))
}

async fn start<E: Executor>(
    args: Args,
    address: SocketAddr,
    host: Host<E>,
    examples: Vec<Example>,
) -> Result<ExitCode, Failure> {
    let in_memory = args.source.is_offline();
    // In this process there is nothing to protect but a toy; on Redis there are other people's queues.
    let token =
        args.token.clone().or_else(|| (!in_memory).then(|| uuid::Uuid::new_v4().simple().to_string()));
    let made_up = args.token.is_none() && token.is_some();
    let table = host.table(None).await?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {error}; choose another address with --listen"))
    })?;
    let address = listener.local_addr()?;
    // Caught from here on, so that an interrupt during the introduction ends the server in order, too.
    let stop = super::consume::interrupt()?;
    tokio::spawn(reload(args.source.clone(), host.shared().cloned())?);

    let mut text = introduction(&args.source, host.executor().describe(), &table.router, address);
    if made_up && let Some(token) = &token {
        text.push_str(&format!("  token      {token}\n"));
    }
    for (at, example) in examples.iter().enumerate() {
        text.push_str(&show(&host, &table.router, at + 1, example).await?);
    }
    for row in &table.quarantine {
        tracing::warn!(code = row.reason.code(), "{row}");
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{text}\n  {}", Style::of_stdout().dim("Ctrl-C ends it"))?;
    out.flush()?;
    drop(out);

    let options = serve::Options { token, max_body: args.max_body, timeout: args.request_timeout };
    let (most, limit) = (args.max_connections, args.request_timeout);
    let connections = serve::Connections { most, headers: limit, answers: limit };
    serve::run(listener, serve::app(host, options), connections, stop).await;
    Ok(ExitCode::SUCCESS)
}

/// Replaces the table at every SIGHUP after this call. Without a file the signal ends nothing, either.
fn reload(
    source: Source,
    table: Option<Shared<keyrail_redis::Table>>,
) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let source = source.clone();
            // A large file takes seconds, which are nobody else's.
            match tokio::task::spawn_blocking(move || source.file()).await {
                Ok(Ok(Some(file))) => {
                    let (exchanges, queues, bindings) = file.router.counts();
                    if let Some(table) = &table {
                        table.replace(keyrail_redis::Table { router: file.router, quarantine: Vec::new() });
                    }
                    tracing::info!(exchanges, queues, bindings, "the topology was read again");
                }
                Ok(Ok(None)) => tracing::info!("there is no file to read again"),
                Ok(Err(failure)) => tracing::error!("the topology stays as it was: {failure}"),
                Err(_) => {}
            }
        }
    })
}

fn introduction(source: &Source, executor: String, router: &Router, address: SocketAddr) -> String {
    let style = Style::of_stdout();
    let place = match &executor[..] {
        "memory" => "in memory, nothing leaves this process".into(),
        redis => format!("on {redis}"),
    };
    let (exchanges, queues, bindings) = router.counts();
    let predeclared = router.exchanges().filter(|(_, name, _)| Router::is_predeclared(name)).count();
    let counts =
        [count(exchanges - predeclared, "exchange"), count(queues, "queue"), count(bindings, "binding")];
    let file = source.topology.as_deref().map(Path::display).map(|path| format!("{path}  "));
    format!(
        "{} {}  {}\n\n  topology   {}{}\n  open       {}\n",
        style.bold("keyrail"),
        env!("CARGO_PKG_VERSION"),
        style.dim(place),
        file.unwrap_or_default(),
        style.dim(counts.join(", ")),
        style.link(format_args!("http://{address}/")),
    )
}

/// Publishes an example and tells its way.
async fn show<E: Executor>(
    host: &Host<E>,
    router: &Router,
    number: usize,
    example: &Example,
) -> Result<String, Failure> {
    let style = Style::of_stdout();
    let envelope = match &example.body {
        serde_json::Value::String(text) => Envelope::text(text),
        value => Envelope::json(&Json::deserialize(value).unwrap_or_default()),
    };
    let outgoing = Outgoing {
        headers: example.headers.clone(),
        ..Outgoing::new(&example.exchange, &example.routing_key, envelope)
    };
    let sent = host.publish(&outgoing).await?;
    let found = router.message(&example.exchange, &example.routing_key, Some(&example.headers));
    let (exchange, message) = found.map_err(keyrail_redis::HostError::from)?;
    let mut trace = Trace::new();
    let _ = router.explain(exchange, &message, &mut trace);

    let mut what = Vec::new();
    if !example.routing_key.is_empty() {
        what.push(style.bold(&example.routing_key));
    }
    for (name, value) in example.headers.iter() {
        what.push(style.bold(format_args!("{}={value}", String::from_utf8_lossy(name))));
    }
    let mut queues = sent.queues;
    queues.sort_unstable();
    let queues = match (sent.outcome, queues.is_empty()) {
        (Outcome::Routed, false) => {
            queues.iter().map(|queue| style.queue(queue)).collect::<Vec<_>>().join("  ")
        }
        (Outcome::Routed, true) => style.dim("those who listen now"),
        _ => style.warn("nobody: unroutable"),
    };
    let about =
        if example.about.is_empty() { String::new() } else { format!("     {}\n", clean(&example.about)) };
    let tree = Tree { trace: &trace, guessed: &sent.guessed, style, indent: "     " };
    Ok(format!("\n  {number}. {}\n{about}     to {queues}\n\n{tree}", what.join("  ")))
}
