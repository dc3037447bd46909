//! Celery's `task_queues` and `task_routes`, as JSON.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, de::Error};

use super::Json;
use crate::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Router,
    Table, Topology,
};

/// The settings of a Celery app that say which queues there are, under Celery's own names (`app.conf` as JSON); others
/// are skipped.
///
/// `task_queues` is a list of queues or an object of them by name; an exchange in it is a name or
/// `{"name": …, "type": …}`. `task_routes` is an object, or a list of pairs and objects; a route is a queue's name or an
/// object with `queue`. What a queue leaves out comes from `task_default_exchange` and its companions, as in Celery; a
/// queue that only a route names has a direct exchange of its own name.
///
/// ```
/// use keyrail_core::{Dialect, kombu::CeleryConfig};
///
/// let config: CeleryConfig = serde_json::from_str(r#"{
///     "task_queues": [{"name": "mail", "exchange": {"name": "tasks", "type": "topic"}, "routing_key": "mail.#"}],
///     "task_routes": {"shop.tasks.bill": "billing"}
/// }"#)?;
/// let topology = config.topology(Dialect::Kombu57)?;
/// assert_eq!(topology.queues.len(), 2);
/// assert!(topology.router()?.exchange("billing").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CeleryConfig {
    task_queues: Option<Queues>,
    task_routes: Option<Json>,
    task_default_queue: Option<Box<str>>,
    task_default_exchange: Option<Box<str>>,
    task_default_exchange_type: Option<Box<str>>,
    task_default_routing_key: Option<Box<str>>,
}

/// In their order, each with its name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Queues(Vec<(Option<Box<str>>, Queue)>);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Queue {
    name: Option<Box<str>>,
    exchange: Option<Exchange>,
    exchange_type: Option<Box<str>>,
    routing_key: Option<Box<str>>,
    binding_key: Option<Box<str>>,
    durable: Option<bool>,
    auto_delete: bool,
    exclusive: bool,
    queue_arguments: Option<Table>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Exchange {
    Name(Box<str>),
    Full {
        #[serde(default)]
        name: Box<str>,
        #[serde(default)]
        r#type: Option<Box<str>>,
        #[serde(default)]
        durable: Option<bool>,
        #[serde(default)]
        auto_delete: bool,
    },
}

impl<'de> Deserialize<'de> for Queues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a list of queues, or an object of them by name")]
        enum Form {
            List(Vec<Queue>),
            Object(BTreeMap<Box<str>, Queue>),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::List(queues) => {
                if let Some(at) = queues.iter().position(|queue| queue.name.is_none()) {
                    return Err(D::Error::custom(alloc::format!("task_queues[{at}] has no name")));
                }
                Queues(queues.into_iter().map(|queue| (queue.name.clone(), queue)).collect())
            }
            Form::Object(queues) => {
                Queues(queues.into_iter().map(|(name, queue)| (Some(name), queue)).collect())
            }
        })
    }
}

/// What in the settings cannot be taken over.
///
/// ```
/// use keyrail_core::{Dialect, kombu::CeleryConfig};
///
/// let json = r#"{"task_queues": [{"name": "mail", "exchange": "tasks", "exchange_type": "tpoic"}]}"#;
/// let config: CeleryConfig = serde_json::from_str(json)?;
/// let error = config.topology(Dialect::Kombu57).unwrap_err();
/// assert!(error.to_string().starts_with("task_queues[0]: ") && error.reason.contains("`tpoic`"));
/// assert_eq!(error.code(), "invalid-celery-config");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeleryConfigError {
    /// The place, `task_queues[2]` for instance.
    pub path: Box<str>,
    /// What is wrong there.
    pub reason: Box<str>,
}

impl CeleryConfig {
    /// Whether a JSON object with these names is such settings.
    ///
    /// ```
    /// use keyrail_core::kombu::CeleryConfig;
    ///
    /// assert!(["broker_url", "task_routes"].into_iter().any(CeleryConfig::is_setting));
    /// assert!(!["exchanges", "queues"].into_iter().any(CeleryConfig::is_setting)); // another format
    /// ```
    pub fn is_setting(name: &str) -> bool {
        matches!(name, "task_queues" | "task_routes" | "task_default_queue" | "task_default_exchange")
    }

