//! A connection in Kombu's sense: a URL, transport options, and nothing sent until somebody connects.

use std::{fmt, str::FromStr};

use crate::{ExecuteError, Redis};

mod address;
pub(crate) mod link;
mod options;
mod retry;
pub(crate) mod slots;
mod tls;

pub(crate) use address::{Address, Node, Place};
pub use options::{Login, QueueOrder, TransportOptions};
pub use retry::RetryPolicy;

/// Where Redis is, and how Kombu's peers there are configured.
///
/// | URL | |
/// |---|---|
/// | `redis://[user:password@]host[:port][/db]` | one Redis; `rediss://` with TLS |
/// | `redis+socket:///path[?virtual_host=db]`, `unix:///path` | a Unix socket |
/// | `sentinel://host:port;sentinel://host:port/db` | the primary of sentinels; needs the option `master_name` |
/// | `redis+cluster://host:port;redis+cluster://host:port` | a cluster (Kombu has none); `rediss+cluster://` with TLS |
///
/// TLS takes Kombu's parameters `ssl_cert_reqs`, `ssl_check_hostname`, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`.
/// A password is in no log, no error and no `Debug`.
///
/// ```
/// use keyrail_redis::Connection;
///
/// let connection = Connection::new("redis://:s3cret@127.0.0.1:6379/2").unwrap();
/// assert_eq!(connection.to_string(), "127.0.0.1:6379");
/// assert_eq!(connection.options().layout.db, 2);
/// assert!(!format!("{connection:?}").contains("s3cret"));
/// assert_eq!(Connection::new("amqp://localhost").unwrap_err().code(), "invalid-url");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    address: Address,
    options: TransportOptions,
}

impl Connection {
    /// Reads the URL. Nothing is sent.
    ///
    /// # Errors
    /// [`ConnectionError::Url`].
    pub fn new(url: &str) -> Result<Self, ConnectionError> {
        let address = Address::read(url)?;
        let mut connection = Connection { address, options: TransportOptions::default() };
        connection.options.layout.db = connection.address.db;
        Ok(connection)
    }

    /// Sets the transport options; the database stays the URL's.
    ///
    /// ```
    /// use keyrail_redis::Connection;
    ///
    /// let connection = Connection::new("redis://").unwrap();
    /// let connection = connection.transport_options(r#"{"sep": ":"}"#.parse().unwrap());
    /// assert_eq!(connection.options().layout.sep, ":");
    /// ```
    #[must_use]
    pub fn transport_options(mut self, options: TransportOptions) -> Self {
        self.options = options;
        self.options.layout.db = self.address.db;
        self
    }

    /// Takes the URL from `KEYRAIL_REDIS`, else from Celery's `CELERY_BROKER_URL`, and the options, as JSON, from
    /// `KEYRAIL_TRANSPORT_OPTIONS`. A variable that is empty counts as not set.
    ///
    /// # Errors
    /// [`ConnectionError::Environment`] if neither names a URL; those of [`new`](Self::new) and of the options.
    ///
    /// ```
    /// # // Another test may have set it for its own process only.
    /// let connection = keyrail_redis::Connection::from_env();
    /// assert_eq!(connection.is_ok(), std::env::var("KEYRAIL_REDIS").or(std::env::var("CELERY_BROKER_URL")).is_ok());
    /// ```
    pub fn from_env() -> Result<Self, ConnectionError> {
        Connection::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConnectionError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let url =
            set("KEYRAIL_REDIS").or_else(|| set("CELERY_BROKER_URL")).ok_or(ConnectionError::Environment)?;
        let connection = Connection::new(&url)?;
        match set("KEYRAIL_TRANSPORT_OPTIONS") {
            Some(options) => Ok(connection.transport_options(options.parse()?)),
            None => Ok(connection),
        }
    }

