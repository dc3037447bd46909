//! What can go wrong, one enum per concern, each with a stable code.

use std::{fmt, path::PathBuf};

use keyrail_core::{
    BindError, DeclareError, DefinitionsError, LineError, PublishError, SnapshotError, TopologyError,
    kombu::{MemberError, PatternError},
};

/// Who is at fault: the caller, what somebody stored, or Redis.
///
/// ```
/// use keyrail_core::{Router, kombu::Layout};
/// use keyrail_redis::{Host, HostError, Memory};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::fixed(Memory::new(), Layout::default(), Router::new());
/// let error = host.get("biling").await.unwrap_err();
/// assert!(matches!(&error, HostError::QueueNotFound { queue } if **queue == *"biling"));
/// assert_eq!((error.code(), error.to_string()), ("queue-not-found", "there is no queue `biling`".into()));
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// A message that cannot be routed at all.
    Publish(PublishError),
    /// A binding that cannot be made.
    Bind(BindError),
    /// An exchange or queue that cannot be declared.
    Declare(DeclareError),
    /// A binding key without a text that Kombu could execute.
    Pattern(PatternError),
    /// A row that would not be read back as it was meant.
    Member(MemberError),
    /// An operation that a broker refuses.
    Refused(keyrail_core::Error),
    /// A queue that was to be deleted only if it is empty has messages. AMQP's reply is 406 PRECONDITION_FAILED.
    NotEmpty {
        /// The queue.
        queue: Box<str>,
    },
    /// There is no such queue.
    QueueNotFound {
        /// The name that was asked for.
        queue: Box<str>,
    },
    /// There is no such record of repairs.
    RecordNotFound {
        /// The name that was asked for.
        record: Box<str>,
        /// Those that there are.
        known: Vec<Box<str>>,
    },
    /// What was asked cannot be written in Kombu's keys.
    NotExpressible {
        /// What and why.
        reason: Box<str>,
    },
    /// On a cluster, where queues lie on several servers, some of them took their copy and others did not.
    PartlyPublished {
        /// Those that did.
        queues: Vec<String>,
        /// What stopped the first of the others.
        error: ExecuteError,
    },
    /// A topology that cannot be loaded.
    Load(LoadError),
    /// The executor failed.
    Execute(ExecuteError),
}

/// Why a topology was not loaded.
///
/// ```
/// use keyrail_redis::load::{self, Limits};
///
/// let error = load::read("no/such/file".as_ref(), None, &Limits::default()).unwrap_err();
/// assert_eq!(error.code(), "file-unreadable");
/// assert!(error.to_string().starts_with("cannot read `no/such/file`: "));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file or table is larger than allowed.
    TooLarge {
        /// The file or table.
        what: Box<str>,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
        /// What is counted: `bytes`, `bytes or more` where the end was not seen, or `bindings`.
        unit: &'static str,
        /// The option that raises the limit.
        option: &'static str,
    },
    /// The file is not UTF-8.
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is not.
        offset: usize,
    },
    /// The file is not JSON, or not JSON of one of the two formats.
    Json {
        /// The file.
        path: PathBuf,
        /// Which of the formats it was read as.
        format: &'static str,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
    /// The lines cannot be read.
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        error: LineError,
    },
    /// The snapshot cannot be read.
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SnapshotError,
    },
    /// RabbitMQ's definitions cannot be taken over.
    Definitions {
        /// The file.
        path: PathBuf,
        /// Why.
        error: DefinitionsError,
    },
    /// A keyrail topology cannot be declared.
    Topology {
        /// The file.
        path: PathBuf,
        /// Why, with the place.
        error: TopologyError,
    },
    /// A binding table is no SET.
    TableType {
        /// The key.
        key: Box<str>,
        /// What it is.
        found: Box<str>,
    },
    /// One of keyrail's own entries cannot be read.
    Registry {
        /// The key and field.
        key: Box<str>,
        /// Why.
        reason: Box<str>,
    },
}

