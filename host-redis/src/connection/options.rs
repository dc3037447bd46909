//! Kombu's transport options, by Kombu's names.

use std::{fmt, time::Duration};

use keyrail_core::kombu::Layout;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ConnectionError, RetryPolicy};
use crate::{json_error, names};

/// What `transport_options` says in Kombu and Celery (`broker_transport_options`).
///
/// Nothing in Redis tells one peer of the other's options: those that change names or times must be alike everywhere.
///
/// ```
/// use std::time::Duration;
/// use keyrail_redis::{QueueOrder, TransportOptions};
///
/// let options: TransportOptions = r#"{
///     "global_keyprefix": "shop:", "visibility_timeout": 600, "queue_order_strategy": "sorted"
/// }"#.parse().unwrap();
/// assert_eq!(options.layout.global_keyprefix, "shop:");
/// assert_eq!(options.visibility_timeout, Duration::from_secs(600));
/// assert_eq!(options.queue_order_strategy, QueueOrder::Sorted);
///
/// let error = r#"{"visibility_timeout": "soon"}"#.parse::<TransportOptions>().unwrap_err();
/// assert!(error.to_string().contains("`visibility_timeout`"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransportOptions {
    /// `sep`, `global_keyprefix`, `priority_steps`, `fanout_prefix`, `fanout_patterns`, `unacked_key`,
    /// `unacked_index_key`, `unacked_mutex_key`; the database is the URL's.
    pub layout: Layout,
    /// After so long without an ack a delivery is given to somebody else; 1 h.
    pub visibility_timeout: Duration,
    /// How long the lock of a restorer that dies keeps others from restoring; 30 s, and every step of a restore takes it
    /// anew, where Kombu's is 300 s for all of it.
    pub unacked_mutex_expire: Duration,
    /// The most deliveries that one restore puts back; all.
    pub unacked_restore_limit: Option<u64>,
    /// Between two looks for what others left behind, times the throttle; 10 s.
    pub unacked_restore_interval: Duration,
    /// Only every so many intervals; 1, where Kombu's is 10: a look that finds nothing costs two commands here.
    pub unacked_restore_throttle: u32,
    /// Whether deliveries are registered until they are acked; true.
    pub ack_emulation: bool,
    /// Which of several queues is taken from first.
    pub queue_order_strategy: QueueOrder,
    /// The queue for messages that nobody gets. (Kombu forgets it for topic exchanges; here it holds for all.)
    pub deadletter_queue: Option<String>,
    /// For a connection; 5 s where Kombu waits for ever.
    pub socket_connect_timeout: Duration,
    /// For one answer; 20 s where Kombu waits for ever.
    pub socket_timeout: Duration,
    /// Whether the system probes idle connections; true, where Kombu's default is false.
    pub socket_keepalive: bool,
    /// After so long without traffic a connection is tried before it is trusted; 25 s, zero for never.
    pub health_check_interval: Duration,
    /// The name that `CLIENT LIST` shows.
    pub client_name: Option<String>,
    /// The longest blocking wait of a consumer; 1 s, and never more. With more than two queues their lists are looked at
    /// after 0.2 s, since not all of them are waited for.
    pub polling_interval: Duration,
    /// How connecting and publishing are tried again: `max_retries`, `interval_start`, `interval_step`, `interval_max`.
    /// Nothing is tried again unless one of them is given.
    pub retry_policy: Option<RetryPolicy>,
    /// The primary's name among the sentinels.
    pub master_name: Option<String>,
    /// How many other sentinels a sentinel must know to be believed; 0.
    pub min_other_sentinels: u32,
    /// How to log in to the sentinels; without a login if nothing is said, as Kombu does.
    pub sentinel_kwargs: Login,
}

