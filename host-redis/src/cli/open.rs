//! The flags that every command shares: where the topology is, and where the messages are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use keyrail_core::{ExchangeKind, PublishError, Router, kombu::Layout};
use keyrail_redis::{
    Connection, ConsumerOptions, ExecuteError, Host, HostError, Memory, Outgoing, Redis, Routed,
    TransportOptions,
    load::{self, Limits},
};

use super::Failure;

#[derive(Args, Clone)]
pub(crate) struct Source {
    // First, since whoever reads a value takes it out.
    #[command(flatten)]
    from_env: FromEnv,

    /// A topology file: keyrail's JSON, lines or snapshot, or RabbitMQ's definitions.json, told apart by what is in it;
    /// - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Where the topology is")]
    pub(crate) topology: Option<PathBuf>,

    /// The virtual host to take from RabbitMQ's definitions [default: the only one, or /]
    #[arg(long, value_name = "NAME", requires = "topology", help_heading = "Where the topology is")]
    vhost: Option<String>,

    /// The Redis that Kombu uses: redis://[user:password@]host[:port][/db], rediss://, unix:///path,
    /// sentinel://host:port;sentinel://host:port or redis+cluster://host:port. From the environment it is passed over where
    /// --topology is enough
    #[arg(
        long,
        value_name = "URL",
        env = "KEYRAIL_REDIS",
        hide_env_values = true,
        help_heading = "Where the topology is"
    )]
    pub(crate) redis: Option<String>,

    /// Kombu's transport options as JSON, by Kombu's names: global_keyprefix, sep, priority_steps, fanout_prefix,
    /// unacked_key, visibility_timeout, master_name ...
    #[arg(
        long,
        value_name = "JSON",
        env = "KEYRAIL_TRANSPORT_OPTIONS",
        hide_env_values = true,
        help_heading = "Where the topology is"
    )]
    transport_options: Option<String>,

    /// The type of an exchange that Redis does not tell, else it is guessed: direct, topic, fanout, headers,
    /// x-consistent-hash or x-random; NAME=TYPE for one of several
    #[arg(long = "type", value_name = "[NAME=]TYPE", help_heading = "Where the topology is")]
    pub(crate) kinds: Vec<String>,

    /// The longest time to connect to Redis, in seconds [default: socket_connect_timeout of the transport options, else 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Limits")]
    connect_timeout: Option<Duration>,

    /// The longest time for one answer of Redis, in seconds [default: socket_timeout of the transport options, else 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Limits")]
    response_timeout: Option<Duration>,

    /// The largest file to read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().file_bytes, help_heading = "Limits")]
    max_file_bytes: u64,

    /// The most bindings of one exchange, in Redis
    #[arg(long, value_name = "N", default_value_t = Limits::default().table_bindings, help_heading = "Limits")]
    max_bindings: u64,
}

/// Whether `--redis` came from the environment: who names a file on the command line asks that file.
#[derive(Clone, Copy)]
struct FromEnv(bool);

impl Args for FromEnv {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl FromArgMatches for FromEnv {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(FromEnv(matches.value_source("redis") == Some(ValueSource::EnvVariable)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = FromEnv::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The file of this name; `-` is standard input.
pub(crate) fn named(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("/dev/stdin") } else { path }
}

/// Seconds above zero, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds < 1e9 => Ok(duration),
        _ => Err("expected a number of seconds above 0".into()),
    }
}

/// A soft time limit above the hard one would never be met.
pub(crate) fn limits_in_order(hard: Option<f64>, soft: Option<f64>) -> Result<(), Failure> {
    match (hard, soft) {
        (Some(hard), Some(soft)) if soft > hard => Err(Failure::usage(format!(
            "--soft-time-limit {soft} is over after --time-limit {hard}, expected at most that"
        ))),
        _ => Ok(()),
    }
}

impl Source {
    pub(crate) fn limits(&self) -> Limits {
        Limits { file_bytes: self.max_file_bytes, table_bindings: self.max_bindings, ..Limits::default() }
    }

    /// Fails if neither a file nor a Redis is named.
    pub(crate) fn require(&self) -> Result<(), Failure> {
        if self.topology.is_none() && self.redis.is_none() {
            return Err(Failure::usage(
                "nothing says where the topology is; give --topology FILE or --redis URL",
            ));
        }
        Ok(())
    }

    /// The same for what only reads the topology: a file has the types of its exchanges.
    pub(crate) fn require_to_read(&self) -> Result<(), Failure> {
        self.require()?;
        match &self.topology {
            Some(_) if !self.kinds.is_empty() => Err(Failure::usage(
                "--type says what Redis does not tell, and --topology has the types of its exchanges",
            )),
            _ => Ok(()),
        }
    }