/// Why commands were not executed, or what the server said to them.
///
/// ```
/// use keyrail_core::kombu::{Command, Plan};
/// use keyrail_redis::{ExecuteError, Executor, Memory};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let memory = Memory::new();
/// let push = Command::LPush { key: "jobs".into(), value: b"x".to_vec() };
/// memory.run(&Plan { atomic: false, commands: vec![push] }).await.unwrap();
/// let error = memory.hash("jobs").await.unwrap_err();
/// assert_eq!(error, ExecuteError::WrongType { key: "jobs".into(), command: "HGETALL" });
/// assert_eq!(error.code(), "wrong-type");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The URL is none that can be used.
    Url {
        /// What is wrong with it; never the URL, which may hold a password.
        reason: Box<str>,
    },
    /// Nobody accepts connections there, or not in time.
    Unreachable {
        /// Host and port, or the socket's path.
        address: Box<str>,
        /// What the system said.
        reason: Box<str>,
    },
    /// Somebody answers, and it is not Redis.
    NotRedis {
        /// Host and port.
        address: Box<str>,
        /// What gave it away.
        reason: Box<str>,
    },
    /// The server refuses the credentials, or wants some.
    Authentication {
        /// Host and port.
        address: Box<str>,
        /// What it said.
        reason: Box<str>,
    },
    /// No answer in time. Whether the commands were executed is not known.
    Timeout {
        /// Host and port.
        address: Box<str>,
        /// The limit in milliseconds.
        milliseconds: u64,
    },
    /// The connection broke. Whether the commands were executed is not known.
    Disconnected {
        /// Host and port.
        address: Box<str>,
        /// What the system said.
        reason: Box<str>,
    },
    /// A key holds another type than the command needs.
    WrongType {
        /// The key, if it is known.
        key: Box<str>,
        /// The command.
        command: &'static str,
    },
    /// The server does not serve now: it loads its data, is no primary any more, or its cluster is incomplete. Nothing
    /// was executed.
    Unavailable {
        /// Host and port.
        address: Box<str>,
        /// What it said.
        message: Box<str>,
    },
    /// The server answered with an error.
    Server {
        /// What it said.
        message: Box<str>,
    },
    /// The consumer was closed.
    Closed,
}

impl HostError {
    /// The stable word for this error.
    pub fn code(&self) -> &'static str {
        match self {
            HostError::Publish(error) => error.code(),
            HostError::Bind(error) => error.code(),
            HostError::Declare(error) => error.code(),
            HostError::Pattern(error) => error.code(),
            HostError::Member(error) => error.code(),
            HostError::Refused(error) => error.code(),
            HostError::NotEmpty { .. } => "queue-not-empty",
            HostError::QueueNotFound { .. } => "queue-not-found",
            HostError::RecordNotFound { .. } => "record-not-found",
            HostError::NotExpressible { .. } => "not-expressible",
            HostError::PartlyPublished { .. } => "partly-published",
            HostError::Load(error) => error.code(),
            HostError::Execute(error) => error.code(),
        }
    }
}

impl LoadError {
    /// The stable word for this error.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Read { .. } => "file-unreadable",
            LoadError::TooLarge { .. } => "too-large",
            LoadError::NotUtf8 { .. } => "file-not-utf8",
            LoadError::Json { .. } => "invalid-json",
            LoadError::Lines { error, .. } => error.code(),
            LoadError::Snapshot { error, .. } => error.code(),
            LoadError::Definitions { error, .. } => error.code(),
            LoadError::Topology { error, .. } => error.error.code(),
            LoadError::TableType { .. } => "table-type",
            LoadError::Registry { .. } => "invalid-registry",
        }
    }
}

impl ExecuteError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            ExecuteError::Url { .. } => "invalid-url",
            ExecuteError::Unreachable { .. } => "redis-unreachable",
            ExecuteError::NotRedis { .. } => "not-redis",
            ExecuteError::Authentication { .. } => "redis-authentication",
            ExecuteError::Timeout { .. } => "redis-timeout",
            ExecuteError::Disconnected { .. } => "redis-disconnected",
            ExecuteError::WrongType { .. } => "wrong-type",
            ExecuteError::Unavailable { .. } => "redis-unavailable",
            ExecuteError::Server { .. } => "redis-error",
            ExecuteError::Closed => "consumer-closed",
        }
    }
}

