//! The names of Kombu's keys and channels in Redis.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::member::SEPARATOR;
use super::priority::Priority;

/// How a Kombu connection names its keys: the transport options that change names, under Kombu's own words.
///
/// Peers must be configured alike; nothing in Redis tells one of the other's layout, and a mismatch strands messages
/// in silence. Deserialised from a Kombu `transport_options` object, other options are passed over.
///
/// ```
/// use keyrail_core::kombu::{Layout, Priority};
///
/// let layout = Layout { global_keyprefix: "shop:".into(), ..Layout::default() };
/// assert_eq!(layout.binding_table("orders"), "shop:_kombu.binding.orders");
/// assert_eq!(layout.list("celery", Priority::new(7)), "shop:celery\x06\x166");
/// assert_eq!(layout.fanout_channel("news", "a.b"), "shop:/0.news/a.b");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layout {
    /// In front of every key and channel; default empty.
    pub global_keyprefix: String,
    /// Between the fields of a binding member, and between queue and priority step; default 06 16.
    pub sep: String,
    /// The steps that have a list of their own, ascending; default 0, 3, 6, 9.
    pub priority_steps: Vec<u8>,
    /// What stands in front of the exchange in a fanout channel.
    pub fanout_prefix: FanoutPrefix,
    /// Whether a fanout channel carries the routing key; default true.
    pub fanout_patterns: bool,
    /// Number of the Redis database. PUB/SUB ignores it, so the channel carries it.
    pub db: u32,
    /// The hash of deliveries that are not yet acked; default `unacked`.
    pub unacked_key: String,
    /// The sorted set of their times; default `unacked_index`.
    pub unacked_index_key: String,
    /// The lock of the restore; default `unacked_mutex`.
    pub unacked_mutex_key: String,
}

impl Default for Layout {
    fn default() -> Self {
        Layout {
            global_keyprefix: String::new(),
            sep: SEPARATOR.into(),
            priority_steps: vec![0, 3, 6, 9],
            fanout_prefix: FanoutPrefix::Database,
            fanout_patterns: true,
            db: 0,
            unacked_key: "unacked".into(),
            unacked_index_key: "unacked_index".into(),
            unacked_mutex_key: "unacked_mutex".into(),
        }
    }
}

impl Layout {
    /// The set of an exchange's bindings.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().binding_table("x"), "_kombu.binding.x");
    /// ```
    pub fn binding_table(&self, exchange: &str) -> String {
        format!("{}_kombu.binding.{exchange}", self.global_keyprefix)
    }

    /// The set of those bindings whose queues do not expire (Kombu 5.7 and newer).
    ///
    /// A table without it may be deleted as a whole by Kombu's sweep, so both are written together.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().permanent_table("x"), "_kombu.binding_permanent.x");
    /// ```
    pub fn permanent_table(&self, exchange: &str) -> String {
        format!("{}_kombu.binding_permanent.{exchange}", self.global_keyprefix)
    }

    /// The sorted set of exchanges with expiring bindings; score: server time in milliseconds, member: the exchange
    /// without prefix.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().binding_deadlines(), "_kombu.binding_deadlines");
    /// ```
    pub fn binding_deadlines(&self) -> String {
        format!("{}_kombu.binding_deadlines", self.global_keyprefix)
    }

    /// The priority step that a message of this priority goes to.
    ///
    /// The largest configured step that is not above the priority; if all are above, the last one, because Kombu's
    /// index runs off the front of the list to its end.
    ///
    /// ```
    /// use keyrail_core::kombu::{Layout, Priority};
    ///
    /// assert_eq!(Layout::default().step(Priority::new(5)), 3);
    /// let layout = Layout { priority_steps: vec![1, 5], ..Layout::default() };
    /// assert_eq!(layout.step(Priority::new(0)), 5);
    /// ```
    pub fn step(&self, priority: Priority) -> u8 {
        let fits = self.priority_steps.iter().copied().filter(|step| *step <= priority.get()).max();
        fits.or(self.priority_steps.last().copied()).unwrap_or(0)
    }