    /// The topology that Celery declares. `dialect` is how topic exchanges read keys: `amqp` where the broker is RabbitMQ,
    /// one of Kombu's where it is Redis.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::CeleryConfig};
    ///
    /// let config: CeleryConfig = serde_json::from_str(r#"{"task_default_queue": "main"}"#)?;
    /// let topology = config.topology(Dialect::Amqp)?;
    /// assert_eq!(topology.to_lines(), "main direct durable\nqueue main durable\nmain: main -> main\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An exchange type that is unknown, an exchange that is declared with two types, a route without a queue.
    pub fn topology(&self, dialect: Dialect) -> Result<Topology, CeleryConfigError> {
        let mut building = Building { config: self, dialect, topology: Topology::default() };
        match &self.task_queues {
            Some(Queues(queues)) => {
                for (at, (name, queue)) in queues.iter().enumerate() {
                    let name = name.as_deref().unwrap_or_default();
                    building
                        .queue(name, queue)
                        .map_err(|reason| error(alloc::format!("task_queues[{at}]"), reason))?;
                }
            }
            // Without `task_queues` there is the default queue.
            None => {
                let name = self.default_queue();
                let defaults = building.queue(name, &Queue::default());
                defaults.map_err(|reason| error("task_default_exchange_type".into(), reason))?;
            }
        }
        if let Some(routes) = &self.task_routes {
            building.routes("task_routes", routes, 0)?;
        }
        Ok(building.topology)
    }

    fn default_queue(&self) -> &str {
        self.task_default_queue.as_deref().unwrap_or("celery")
    }
}

struct Building<'a> {
    config: &'a CeleryConfig,
    dialect: Dialect,
    topology: Topology,
}