impl ExecuteError {
    /// Whether trying again may help: nobody answered, or a server that will serve again.
    pub(crate) const fn is_temporary(&self) -> bool {
        matches!(
            self,
            ExecuteError::Unreachable { .. }
                | ExecuteError::Timeout { .. }
                | ExecuteError::Disconnected { .. }
                | ExecuteError::Unavailable { .. }
        )
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::Publish(error) => error.fmt(f),
            HostError::Bind(error) => error.fmt(f),
            HostError::Declare(error) => error.fmt(f),
            HostError::Pattern(error) => error.fmt(f),
            HostError::Member(error) => error.fmt(f),
            HostError::Refused(error) => error.fmt(f),
            HostError::NotEmpty { queue } => write!(f, "queue `{queue}` has messages"),
            HostError::QueueNotFound { queue } => write!(f, "there is no queue `{queue}`"),
            HostError::RecordNotFound { record, known } => match &known[..] {
                [] => write!(f, "there is no record `{record}` of repairs, nor any other"),
                known => {
                    write!(f, "there is no record `{record}` of repairs; there are {}", known.join(", "))
                }
            },
            HostError::NotExpressible { reason } => f.write_str(reason),
            HostError::PartlyPublished { queues, error } => {
                write!(f, "only some queues took their copy ({}): {error}", queues.join(", "))
            }
            HostError::Load(error) => error.fmt(f),
            HostError::Execute(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Read { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            LoadError::TooLarge { what, size, limit, unit, option } => {
                let unit = match (size, *unit) {
                    (1, "bindings") => "binding",
                    (1, "bytes") => "byte",
                    (_, unit) => unit,
                };
                let are = if *limit == 1 { "is" } else { "are" };
                write!(
                    f,
                    "`{what}` has {size} {unit}, at most {limit} {are} allowed; raise the limit with {option}"
                )
            }
            LoadError::NotUtf8 { path, offset } => {
                write!(f, "`{}` is not UTF-8: byte {offset} is the first that is not", path.display())
            }
            LoadError::Json { path, format, error } => {
                write!(f, "`{}` is no {format}: {}", path.display(), crate::json_error(error))
            }
            LoadError::Lines { path, error } => write!(f, "`{}`: {error}", path.display()),
            LoadError::Snapshot { path, error } => write!(f, "`{}`: {error}", path.display()),
            LoadError::Definitions { path, error } => {
                write!(f, "`{}`: {error}{}", path.display(), hint(error))
            }
            LoadError::Topology { path, error } => write!(f, "`{}`: {error}", path.display()),
            LoadError::TableType { key, found } => write!(
                f,
                "`{key}` is a {found}, expected a set of bindings; celery-redis-plus keeps its tables as zset, \
                 and the two cannot share a database"
            ),
            LoadError::Registry { key, reason } => write!(f, "`{key}` cannot be read: {reason}"),
        }
    }
}

impl fmt::Display for ExecuteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExecuteError::Url { reason } => write!(f, "the Redis URL cannot be used: {reason}"),
            ExecuteError::Unreachable { address, reason } => {
                write!(f, "no Redis can be reached at {address}: {reason}; is it running?")
            }
            ExecuteError::NotRedis { address, reason } => {
                write!(f, "what answers at {address} is no Redis: {reason}")
            }
            ExecuteError::Authentication { address, reason } => {
                write!(
                    f,
                    "the Redis at {address} refuses the login: {reason}; give user and password in the URL"
                )
            }
            ExecuteError::Timeout { address, milliseconds } => write!(
                f,
                "no answer from {address} within {milliseconds} ms; is it Redis? whether the commands were \
                 executed is not known"
            ),
            ExecuteError::Disconnected { address, reason } => write!(
                f,
                "the connection to {address} broke: {reason}; whether the commands were executed is not known"
            ),
            ExecuteError::WrongType { key, command } => {
                write!(f, "`{key}` holds another type than {command} needs")
            }
            ExecuteError::Unavailable { address, message } => {
                write!(f, "the Redis at {address} does not serve now: {message}")
            }
            ExecuteError::Server { message } => write!(f, "Redis answers: {message}"),
            ExecuteError::Closed => f.write_str("the consumer was closed"),
        }
    }
}

/// Why a file that a broker wrote may have a binding to an exchange that is not in it.
fn hint(error: &DefinitionsError) -> &'static str {
    match error {
        DefinitionsError::Invalid(error)
            if error.path.starts_with("bindings[") && error.error.code() == "exchange-not-found" =>
        {
            " (rabbitmqctl leaves internal exchanges out of its export; the management page's export has them)"
        }
        _ => "",
    }
}

macro_rules! sources {
    ($($error:ident => $into:ident :: $variant:ident),* $(,)?) => {$(
        impl From<$error> for $into {
            fn from(error: $error) -> Self {
                $into::$variant(error)
            }
        }
    )*};
}

sources!(
    PublishError => HostError::Publish,
    BindError => HostError::Bind,
    DeclareError => HostError::Declare,
    PatternError => HostError::Pattern,
    MemberError => HostError::Member,
    LoadError => HostError::Load,
    ExecuteError => HostError::Execute,
);

impl std::error::Error for HostError {}
impl std::error::Error for LoadError {}
impl std::error::Error for ExecuteError {}