    /// The list into which a message of this priority is pushed.
    ///
    /// ```
    /// use keyrail_core::kombu::{Layout, Priority};
    ///
    /// assert_eq!(Layout::default().list("q", Priority::new(2)), "q");
    /// assert_eq!(Layout::default().list("q", Priority::new(9)), "q\x06\x169");
    /// ```
    pub fn list(&self, queue: &str, priority: Priority) -> String {
        self.step_list(queue, self.step(priority))
    }

    /// The same, without a copy where the list is called as its queue.
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use keyrail_core::kombu::{Layout, Priority};
    ///
    /// assert!(matches!(Layout::default().list_name("q", Priority::FIRST), Cow::Borrowed("q")));
    /// ```
    pub fn list_name<'q>(&self, queue: &'q str, priority: Priority) -> Cow<'q, str> {
        match self.step(priority) {
            0 if self.global_keyprefix.is_empty() => Cow::Borrowed(queue),
            step => Cow::Owned(self.step_list(queue, step)),
        }
    }

    /// Every list of a queue in the order in which they are popped.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// let lists: Vec<String> = Layout::default().lists("q").collect();
    /// assert_eq!(lists, ["q", "q\x06\x163", "q\x06\x166", "q\x06\x169"]);
    /// ```
    pub fn lists<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = String> + 'a {
        self.priority_steps.iter().map(|step| self.step_list(queue, *step))
    }

    fn step_list(&self, queue: &str, step: u8) -> String {
        match step {
            0 => format!("{}{queue}", self.global_keyprefix),
            step => format!("{}{queue}{}{step}", self.global_keyprefix, self.sep),
        }
    }

    /// The queue that a list belongs to, or nothing if the key has another prefix.
    ///
    /// Cuts at the last separator, as Kombu does with the key that a blocking pop returns.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().queue_of("celery\x06\x163"), Some("celery"));
    /// ```
    pub fn queue_of<'a>(&self, list: &'a str) -> Option<&'a str> {
        let list = list.strip_prefix(&*self.global_keyprefix)?;
        match list.rsplit_once(&*self.sep) {
            Some((queue, _)) if !self.sep.is_empty() => Some(queue),
            _ => Some(list),
        }
    }

    /// The hash of deliveries that are not yet acked.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().unacked(), "unacked");
    /// ```
    pub fn unacked(&self) -> String {
        format!("{}{}", self.global_keyprefix, self.unacked_key)
    }

    /// The sorted set of the times at which they were delivered, in Unix seconds.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().unacked_index(), "unacked_index");
    /// ```
    pub fn unacked_index(&self) -> String {
        format!("{}{}", self.global_keyprefix, self.unacked_index_key)
    }

    /// The lock that a restoring process holds.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().unacked_mutex(), "unacked_mutex");
    /// ```
    pub fn unacked_mutex(&self) -> String {
        format!("{}{}", self.global_keyprefix, self.unacked_mutex_key)
    }

    /// The channel of a fanout publish.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().fanout_channel("news", ""), "/0.news");
    /// ```
    pub fn fanout_channel(&self, exchange: &str, routing_key: &str) -> String {
        let mut channel = format!("{}{}{exchange}", self.global_keyprefix, self.fanout_prefix.text(self.db));
        if self.fanout_patterns && !routing_key.is_empty() {
            channel.push('/');
            channel.push_str(routing_key);
        }
        channel
    }

    /// The pattern to `PSUBSCRIBE` to for a fanout binding: the channel of the binding key with `*` for every `#`.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    ///
    /// assert_eq!(Layout::default().fanout_pattern("news", "log.#"), "/0.news/log.*");
    /// ```
    pub fn fanout_pattern(&self, exchange: &str, binding_key: &str) -> String {
        self.fanout_channel(exchange, &binding_key.replace('#', "*"))
    }
}

/// Kombu's option `fanout_prefix`: `true`, `false` or a text.
///
/// ```
/// use keyrail_core::kombu::{FanoutPrefix, Layout};
///
/// let layout = Layout { fanout_prefix: FanoutPrefix::Text("/x{db}y.".into()), db: 3, ..Layout::default() };
/// assert_eq!(layout.fanout_channel("news", ""), "/x3y.news");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PrefixOption", into = "PrefixOption")]
pub enum FanoutPrefix {
    /// `true`: a slash, the number of the database and a dot.
    #[default]
    Database,
    /// `false`: nothing.
    None,
    /// A text; `{db}` in it becomes the number of the database.
    Text(String),
}