/// Which of several queues is taken from first.
///
/// ```
/// use keyrail_redis::{ConsumerOptions, QueueOrder, TransportOptions};
///
/// let options: TransportOptions = r#"{"queue_order_strategy": "priority"}"#.parse().unwrap();
/// assert_eq!(ConsumerOptions::from(&options).queue_order_strategy, QueueOrder::Priority);
/// assert_eq!(TransportOptions::default().queue_order_strategy, QueueOrder::RoundRobin);
/// ```
///
/// # Source
/// Kombu's `kombu.utils.scheduling`, whose names these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueOrder {
    /// The queue that delivered last is the last to be asked.
    #[default]
    RoundRobin,
    /// As they were named.
    Priority,
    /// By their names.
    Sorted,
}

/// A user name and a password, which is shown to nobody.
///
/// ```
/// use keyrail_redis::TransportOptions;
///
/// let json = r#"{"sentinel_kwargs": {"username": "watch", "password": "s3cret"}}"#;
/// let login = json.parse::<TransportOptions>().unwrap().sentinel_kwargs;
/// assert_eq!(format!("{login:?}"), r#"Login { username: Some("watch"), password: Some("**") }"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.password.as_ref().map(|_| "**");
        f.debug_struct("Login").field("username", &self.username).field("password", &hidden).finish()
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        TransportOptions {
            layout: Layout::default(),
            visibility_timeout: Duration::from_secs(3600),
            unacked_mutex_expire: Duration::from_secs(30),
            unacked_restore_limit: None,
            unacked_restore_interval: Duration::from_secs(10),
            unacked_restore_throttle: 1,
            ack_emulation: true,
            queue_order_strategy: QueueOrder::RoundRobin,
            deadletter_queue: None,
            socket_connect_timeout: Duration::from_secs(5),
            socket_timeout: Duration::from_secs(20),
            socket_keepalive: true,
            health_check_interval: Duration::from_secs(25),
            client_name: None,
            polling_interval: Duration::from_secs(1),
            retry_policy: None,
            master_name: None,
            min_other_sentinels: 0,
            sentinel_kwargs: Login::default(),
        }
    }
}

impl std::str::FromStr for TransportOptions {
    type Err = ConnectionError;

    /// Reads a JSON object.
    fn from_str(text: &str) -> Result<Self, ConnectionError> {
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            // The text may hold a sentinel's password, and serde's message never quotes more than a word of it.
            let reason = match (error.line(), error.column()) {
                _ if text.trim().is_empty() => {
                    "there are none; expected a JSON object of Kombu's options".into()
                }
                // A value that is no object has no place.
                (0, _) | (1, 0) => "expected a JSON object of Kombu's options".into(),
                (line, column) => {
                    format!("expected a JSON object of Kombu's options; line {line} column {column} is none")
                }
            };
            ConnectionError::Options { reason: reason.into() }
        })?;
        TransportOptions::read(object)
    }
}

