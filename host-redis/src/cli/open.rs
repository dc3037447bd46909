//! The flags that every command shares: where the topology is, and where the messages are.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Args;
use keyrail_core::{ExchangeKind, Router, kombu::Layout};
use keyrail_redis::{
    Connection, ConsumerOptions, ExecuteError, Host, Redis, TransportOptions,
    load::{self, Limits},
};

use super::Failure;

#[derive(Args, Clone)]
pub(crate) struct Source {
    /// A topology file: keyrail's JSON or RabbitMQ's definitions.json, told apart by what is in it
    #[arg(long, value_name = "FILE", help_heading = "Where the topology is")]
    pub(crate) topology: Option<PathBuf>,

    /// The virtual host to take from RabbitMQ's definitions [default: the only one, or /]
    #[arg(long, value_name = "NAME", requires = "topology", help_heading = "Where the topology is")]
    vhost: Option<String>,

    /// The Redis that Kombu uses: redis://[user:password@]host[:port][/db], rediss://, unix:///path,
    /// sentinel://host:port;sentinel://host:port or redis+cluster://host:port
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

    /// The type of an exchange that Redis does not tell: direct, topic, fanout or headers; NAME=TYPE for one of several
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

/// Seconds above zero, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds < 1e9 => Ok(duration),
        _ => Err("expected a number of seconds above 0".into()),
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

    /// The file, if one is named.
    pub(crate) fn file(&self) -> Result<Option<load::Loaded>, Failure> {
        let Some(path) = &self.topology else { return Ok(None) };
        Ok(Some(load::read(path, self.vhost.as_deref(), &self.limits())?))
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
    fn kinds(&self, exchange: &str) -> Result<BTreeMap<String, ExchangeKind>, Failure> {
        let parsed = self.kinds.iter().map(|text| {
            let (name, word) = text.rsplit_once('=').unwrap_or((exchange, text));
            let kind = word.parse().map_err(|error| Failure::usage(format!("--type: {error}")))?;
            Ok((name.to_owned(), kind))
        });
        parsed.filter(|pair| pair.as_ref().map_or(true, |(name, _)| !name.is_empty())).collect()
    }

    async fn connect(&self) -> Result<(Redis, Layout), Failure> {
        let Some(url) = &self.redis else {
            return Err(Failure::usage("this needs a Redis; give --redis URL"));
        };
        let mut options = self.options()?;
        options.socket_connect_timeout = self.connect_timeout.unwrap_or(options.socket_connect_timeout);
        options.socket_timeout = self.response_timeout.unwrap_or(options.socket_timeout);
        let connection = Connection::new(url).map_err(ExecuteError::from)?.transport_options(options);
        Ok((connection.connect().await?, connection.options().layout.clone()))
    }

    /// The host on Redis: by the file if one is named, else by the tables in Redis.
    pub(crate) async fn host(&self, exchange: &str) -> Result<Host<Redis>, Failure> {
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
        self.require()?;
        if let Some(file) = self.file()? {
            return Ok(file.router);
        }
        let host = self.tables(exchange.unwrap_or_default()).await?;
        let table = host.table(exchange).await?;
        Ok(table.router.clone())
    }
}
