use std::{
    io::{self, Write},
    pin::{Pin, pin},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use keyrail_core::{
    Dialect,
    kombu::{Subscription, check_fanout_exchange},
};
use keyrail_redis::{
    Body, ConsumerOptions, ExecuteError, Executor, Host, HostError, Next, QueueOrder, ReceivedMessage,
    Requeue,
};

use super::{
    Failure,
    failure::tell,
    log,
    open::{Source, seconds},
    show::Style,
    signals::Signals,
};

/// Take messages from queues, or listen to a fanout exchange, and print them.
///
/// Each message is registered before it is seen and acked once it is printed, so none is lost: on SIGINT, SIGTERM or
/// SIGHUP what is not yet printed goes back into its queue. Of several queues and priorities the most urgent comes first (0).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail consume --redis redis://127.0.0.1/0 --queue billing
  keyrail consume --redis redis://127.0.0.1/0 -q billing -q audit -n 10 --timeout 5 --json
  keyrail consume --redis redis://127.0.0.1/0 --fanout news --key 'sport.#'")]
#[group(id = "from", required = true, multiple = false, args = ["queues", "fanout"])]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// A queue; may be given several times
    #[arg(long = "queue", short = 'q', value_name = "NAME")]
    queues: Vec<String>,

    /// Declare what --topology holds, as Kombu's consumers do, and keep alive what expires in it
    #[arg(long, requires = "topology", conflicts_with = "fanout")]
    declare: bool,

    /// A fanout exchange to listen to as Kombu does; what is published before is not heard
    #[arg(long, value_name = "EXCHANGE")]
    fanout: Option<String>,

    /// The binding key for --fanout: empty hears only messages without a routing key, # and * hear anything there
    #[arg(long, short = 'k', value_name = "KEY", default_value = "", requires = "fanout")]
    key: String,

    /// End after so many messages; exits with 1 if --timeout or an interrupt comes first
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,

    /// End when nothing has come for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Put each message back behind the others after printing it
    #[arg(long, conflicts_with = "fanout", requires = "count")]
    requeue: bool,

    /// With --requeue: put it back to be taken next
    #[arg(long, requires = "requeue")]
    front: bool,

    /// How many messages to take ahead
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    prefetch: u32,

    /// Which queue comes first, as in Kombu [default: as the transport options say, else round_robin]
    #[arg(long, value_name = "ORDER")]
    queue_order_strategy: Option<Order>,

    /// Take without registering: what is lost on the way is lost
    #[arg(long, conflicts_with_all = ["fanout", "requeue"])]
    no_ack: bool,

    /// After how many seconds an unacked delivery counts as left behind; all peers should agree on it [default: as the
    /// transport options say, else 3600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    visibility_timeout: Option<Duration>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Kombu's words.
#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Order {
    RoundRobin,
    Sorted,
    Priority,
}

impl From<Order> for QueueOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::RoundRobin => QueueOrder::RoundRobin,
            Order::Sorted => QueueOrder::Sorted,
            Order::Priority => QueueOrder::Priority,
        }
    }
}