impl TransportOptions {
    /// Reads the options of an object. Options that Kombu's Redis transport does not have are passed over, as Kombu
    /// does, and named in the log; so are `body_encoding` (bodies are written in base64, and read as each of them says)
    /// and `reauth_check_interval` (a login is made once per connection). `sentinel_fanout_compat` is refused: whoever
    /// asks for it has peers from before Kombu 5.4, which listen to channels that are not spoken here.
    ///
    /// ```
    /// use keyrail_redis::TransportOptions;
    ///
    /// let json = serde_json::json!({"priority_steps": [0, 5], "visibility_timeout": 43_200});
    /// let options = TransportOptions::read(json.as_object().unwrap().clone()).unwrap();
    /// assert_eq!(options.layout.priority_steps, [0, 5]);
    /// assert_eq!(options.visibility_timeout.as_secs(), 12 * 3600);
    /// ```
    ///
    /// # Errors
    /// An option whose value is of another type or out of range, by its name.
    pub fn read(object: Map<String, Value>) -> Result<Self, ConnectionError> {
        let mut rest = Rest(object);
        let mut read = TransportOptions::default();
        let names = LAYOUT.iter().filter_map(|name| rest.0.remove(*name).map(|value| (*name, value)));
        for (name, value) in names.collect::<Vec<_>>() {
            if value.is_null() {
                continue;
            }
            // One by one, so that an error names its option.
            let mut layout =
                serde_json::to_value(&read.layout).map_err(|error| refused(name, &json_error(&error)))?;
            layout[name] = value;
            read.layout =
                serde_json::from_value(layout).map_err(|error| refused(name, &json_error(&error)))?;
        }
        check_layout(&read.layout)?;
        rest.seconds("visibility_timeout", &mut read.visibility_timeout, ABOVE_ZERO)?;
        rest.seconds("unacked_mutex_expire", &mut read.unacked_mutex_expire, ABOVE_ZERO)?;
        rest.seconds("unacked_restore_interval", &mut read.unacked_restore_interval, ABOVE_ZERO)?;
        rest.seconds("socket_timeout", &mut read.socket_timeout, ABOVE_ZERO)?;
        rest.seconds("socket_connect_timeout", &mut read.socket_connect_timeout, ABOVE_ZERO)?;
        rest.seconds("polling_interval", &mut read.polling_interval, ABOVE_ZERO)?;
        rest.seconds("health_check_interval", &mut read.health_check_interval, FROM_ZERO)?;
        rest.value("unacked_restore_limit", &mut read.unacked_restore_limit)?;
        rest.value("unacked_restore_throttle", &mut read.unacked_restore_throttle)?;
        rest.value("ack_emulation", &mut read.ack_emulation)?;
        rest.value("deadletter_queue", &mut read.deadletter_queue)?;
        rest.value("socket_keepalive", &mut read.socket_keepalive)?;
        rest.value("client_name", &mut read.client_name)?;
        rest.value("master_name", &mut read.master_name)?;
        rest.value("min_other_sentinels", &mut read.min_other_sentinels)?;
        if let Some(word) = rest.take::<String>("queue_order_strategy")? {
            read.queue_order_strategy = match &*word {
                "round_robin" => QueueOrder::RoundRobin,
                "priority" => QueueOrder::Priority,
                "sorted" => QueueOrder::Sorted,
                _ => {
                    let expected = "expected round_robin, priority or sorted";
                    return Err(refused("queue_order_strategy", &format_args!("`{word}`, {expected}")));
                }
            };
        }
        match rest.0.remove("sentinel_kwargs") {
            None | Some(Value::Null) => {}
            Some(Value::Object(kwargs)) => {
                let text = |name: &str| kwargs.get(name).and_then(Value::as_str).map(str::to_owned);
                read.sentinel_kwargs = Login { username: text("username"), password: text("password") };
            }
            // What stands there instead may be the password itself.
            Some(_) => return Err(refused("sentinel_kwargs", &"expected an object")),
        }
        if let Some(queue) = &read.deadletter_queue
            && names::has_separator(&read.layout, queue.as_bytes())
        {
            return Err(refused("deadletter_queue", &"a queue's name must not contain the separator"));
        }
        read.retry_policy = rest.retry_policy()?;
        // It is about peers that are not served here, and which would hear nothing.
        if rest.take::<bool>("sentinel_fanout_compat")? == Some(true) {
            let reason = "it wants Kombu's fanout channels from before 5.4, which keyrail does not speak; Kombu 5.4 and \
                          later are reached without it";
            return Err(refused("sentinel_fanout_compat", &reason));
        }
        // Nothing here needs them: one connection serves many tasks, and every command has its deadline.
        for name in ["max_connections", "retry_on_timeout", "socket_keepalive_options"] {
            rest.0.remove(name);
        }
        for name in rest.0.keys() {
            tracing::warn!("transport option `{name}` has no effect here");
        }
        Ok(read)
    }
}

const LAYOUT: [&str; 8] = [
    "sep",
    "global_keyprefix",
    "priority_steps",
    "fanout_prefix",
    "fanout_patterns",
    "unacked_key",
    "unacked_index_key",
    "unacked_mutex_key",
];