impl FanoutPrefix {
    fn text(&self, db: u32) -> String {
        match self {
            FanoutPrefix::Database => format!("/{db}."),
            FanoutPrefix::None => String::new(),
            FanoutPrefix::Text(text) => text.replace("{db}", &db.to_string()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PrefixOption {
    Switch(bool),
    Text(String),
}

impl From<PrefixOption> for FanoutPrefix {
    fn from(option: PrefixOption) -> Self {
        match option {
            PrefixOption::Switch(true) => FanoutPrefix::Database,
            PrefixOption::Switch(false) => FanoutPrefix::None,
            PrefixOption::Text(text) => FanoutPrefix::Text(text),
        }
    }
}

impl From<FanoutPrefix> for PrefixOption {
    fn from(prefix: FanoutPrefix) -> Self {
        match prefix {
            FanoutPrefix::Database => PrefixOption::Switch(true),
            FanoutPrefix::None => PrefixOption::Switch(false),
            FanoutPrefix::Text(text) => PrefixOption::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The channels that Kombu 5.7.0 was seen to publish on, for exchange `ex.fan` and key `a.b`.
    #[test]
    fn channels_follow_the_transport_options() {
        for (options, keyed, bare) in [
            (r#"{"db": 3}"#, "/3.ex.fan/a.b", "/3.ex.fan"),
            (r#"{"fanout_prefix": false}"#, "ex.fan/a.b", "ex.fan"),
            (r#"{"fanout_prefix": "/pfx."}"#, "/pfx.ex.fan/a.b", "/pfx.ex.fan"),
            (r#"{"fanout_prefix": "/x{db}y."}"#, "/x0y.ex.fan/a.b", "/x0y.ex.fan"),
            (r#"{"fanout_patterns": false}"#, "/0.ex.fan", "/0.ex.fan"),
            (r#"{"global_keyprefix": "gk:"}"#, "gk:/0.ex.fan/a.b", "gk:/0.ex.fan"),
            (r#"{"global_keyprefix": "gk:", "fanout_prefix": false}"#, "gk:ex.fan/a.b", "gk:ex.fan"),
        ] {
            let layout: Layout = serde_json::from_str(options).unwrap();
            assert_eq!(layout.fanout_channel("ex.fan", "a.b"), keyed, "{options}");
            assert_eq!(layout.fanout_channel("ex.fan", ""), bare, "{options}");
        }
    }

    #[test]
    fn options_of_other_concerns_are_passed_over() {
        let layout: Layout = serde_json::from_str(r#"{"visibility_timeout": 60, "sep": ":"}"#).unwrap();
        assert_eq!(layout, Layout { sep: ":".into(), ..Layout::default() });
        let again: Layout = serde_json::from_value(serde_json::to_value(&layout).unwrap()).unwrap();
        assert_eq!(again, layout);
    }

    #[test]
    fn steps_seen_in_kombu() {
        let layout = Layout::default();
        let steps: Vec<u8> = (0..10).map(|n| layout.step(Priority::new(n))).collect();
        assert_eq!(steps, [0, 0, 0, 3, 3, 3, 6, 6, 6, 9]);
        let layout = Layout { priority_steps: vec![1, 5], sep: ":".into(), ..Layout::default() };
        let lists: Vec<String> = (0..10).map(|n| layout.list("pq", Priority::new(n))).collect();
        assert_eq!(lists, ["pq:5", "pq:1", "pq:1", "pq:1", "pq:1", "pq:5", "pq:5", "pq:5", "pq:5", "pq:5"]);
        let none = Layout { priority_steps: vec![], ..Layout::default() };
        assert_eq!(none.list("q", Priority::new(9)), "q");
    }

    #[test]
    fn the_queue_of_a_list() {
        let layout = Layout { global_keyprefix: "p:".into(), ..Layout::default() };
        assert_eq!(layout.queue_of("p:q\x06\x163"), Some("q"));
        assert_eq!(layout.queue_of("p:q"), Some("q"));
        assert_eq!(layout.queue_of("q"), None);
    }
}