/// Why a loop ended.
enum End {
    Interrupted,
    Counted,
    Idle,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    if args.source.redis.is_none() {
        return Err(Failure::usage("a file holds no messages; consume needs --redis URL"));
    }
    log::never_wait();
    // Before the first message is taken.
    let signals = Signals::listen()?;
    let mut stop = pin!(signals.first());
    let connect = async {
        match args.declare {
            true => args.source.tables("").await,
            false => args.source.host(args.fanout.as_deref().unwrap_or_default()).await,
        }
    };
    let host = tokio::select! {
        biased;
        () = &mut stop => None,
        host = connect => Some(host?),
    };
    let end = match (host, &args.fanout) {
        (None, _) => End::Interrupted,
        (Some(host), Some(exchange)) => listen(&args, &host, exchange, stop).await?,
        (Some(host), None) => consume(&args, &host, stop, signals.second()).await?,
    };
    match (end, args.count) {
        (End::Idle, Some(count)) => Err(Failure::failed(format!(
            "fewer than {} came: nothing for {} s",
            messages(count),
            args.timeout.unwrap_or_default().as_secs_f64()
        ))),
        (End::Interrupted, Some(count)) => {
            Err(Failure::failed(format!("interrupted before {} came", messages(count))))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

async fn consume<E: Executor>(
    args: &Args,
    host: &Host<E>,
    mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    at_once: impl Future<Output = ()> + Send,
) -> Result<End, Failure> {
    let declare = match args.declare {
        true => args.source.file()?.map(|file| (Arc::new(file.topology), Dialect::Kombu57)),
        false => None,
    };
    // Before taking, since a consumer declares beside it: one that takes what is there may be gone before that is done.
    // What contradicts Redis is better told now than in the log. Whatever else fails, the consumer tries again.
    if let Some((topology, dialect)) = &declare {
        let import = tokio::select! {
            biased;
            () = &mut stop => return Ok(End::Interrupted),
            import = host.import(topology, *dialect) => import,
        };
        match import {
            Ok(_) => {}
            Err(
                error @ (HostError::Declare(_) | HostError::Member(_) | HostError::NotExpressible { .. }),
            ) => return Err(error.into()),
            Err(error) => Failure::of(host, error).await.warn(),
        }
    }
    let transport = args.source.consumer_options()?;
    let options = ConsumerOptions {
        prefetch: args.prefetch as usize,
        queue_order_strategy: args.queue_order_strategy.map_or(transport.queue_order_strategy, Into::into),
        no_ack: args.no_ack || transport.no_ack,
        visibility_timeout: args.visibility_timeout.unwrap_or(transport.visibility_timeout),
        declare,
        ..transport
    };
    if args.requeue && options.no_ack {
        let reason = "--requeue needs acks, and the transport options have none (ack_emulation)";
        return Err(Failure::usage(reason));
    }
    let mut consumer = host.consumer(args.queues.clone(), options)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut last = Instant::now();
    let end: Result<End, Failure> = loop {
        if left == 0 {
            break Ok(End::Counted);
        }
        let limit = args.timeout.map_or(FOREVER, |limit| limit.saturating_sub(last.elapsed()));
        let next = tokio::select! {
            biased;
            () = &mut stop => break Ok(End::Interrupted),
            next = consumer.next(limit) => next,
        };
        let delivery = match next {
            Ok(Next::Delivery(delivery)) => delivery,
            Ok(Next::Quarantined { .. }) => continue,
            Ok(Next::Idle) => break Ok(End::Idle),
            // The other queues go on; it is told once.
            Err(error @ ExecuteError::WrongType { .. }) if args.queues.len() > 1 => {
                Failure::of(host, error.into()).await.warn();
                continue;
            }
            Err(error) => break Err(Failure::of(host, error.into()).await),
        };
        let line = line(&delivery.message(), args.json);
        tokio::select! {
            biased;
            () = &mut stop => break Ok(End::Interrupted),
            printed = print(line) => if let Err(error) = printed { break Err(error.into()) },
        }
        // Not awaited: closing waits for it, and names what fails.
        drop(match (args.requeue, args.front) {
            (false, _) => delivery.ack(),
            (true, false) => delivery.requeue(Requeue::Last),
            (true, true) => delivery.requeue(Requeue::Front),
        });
        left -= 1;
        last = Instant::now();
    };
    let closed = tokio::select! {
        closed = consumer.close() => closed.map_err(Failure::from),
        () = at_once => Err(Failure::failed("told to end at once; what was held stays registered in Redis")),
    };
    let end = end?;
    closed?;
    Ok(end)
}

fn messages(count: u64) -> String {
    super::show::count(usize::try_from(count).unwrap_or(usize::MAX), "message")
}

/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

async fn listen<E: Executor>(
    args: &Args,
    host: &Host<E>,
    exchange: &str,
    mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Result<End, Failure> {
    check_fanout_exchange(exchange)
        .map_err(|error| HostError::NotExpressible { reason: error.to_string().into() })?;
    let subscription = Subscription::with_layout(host.layout(), exchange, &args.key);
    let mut listener = host.executor().subscribe(&[subscription.pattern().to_owned()]).await?;
    // Whoever waits for the subscription to be there, a test for instance, reads this.
    tracing::info!("listening to `{}`", subscription.pattern());
    tell(format_args!("listening to {}", super::show::clean(subscription.pattern())));
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let heard = tokio::select! {
            biased;
            () = &mut stop => return Ok(End::Interrupted),
            heard = tokio::time::timeout(args.timeout.unwrap_or(FOREVER), listener.next()) => heard,
        };
        let Ok(heard) = heard else { return Ok(End::Idle) };
        let Some(heard) = heard else {
            return Err(Failure::failed(
                "the subscription ended: the connection to Redis broke, or more messages came than were printed",
            ));
        };
        let line = line(&ReceivedMessage::heard(&heard.channel, &heard.payload), args.json);
        tokio::select! {
            biased;
            () = &mut stop => return Ok(End::Interrupted),
            printed = print(line) => printed?,
        }
        left -= 1;
    }
    Ok(End::Counted)
}

fn line(message: &ReceivedMessage, json: bool) -> String {
    if let Some(why) = &message.undecoded {
        let place = message.channel.as_deref().unwrap_or(&message.queue);
        tracing::warn!(code = why.code(), "a body out of `{place}` is shown as it was sent: {why}");
    }
    if json {
        return serde_json::to_string(message).unwrap_or_default();
    }
    let style = Style::of_stdout();
    let body = match &message.body {
        Body::Json(value) => value.to_string(),
        Body::Wide(value) => value.to_python(),
        Body::Text(text) => text.clone(),
        Body::Bytes(bytes) => bytes.escape_ascii().to_string(),
    };
    let key = if message.routing_key.is_empty() { "-".into() } else { message.routing_key.to_string() };
    let again = if message.redelivered { " again" } else { "" };
    format!(
        "{} {}{} {}",
        style.queue(message.channel.as_deref().unwrap_or(&message.queue)),
        style.dim(key),
        style.warn(again),
        super::show::clean(&body)
    )
}

/// Prints a line where a reader who does not read blocks nobody else.
async fn print(line: String) -> io::Result<()> {
    let write = move || {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    };
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

/// Ends with the first SIGINT or SIGTERM after this call.
pub(crate) fn interrupt() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