    /// Fails if a Redis and a file are named, for what changes one of the two.
    pub(crate) fn require_one(&self) -> Result<(), Failure> {
        match (&self.topology, &self.redis) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "this changes one topology; give --redis to change what is there, or --topology to see the file changed",
            )),
            _ => Ok(()),
        }
    }

    /// Whether a file is asked and no Redis: none is named, or only by the environment. What can do without a Redis must
    /// not reach for one that the command line does not name.
    pub(crate) fn is_offline(&self) -> bool {
        self.redis.is_none() || (self.topology.is_some() && self.from_env.0)
    }

    /// Where a message would go, by the file if one is named.
    pub(crate) async fn explain(&self, outgoing: &Outgoing, near_misses: usize) -> Result<Routed, Failure> {
        self.require_to_read()?;
        match self.file()? {
            Some(file) => {
                let host = Host::fixed(Memory::new(), self.layout()?, file.router);
                host.explain(outgoing, near_misses).await.map_err(|error| self.failed(error))
            }
            None => Ok(self.tables(&outgoing.exchange).await?.explain(outgoing, near_misses).await?),
        }
    }

    /// The failure with a hint that fits where the topology came from.
    pub(crate) fn failed(&self, error: HostError) -> Failure {
        match (&error, &self.topology) {
            (HostError::Publish(PublishError::ExchangeNotFound { .. }), Some(path)) => {
                let path = path.display();
                Failure::failed(format!(
                    "{error}; see `keyrail topology print --topology {path}` for those it has"
                ))
            }
            _ => error.into(),
        }
    }

    /// The file, if one is named.
    pub(crate) fn file(&self) -> Result<Option<load::Loaded>, Failure> {
        let Some(path) = &self.topology else { return Ok(None) };
        Ok(Some(load::read(named(path), self.vhost.as_deref(), &self.limits())?))
    }

    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        Ok(self.options()?.layout)
    }

    /// How the transport options want to consume.
    pub(crate) fn consumer_options(&self) -> Result<ConsumerOptions, Failure> {
        Ok(ConsumerOptions::from(&self.options()?))
    }

    fn options(&self) -> Result<TransportOptions, Failure> {
        let Some(text) = &self.transport_options else { return Ok(TransportOptions::default()) };
        text.parse().map_err(|error| Failure::usage(format!("--transport-options: {error}")))
    }

    /// The type that `--type` gives to an exchange.
    pub(crate) fn kind_of(&self, exchange: &str) -> Result<Option<ExchangeKind>, Failure> {
        Ok(self.kinds(exchange)?.get(exchange).copied())
    }

    /// `--type` by exchange; a bare type is meant for `exchange`.
    pub(crate) fn kinds(&self, exchange: &str) -> Result<BTreeMap<String, ExchangeKind>, Failure> {
        let parsed = self.kinds.iter().map(|text| {
            let (name, word) = text.rsplit_once('=').unwrap_or((exchange, text));
            let kind = word.parse().map_err(|error| Failure::usage(format!("--type: {error}")))?;
            Ok((name.to_owned(), kind))
        });
        parsed.filter(|pair| pair.as_ref().map_or(true, |(name, _)| !name.is_empty())).collect()
    }

    /// The Redis that is named, with the transport options; nothing is sent.
    pub(crate) fn connection(&self) -> Result<Connection, Failure> {
        let Some(url) = &self.redis else {
            return Err(Failure::usage("this needs a Redis; give --redis URL"));
        };
        let mut options = self.options()?;
        options.socket_connect_timeout = self.connect_timeout.unwrap_or(options.socket_connect_timeout);
        options.socket_timeout = self.response_timeout.unwrap_or(options.socket_timeout);
        Ok(Connection::new(url).map_err(ExecuteError::from)?.transport_options(options))
    }

    async fn connect(&self) -> Result<(Redis, Layout), Failure> {
        let connection = self.connection()?;
        Ok((connection.connect().await?, connection.options().layout.clone()))
    }

    /// The host on Redis: by the file if one is named, else by the tables in Redis.
    pub(crate) async fn host(&self, exchange: &str) -> Result<Host<Redis>, Failure> {
        self.require_to_read()?;
        let kinds = self.kinds(exchange)?;
        let file = self.file()?;
        let (redis, layout) = self.connect().await?;
        Ok(match file {
            Some(file) => Host::fixed(redis, layout, file.router),
            None => Host::from_tables(redis, layout, load::Options { kinds, limits: self.limits() }),
        })
    }

    /// The host on Redis by the tables in Redis, whatever file is named.
    pub(crate) async fn tables(&self, exchange: &str) -> Result<Host<Redis>, Failure> {
        let kinds = self.kinds(exchange)?;
        let (redis, layout) = self.connect().await?;
        Ok(Host::from_tables(redis, layout, load::Options { kinds, limits: self.limits() }))
    }

    /// A router of the file, or one of Redis with all that a publish to `exchange` can reach.
    pub(crate) async fn router(&self, exchange: Option<&str>) -> Result<Router, Failure> {
        self.require_to_read()?;
        if let Some(file) = self.file()? {
            return Ok(file.router);
        }
        let host = self.tables(exchange.unwrap_or_default()).await?;
        let table = host.table(exchange).await?;
        Ok(table.router.clone())
    }
}