impl Building<'_> {
    fn queue(&mut self, name: &str, queue: &Queue) -> Result<(), String> {
        let config = self.config;
        let default_exchange = config.task_default_exchange.as_deref().unwrap_or(config.default_queue());
        let default_type = config.task_default_exchange_type.as_deref().unwrap_or("direct");
        let default_key = config.task_default_routing_key.as_deref().unwrap_or(config.default_queue());
        let (exchange, kind, durable, auto_delete) = match &queue.exchange {
            Some(Exchange::Name(exchange)) if !exchange.is_empty() => {
                (&**exchange, queue.exchange_type.as_deref().unwrap_or("direct"), true, false)
            }
            Some(Exchange::Full { name, r#type, durable, auto_delete }) if !name.is_empty() => {
                let kind = r#type.as_deref().or(queue.exchange_type.as_deref()).unwrap_or("direct");
                (&**name, kind, durable.unwrap_or(true), *auto_delete)
            }
            _ => (default_exchange, queue.exchange_type.as_deref().unwrap_or(default_type), true, false),
        };
        let key = queue.routing_key.as_deref().or(queue.binding_key.as_deref()).filter(|key| !key.is_empty());
        let kind: ExchangeKind = kind.parse().map_err(|problem| alloc::format!("{problem}"))?;
        self.exchange(ExchangeDefinition {
            name: exchange.into(),
            kind,
            durable,
            auto_delete,
            internal: false,
            alternate_exchange: None,
            arguments: Table::new(),
        })?;
        self.bind(name, queue, exchange, kind, key.unwrap_or(default_key))
    }

    fn exchange(&mut self, exchange: ExchangeDefinition) -> Result<(), String> {
        if Router::is_predeclared(&exchange.name) {
            return Ok(());
        }
        match self.topology.exchanges.iter().find(|known| known.name == exchange.name) {
            None => self.topology.exchanges.push(exchange),
            Some(known) if known.kind != exchange.kind => {
                let (name, known, kind) = (exchange.name, known.kind, exchange.kind);
                return Err(alloc::format!("the exchange `{name}` is {kind} here and {known} before"));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn bind(
        &mut self,
        name: &str,
        queue: &Queue,
        exchange: &str,
        kind: ExchangeKind,
        key: &str,
    ) -> Result<(), String> {
        if self.topology.queues.iter().any(|known| &*known.name == name) {
            return Err(alloc::format!("the queue `{name}` is there twice"));
        }
        self.topology.queues.push(QueueDefinition {
            name: name.into(),
            durable: queue.durable.unwrap_or(true),
            auto_delete: queue.auto_delete,
            exclusive: queue.exclusive,
            arguments: queue.queue_arguments.clone().unwrap_or_default(),
        });
        if !exchange.is_empty() {
            self.topology.bindings.push(BindingDefinition {
                source: exchange.into(),
                destination: DestinationName::Queue(name.into()),
                routing_key: key.into(),
                arguments: Table::new(),
                dialect: if kind == ExchangeKind::Topic { self.dialect } else { Dialect::Amqp },
                pattern: None,
            });
        }
        Ok(())
    }

    fn routes(&mut self, path: &str, routes: &Json, depth: usize) -> Result<(), CeleryConfigError> {
        match routes {
            Json::Null => Ok(()),
            Json::Object(routes) => routes.iter().try_for_each(|(task, route)| {
                self.route(route).map_err(|reason| error(alloc::format!("{path}.{task}"), reason))
            }),
            Json::Array(routes) if depth < 2 => {
                // A pair of a pattern and a route, or a list of such pairs and objects.
                if let [Json::String(task), route] = &routes[..] {
                    return self
                        .route(route)
                        .map_err(|reason| error(alloc::format!("{path}.{task}"), reason));
                }
                routes.iter().enumerate().try_for_each(|(at, route)| {
                    self.routes(&alloc::format!("{path}[{at}]"), route, depth + 1)
                })
            }
            _ => {
                let reason = "expected an object of routes by task, or pairs of a task and a route";
                Err(error(path.into(), reason.into()))
            }
        }
    }

    /// A route creates the queue that it names, unless there is one.
    fn route(&mut self, route: &Json) -> Result<(), String> {
        let queue = match route {
            Json::String(queue) => Some(&**queue),
            Json::Object(_) => match route.member("queue") {
                None | Some(Json::Null) => None,
                Some(Json::String(queue)) => Some(&**queue),
                Some(named) => named.member("name").and_then(Json::as_str),
            },
            _ => return Err("expected a queue's name or an object".into()),
        };
        let Some(name) = queue else { return Ok(()) };
        if self.topology.queues.iter().any(|known| &*known.name == name) {
            return Ok(());
        }
        let own = Exchange::Name(name.into());
        self.queue(name, &Queue { exchange: Some(own), routing_key: Some(name.into()), ..Queue::default() })
    }
}

fn error(path: String, reason: String) -> CeleryConfigError {
    CeleryConfigError { path: path.into(), reason: reason.into() }
}

impl CeleryConfigError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        "invalid-celery-config"
    }
}

impl fmt::Display for CeleryConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl core::error::Error for CeleryConfigError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn lines(json: &str) -> Result<String, CeleryConfigError> {
        let config: CeleryConfig = serde_json::from_str(json).unwrap();
        config.topology(Dialect::Kombu57).map(|topology| topology.to_lines())
    }

    #[test]
    fn nothing_said_is_the_default_queue() {
        let expected = "celery direct durable\nqueue celery durable\ncelery: celery -> celery\n";
        assert_eq!(lines("{}").unwrap(), expected);
        assert_eq!(lines(r#"{"broker_url": "redis://", "task_queues": null}"#).unwrap(), expected);
    }

    #[test]
    fn queues_and_routes() {
        let json = r#"{"task_default_queue": "main", "task_default_exchange": "tasks",
            "task_default_exchange_type": "topic", "task_default_routing_key": "task.#",
            "task_queues": {"main": {}, "video": {"exchange": "media", "exchange_type": "fanout"}},
            "task_routes": [["feeds.*", {"queue": "feeds"}], {"web.*": "main", "img.*": {"queue": {"name": "img"}}}]}"#;
        let expected = "tasks topic durable\nmedia fanout durable\nfeeds direct durable\nimg direct durable\n\
                        queue main durable\nqueue video durable\nqueue feeds durable\nqueue img durable\n\
                        tasks: task.# as kombu57 -> main\nmedia: task.# -> video\nfeeds: feeds -> feeds\nimg: img -> img\n";
        assert_eq!(lines(json).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, path, reason) in [
            (
                r#"{"task_queues": [{"name": "a", "exchange": "x", "exchange_type": "tpoic"}]}"#,
                "task_queues[0]",
                "`tpoic`",
            ),
            (r#"{"task_queues": [{"name": "a"}, {"name": "a"}]}"#, "task_queues[1]", "twice"),
            (
                r#"{"task_queues": [{"name": "a"}, {"name": "b", "exchange": {"name": "celery", "type": "topic"}}]}"#,
                "task_queues[1]",
                "topic here and direct before",
            ),
            (r#"{"task_routes": {"a.*": 5}}"#, "task_routes.a.*", "a queue's name"),
            (r#"{"task_routes": [[[[]]]]}"#, "task_routes[0][0]", "an object of routes"),
        ] {
            let error = lines(json).unwrap_err();
            assert!(*error.path == *path && error.reason.contains(reason), "{json}: {error}");
        }
        let error = serde_json::from_str::<CeleryConfig>(r#"{"task_queues": [{}]}"#).unwrap_err();
        assert!(error.to_string().contains("task_queues[0] has no name"), "{error}");
    }
}