    /// The transport options.
    ///
    /// ```
    /// use keyrail_redis::{Connection, ConsumerOptions};
    ///
    /// let connection = Connection::new("redis://127.0.0.1/2").unwrap();
    /// assert_eq!(connection.options().layout.db, 2);
    /// let options = ConsumerOptions::from(connection.options());
    /// assert_eq!(options.visibility_timeout, connection.options().visibility_timeout);
    /// ```
    pub const fn options(&self) -> &TransportOptions {
        &self.options
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is a cluster, where keys lie on several servers.
    ///
    /// ```
    /// use keyrail_redis::Connection;
    ///
    /// assert!(Connection::new("redis+cluster://a:7000;redis+cluster://b:7000").unwrap().is_cluster());
    /// assert!(!Connection::new("sentinel://a:26379").unwrap().is_cluster());
    /// ```
    pub const fn is_cluster(&self) -> bool {
        matches!(self.address.place, Place::Cluster(_))
    }

    /// Connects, and makes sure that it is Redis who answers.
    ///
    /// ```no_run
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Connection, Host, load};
    ///
    /// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
    /// let connection = Connection::new("redis://127.0.0.1/0")?;
    /// let redis = connection.connect().await?;
    /// let host = Host::from_tables(redis, connection.options().layout.clone(), load::Options::default());
    /// println!("{} messages wait", host.count("billing").await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unreachable`](ExecuteError::Unreachable), [`NotRedis`](ExecuteError::NotRedis),
    /// [`Authentication`](ExecuteError::Authentication), [`Timeout`](ExecuteError::Timeout),
    /// [`Url`](ExecuteError::Url) for sentinels without `master_name` and certificates that cannot be read.
    pub async fn connect(&self) -> Result<Redis, ExecuteError> {
        Redis::open(self, link::Tracking::Off, None).await
    }
}

/// Host and port, or what stands for them; never the login.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl FromStr for Connection {
    type Err = ConnectionError;

    fn from_str(url: &str) -> Result<Self, ConnectionError> {
        Connection::new(url)
    }
}

/// Why there is no connection to speak of yet.
///
/// ```
/// use keyrail_redis::{Connection, ConnectionError, TransportOptions};
///
/// let error = Connection::new("amqp://guest:s3cret@localhost").unwrap_err();
/// assert!(matches!(error, ConnectionError::Url { .. }));
/// assert!(!error.to_string().contains("s3cret"));
/// let error = r#"{"sep": ""}"#.parse::<TransportOptions>().unwrap_err();
/// assert_eq!(error.code(), "invalid-transport-options");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The URL is none that can be used.
    Url {
        /// What is wrong with it; never the URL, which may hold a password.
        reason: Box<str>,
    },
    /// The transport options are not Kombu's.
    Options {
        /// The option and what was expected.
        reason: Box<str>,
    },
    /// The environment names no URL.
    Environment,
}

impl ConnectionError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            ConnectionError::Url { .. } => "invalid-url",
            ConnectionError::Options { .. } => "invalid-transport-options",
            ConnectionError::Environment => "no-url",
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Url { reason } => write!(f, "the Redis URL cannot be used: {reason}"),
            ConnectionError::Options { reason } => {
                write!(f, "the transport options cannot be used: {reason}")
            }
            ConnectionError::Environment => {
                f.write_str("nothing says where Redis is; set KEYRAIL_REDIS or CELERY_BROKER_URL")
            }
        }
    }
}

impl std::error::Error for ConnectionError {}

impl From<ConnectionError> for ExecuteError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Url { reason } | ConnectionError::Options { reason } => {
                ExecuteError::Url { reason }
            }
            ConnectionError::Environment => ExecuteError::Url { reason: error.to_string().into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_url_and_options() {
        let from = |pairs: &[(&str, &str)]| {
            Connection::from_variables(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(from(&[]).unwrap_err().code(), "no-url");
        assert_eq!(from(&[("KEYRAIL_REDIS", "")]).unwrap_err().code(), "no-url");
        let celery = ("CELERY_BROKER_URL", "redis://b/2");
        assert_eq!(from(&[celery]).unwrap().to_string(), "b:6379");
        let own = ("KEYRAIL_REDIS", "redis://a/1");
        let options = ("KEYRAIL_TRANSPORT_OPTIONS", r#"{"sep": ":"}"#);
        let connection = from(&[celery, own, options]).unwrap();
        assert_eq!((connection.to_string(), connection.options().layout.db), ("a:6379".into(), 1));
        assert_eq!(connection.options().layout.sep, ":");
        let bad = from(&[own, ("KEYRAIL_TRANSPORT_OPTIONS", r#"{"sep": 1}"#)]);
        assert_eq!(bad.unwrap_err().code(), "invalid-transport-options");
    }
}