fn check_layout(layout: &Layout) -> Result<(), ConnectionError> {
    if layout.sep.is_empty() {
        return Err(refused("sep", &"it must not be empty"));
    }
    let steps = &layout.priority_steps;
    if steps.is_empty() || !steps.is_sorted_by(|a, b| a < b) || steps.iter().any(|step| *step > 9) {
        return Err(refused("priority_steps", &"expected numbers from 0 to 9 in ascending order"));
    }
    let names = [&layout.unacked_key, &layout.unacked_index_key, &layout.unacked_mutex_key];
    if names.iter().any(|name| name.is_empty())
        || names[0] == names[1]
        || names[1] == names[2]
        || names[0] == names[2]
    {
        let reason =
            "`unacked_key`, `unacked_index_key` and `unacked_mutex_key` must be three different names";
        return Err(ConnectionError::Options { reason: reason.into() });
    }
    Ok(())
}

/// Says what is wrong with one option. Never quotes the values of an object, which may hold a password.
fn refused(name: &str, reason: &dyn fmt::Display) -> ConnectionError {
    ConnectionError::Options { reason: format!("`{name}`: {reason}").into() }
}

const ABOVE_ZERO: bool = false;
const FROM_ZERO: bool = true;

/// The options that nobody has read yet.
struct Rest(Map<String, Value>);

impl Rest {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ConnectionError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                serde_json::from_value(value).map(Some).map_err(|error| refused(name, &json_error(&error)))
            }
        }
    }

    fn value<T: DeserializeOwned>(&mut self, name: &str, target: &mut T) -> Result<(), ConnectionError> {
        // An option of `None` is an option that is not given, so the default stays.
        if let Some(value) = self.0.get(name).filter(|value| !value.is_null()).cloned() {
            *target = serde_json::from_value(value).map_err(|error| refused(name, &json_error(&error)))?;
        }
        self.0.remove(name);
        Ok(())
    }

    fn seconds(&mut self, name: &str, target: &mut Duration, zero: bool) -> Result<(), ConnectionError> {
        if let Some(number) = self.take::<f64>(name)? {
            *target = seconds(number, zero).ok_or_else(|| {
                let expected = if zero { "from 0" } else { "above 0" };
                refused(name, &format_args!("{number}, expected seconds {expected} and below 1e9"))
            })?;
        }
        Ok(())
    }

    fn retry_policy(&mut self) -> Result<Option<RetryPolicy>, ConnectionError> {
        let names = ["max_retries", "interval_start", "interval_step", "interval_max"];
        if !names.iter().any(|name| self.0.contains_key(*name)) {
            return Ok(None);
        }
        let mut policy = RetryPolicy { max_retries: self.take("max_retries")?, ..RetryPolicy::default() };
        self.seconds("interval_start", &mut policy.interval_start, FROM_ZERO)?;
        self.seconds("interval_step", &mut policy.interval_step, FROM_ZERO)?;
        self.seconds("interval_max", &mut policy.interval_max, FROM_ZERO)?;
        Ok(Some(policy))
    }
}

fn seconds(number: f64, zero: bool) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(number).ok().filter(|_| number < 1e9)?;
    (zero || !duration.is_zero()).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_kombu_is_read() {
        let options: TransportOptions = r#"{
            "sep": ":", "global_keyprefix": "p:", "priority_steps": [0, 5], "fanout_prefix": "/x{db}.",
            "fanout_patterns": false, "unacked_key": "u", "unacked_index_key": "ui", "unacked_mutex_key": "um",
            "visibility_timeout": 60, "unacked_mutex_expire": 9, "unacked_restore_limit": 100,
            "unacked_restore_interval": 2.5, "unacked_restore_throttle": 1, "ack_emulation": false,
            "queue_order_strategy": "priority", "deadletter_queue": "dead", "socket_timeout": 3,
            "socket_connect_timeout": 1.5, "socket_keepalive": false, "health_check_interval": 0,
            "client_name": "shop", "polling_interval": 0.2, "max_retries": 3, "interval_start": 0,
            "interval_step": 0.2, "interval_max": 1, "master_name": "m", "min_other_sentinels": 1,
            "sentinel_kwargs": {"username": "u", "password": "secret"},
            "max_connections": 20, "retry_on_timeout": true, "socket_keepalive_options": {}
        }"#
        .parse()
        .unwrap();
        let expected = TransportOptions {
            layout: Layout {
                sep: ":".into(),
                global_keyprefix: "p:".into(),
                priority_steps: vec![0, 5],
                fanout_prefix: keyrail_core::kombu::FanoutPrefix::Text("/x{db}.".into()),
                fanout_patterns: false,
                db: 0,
                unacked_key: "u".into(),
                unacked_index_key: "ui".into(),
                unacked_mutex_key: "um".into(),
            },
            visibility_timeout: Duration::from_secs(60),
            unacked_mutex_expire: Duration::from_secs(9),
            unacked_restore_limit: Some(100),
            unacked_restore_interval: Duration::from_millis(2500),
            unacked_restore_throttle: 1,
            ack_emulation: false,
            queue_order_strategy: QueueOrder::Priority,
            deadletter_queue: Some("dead".into()),
            socket_timeout: Duration::from_secs(3),
            socket_connect_timeout: Duration::from_millis(1500),
            socket_keepalive: false,
            health_check_interval: Duration::ZERO,
            client_name: Some("shop".into()),
            polling_interval: Duration::from_millis(200),
            retry_policy: Some(RetryPolicy::celery()),
            master_name: Some("m".into()),
            min_other_sentinels: 1,
            sentinel_kwargs: Login { username: Some("u".into()), password: Some("secret".into()) },
        };
        assert_eq!(options, expected);
        assert!(!format!("{options:?}").contains("secret"));
        let nothing: TransportOptions =
            r#"{"visibility_timeout": null, "client_name": null, "sep": null, "sentinel_fanout_compat": false}"#
                .parse()
                .unwrap();
        assert_eq!(nothing, TransportOptions::default());
    }

    #[test]
    fn bad_options_are_named() {
        for (text, culprit) in [
            ("[]", "JSON object"),
            ("", "JSON object"),
            (r#"{"sentinel_kwargs": {"password": "secret"}, }"#, "JSON object"),
            (r#"{"sep": ""}"#, "`sep`"),
            (r#"{"sep": 3}"#, "`sep`"),
            (r#"{"priority_steps": []}"#, "`priority_steps`"),
            (r#"{"priority_steps": [3, 0]}"#, "`priority_steps`"),
            (r#"{"priority_steps": [0, 10]}"#, "`priority_steps`"),
            (r#"{"priority_steps": [0, 300]}"#, "`priority_steps`"),
            (r#"{"fanout_prefix": 3}"#, "`fanout_prefix`"),
            (r#"{"visibility_timeout": -1}"#, "`visibility_timeout`"),
            (r#"{"visibility_timeout": 0}"#, "`visibility_timeout`"),
            (r#"{"socket_timeout": 1e300}"#, "`socket_timeout`"),
            (r#"{"max_retries": -1}"#, "`max_retries`"),
            (r#"{"queue_order_strategy": "random"}"#, "`random`"),
            (r#"{"unacked_key": "same", "unacked_index_key": "same"}"#, "different names"),
            (r#"{"sentinel_kwargs": "secret"}"#, "`sentinel_kwargs`"),
            (r#"{"sentinel_fanout_compat": true}"#, "Kombu 5.4 and later are reached without it"),
            (r#"{"sentinel_fanout_compat": "yes"}"#, "`sentinel_fanout_compat`"),
            ("{\"deadletter_queue\": \"q\\u0006\\u00163\"}", "`deadletter_queue`"),
            (r#"{"sep": ":", "deadletter_queue": "q:3"}"#, "`deadletter_queue`"),
        ] {
            let error = text.parse::<TransportOptions>().unwrap_err();
            assert_eq!(error.code(), "invalid-transport-options", "{text}");
            let message = error.to_string();
            assert!(message.contains(culprit) && !message.contains("secret"), "{text}: {message}");
        }
    }
}
