//! One error per verb. Each has a stable [`code`](DeclareError::code), the same word in Rust, JavaScript and JSON, and
//! the [`Reply`] that a broker would send.

use alloc::boxed::Box;
use core::fmt;

use crate::{ExchangeKind, PolicyError};

/// Names are AMQP short strings: this many bytes at most. So are keys, unless [`Limits`](crate::Limits) say otherwise.
///
/// ```
/// use keyrail_core::{MAX_SHORT_STRING, Queue, Router};
///
/// let mut router = Router::new();
/// router.declare_queue(&"q".repeat(MAX_SHORT_STRING), Queue::new())?;
/// let error = router.declare_queue(&"q".repeat(MAX_SHORT_STRING + 1), Queue::new()).unwrap_err();
/// assert_eq!(error.to_string(), "the name has 256 bytes, at most 255 are allowed");
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// # Source
/// AMQP 0-9-1 §4.2.5.3.
pub const MAX_SHORT_STRING: usize = 255;

/// What a broker answers to a method that it refuses (AMQP 0-9-1 §1.2, reply codes).
///
/// ```
/// use keyrail_core::{Router, Scope};
///
/// let error = Router::new().message("orders", "order.paid", None).unwrap_err();
/// let reply = error.reply();
/// assert_eq!((reply.code, reply.name), (404, "NOT_FOUND"));
/// assert_eq!(reply.scope, Scope::Channel); // a client goes on with another channel
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the error closes.
    pub scope: Scope,
    /// The reply code, `404` for instance.
    pub code: u16,
    /// The constant's name, `NOT_FOUND` for instance.
    pub name: &'static str,
}

/// What a refused method closes.
///
/// ```
/// use keyrail_core::{ExchangeKind, Scope};
///
/// let reply = "topc".parse::<ExchangeKind>().unwrap_err().reply();
/// assert_eq!((reply.code, reply.scope), (503, Scope::Connection));
/// assert_eq!(reply.scope.as_str(), "connection");
/// ```
///
/// # Source
/// Vector `errors-004`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The channel; the connection stays.
    Channel,
    /// The whole connection.
    Connection,
}

impl Scope {
    /// `channel` or `connection`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Channel => "channel",
            Scope::Connection => "connection",
        }
    }
}

const fn channel(code: u16, name: &'static str) -> Reply {
    Reply { scope: Scope::Channel, code, name }
}

const fn connection(code: u16, name: &'static str) -> Reply {
    Reply { scope: Scope::Connection, code, name }
}

const ACCESS_REFUSED: Reply = channel(403, "ACCESS_REFUSED");
const NOT_FOUND: Reply = channel(404, "NOT_FOUND");
pub(crate) const PRECONDITION_FAILED: Reply = channel(406, "PRECONDITION_FAILED");
const FRAME_ERROR: Reply = connection(501, "FRAME_ERROR");
const SYNTAX_ERROR: Reply = connection(502, "SYNTAX_ERROR");
const RESOURCE_ERROR: Reply = connection(506, "RESOURCE_ERROR");
const COMMAND_INVALID: Reply = connection(503, "COMMAND_INVALID");
const INTERNAL_ERROR: Reply = connection(541, "INTERNAL_ERROR");

/// Why a declaration of an exchange or a queue was refused.
///
/// ```
/// use keyrail_core::{DeclareError, Queue, Router};
///
/// let error = Router::new().declare_queue("amq.mail", Queue::new()).unwrap_err();
/// assert_eq!(error, DeclareError::Reserved { name: "amq.mail".into() });
/// assert_eq!((error.code(), error.reply().code), ("reserved-name", 403));
/// assert_eq!(error.to_string(), "`amq.mail` begins with `amq.`, which is reserved");
/// ```
///
/// # Source
/// Vectors `errors-001` to `errors-015`, `alternate-011`, `consistent-hash-023`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclareError {
    /// It exists with another property.
    Inequivalent {
        /// The name that was declared again.
        name: Box<str>,
        /// The property that differs, by its AMQP name.
        property: &'static str,
    },
    /// The name begins with `amq.`, which is kept for the broker.
    Reserved {
        /// The name.
        name: Box<str>,
    },
    /// The name is empty: the default exchange is always there and cannot be declared, and a queue needs a name.
    EmptyName,
    /// The name is longer than [`MAX_SHORT_STRING`] bytes.
    NameTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The exchange type is no [`ExchangeKind`](crate::ExchangeKind).
    UnknownKind {
        /// The word that was given.
        found: Box<str>,
    },
    /// The argument `alternate-exchange` is not a long string of UTF-8.
    InvalidAlternate {
        /// The field type octet that was given.
        tag: char,
    },
    /// A consistent-hash exchange got both `hash-header` and `hash-property`.
    ExclusiveHashArguments,
    /// `hash-property` of a consistent-hash exchange is none of `message_id`, `correlation_id` and `timestamp`.
    UnknownHashProperty {
        /// The property that was given.
        found: Box<str>,
    },
    /// `hash-header` or `hash-property` of a consistent-hash exchange is not a long string.
    InvalidHashArgument {
        /// The argument.
        argument: &'static str,
        /// The field type octet that was given.
        tag: char,
    },
    /// A passive declaration, and there is no such exchange.
    ExchangeNotFound {
        /// The name.
        name: Box<str>,
    },
    /// A passive declaration, and there is no such queue.
    QueueNotFound {
        /// The name.
        name: Box<str>,
    },
}

/// Why a binding was not made, or could not be removed.
///
/// ```
/// use keyrail_core::{BindError, Binding, Queue, Router, Table};
///
/// let mut router = Router::with_predeclared_exchanges();
/// let headers = router.exchange("amq.headers").unwrap();
/// let mail = router.declare_queue("mail", Queue::new())?;
/// let arguments = Table::from_iter([("x-match", "some")]);
/// let error = router.bind(headers, mail, &Binding::new("").arguments(&arguments)).unwrap_err();
/// assert_eq!(error, BindError::InvalidMatchMode { found: "some".into() });
/// assert_eq!((error.code(), error.reply().code), ("invalid-match-mode", 406));
/// assert_eq!(error.to_string(), "x-match is `some`, expected all, any, all-with-x or any-with-x");
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// # Source
/// Vectors `default-004`, `e2e-013`, `headers-022` to `headers-028`, `consistent-hash-015`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindError {
    /// The default exchange has one implicit binding per queue and no other.
    DefaultExchange,
    /// The exchange at either end does not exist.
    ExchangeNotFound {
        /// The name, or the id where only an id was given.
        name: Box<str>,
    },
    /// The queue does not exist.
    QueueNotFound {
        /// The name, or the id where only an id was given.
        name: Box<str>,
    },
    /// A headers exchange got an `x-match` that is not a long string `all`, `any`, `all-with-x` or `any-with-x`.
    InvalidMatchMode {
        /// The value as text, or its field type.
        found: Box<str>,
    },
    /// The binding key is longer than [`Limits::key_bytes`](crate::Limits::key_bytes).
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There are [`Limits::bindings`](crate::Limits::bindings) bindings already.
    TableFull {
        /// The limit.
        limit: usize,
    },
    /// With this binding a route from its exchange could take more steps than
    /// [`Limits::steps`](crate::Limits::steps).
    TooCostly {
        /// The binding key.
        key: Box<str>,
        /// The steps that a route could take with it: [`Router::worst_case`](crate::Router::worst_case).
        steps: u64,
        /// The limit.
        limit: u64,
    },
    /// The binding key is not UTF-8, which RabbitMQ refuses in a binding (though not in a publish).
    KeyNotUtf8 {
        /// The key, other bytes shown as `\xff`.
        key: Box<str>,
    },
    /// The binding key of a consistent-hash exchange is not a whole number from 1 to 4,294,967,295.
    InvalidWeight {
        /// The binding key.
        key: Box<str>,
    },
    /// A pattern of a Kombu binding that cannot be executed: every Kombu publisher to this exchange would raise.
    InvalidPattern {
        /// The binding key.
        key: Box<str>,
        /// What is wrong with it, and where.
        reason: Box<str>,
    },
}

/// Why an exchange or a queue was not deleted.
///
/// ```
/// use keyrail_core::{DeleteError, Router};
///
/// let mut router = Router::new();
/// let error = router.delete_exchange(Router::DEFAULT_EXCHANGE).unwrap_err();
/// assert_eq!(error, DeleteError::DefaultExchange);
/// assert_eq!((error.code(), error.reply().code), ("default-exchange", 403));
/// assert_eq!(error.to_string(), "the default exchange cannot be deleted");
/// ```
///
/// # Source
/// Vectors `default-004`, `errors-007`, `lifecycle-008`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteError {
    /// The default exchange stays.
    DefaultExchange,
    /// The name begins with `amq.`.
    Reserved {
        /// The name.
        name: Box<str>,
    },
    /// `if-unused` was asked, and the exchange is the source of bindings.
    ExchangeInUse {
        /// The name.
        name: Box<str>,
        /// How many bindings have it as their source.
        bindings: usize,
    },
}

/// Why a message could not be routed at all. That nothing matched is no error but an
/// [`Outcome`](crate::Outcome).
///
/// ```
/// use keyrail_core::{PublishError, Router, Table};
///
/// let router = Router::with_predeclared_exchanges();
/// let headers = Table::from_iter([("CC", "audit")]);
/// let error = router.message("amq.topic", "order.paid", Some(&headers)).unwrap_err();
/// assert_eq!(error, PublishError::InvalidSenderSelected { header: "CC", tag: 'S' });
/// assert_eq!((error.code(), error.reply().code), ("invalid-sender-selected", 406));
/// assert_eq!(error.to_string(), "header `CC` has the field type `S`, expected an array (A)");
/// ```
///
/// # Source
/// Vectors `errors-001`, `internal-001`, `sender-selected-004`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no such exchange.
    ExchangeNotFound {
        /// The name.
        name: Box<str>,
    },
    /// Clients may not publish to an internal exchange.
    InternalExchange {
        /// The name.
        name: Box<str>,
    },
    /// The header `CC` or `BCC` is not an array.
    InvalidSenderSelected {
        /// `CC` or `BCC`.
        header: &'static str,
        /// The field type octet that was given.
        tag: char,
    },
    /// The routing key is longer than [`Limits::key_bytes`](crate::Limits::key_bytes).
    KeyTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Any of the errors above.
///
/// ```
/// use keyrail_core::{Binding, Error, Queue, Router};
///
/// fn set_up(router: &mut Router) -> Result<(), Error> {
///     let mail = router.declare_queue("mail", Queue::new())?;
///     router.bind(Router::DEFAULT_EXCHANGE, mail, &Binding::new("post"))?;
///     Ok(())
/// }
/// let error = set_up(&mut Router::new()).unwrap_err();
/// assert!(matches!(error, Error::Bind(_)) && error.code() == "default-exchange");
/// assert_eq!(error.to_string(), "the default exchange takes no bindings of its own");
/// assert_eq!(error.reply().code, 403);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// From a declaration.
    Declare(DeclareError),
    /// From a bind or unbind.
    Bind(BindError),
    /// From a deletion.
    Delete(DeleteError),
    /// From a publish.
    Publish(PublishError),
    /// From a policy.
    Policy(PolicyError),
}

impl DeclareError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            DeclareError::Inequivalent { .. } => "inequivalent",
            DeclareError::Reserved { .. } => "reserved-name",
            DeclareError::EmptyName => "empty-name",
            DeclareError::NameTooLong { .. } => "name-too-long",
            DeclareError::UnknownKind { .. } => "unknown-exchange-kind",
            DeclareError::InvalidAlternate { .. } => "invalid-alternate-exchange",
            DeclareError::ExclusiveHashArguments => "exclusive-hash-arguments",
            DeclareError::UnknownHashProperty { .. } => "unknown-hash-property",
            DeclareError::InvalidHashArgument { .. } => "invalid-hash-argument",
            DeclareError::ExchangeNotFound { .. } => "exchange-not-found",
            DeclareError::QueueNotFound { .. } => "queue-not-found",
        }
    }

    /// What a broker would answer.
    pub const fn reply(&self) -> Reply {
        match self {
            DeclareError::Inequivalent { .. }
            | DeclareError::InvalidAlternate { .. }
            | DeclareError::ExclusiveHashArguments
            | DeclareError::UnknownHashProperty { .. } => PRECONDITION_FAILED,
            DeclareError::InvalidHashArgument { .. } => INTERNAL_ERROR,
            DeclareError::Reserved { .. } | DeclareError::EmptyName => ACCESS_REFUSED,
            DeclareError::NameTooLong { .. } => SYNTAX_ERROR,
            DeclareError::UnknownKind { .. } => COMMAND_INVALID,
            DeclareError::ExchangeNotFound { .. } | DeclareError::QueueNotFound { .. } => NOT_FOUND,
        }
    }
}

impl BindError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            BindError::DefaultExchange => "default-exchange",
            BindError::ExchangeNotFound { .. } => "exchange-not-found",
            BindError::QueueNotFound { .. } => "queue-not-found",
            BindError::InvalidMatchMode { .. } => "invalid-match-mode",
            BindError::KeyTooLong { .. } => "key-too-long",
            BindError::TableFull { .. } => "table-full",
            BindError::TooCostly { .. } => "too-costly",
            BindError::KeyNotUtf8 { .. } => "key-not-utf8",
            BindError::InvalidWeight { .. } => "invalid-weight",
            BindError::InvalidPattern { .. } => "invalid-pattern",
        }
    }

    /// What a broker would answer.
    pub const fn reply(&self) -> Reply {
        match self {
            BindError::DefaultExchange => ACCESS_REFUSED,
            BindError::ExchangeNotFound { .. } | BindError::QueueNotFound { .. } => NOT_FOUND,
            BindError::InvalidMatchMode { .. }
            | BindError::InvalidWeight { .. }
            | BindError::InvalidPattern { .. } => PRECONDITION_FAILED,
            BindError::KeyTooLong { .. } => SYNTAX_ERROR,
            BindError::TableFull { .. } | BindError::TooCostly { .. } => RESOURCE_ERROR,
            BindError::KeyNotUtf8 { .. } => FRAME_ERROR,
        }
    }
}

impl DeleteError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            DeleteError::DefaultExchange => "default-exchange",
            DeleteError::Reserved { .. } => "reserved-name",
            DeleteError::ExchangeInUse { .. } => "exchange-in-use",
        }
    }

    /// What a broker would answer.
    pub const fn reply(&self) -> Reply {
        match self {
            DeleteError::DefaultExchange | DeleteError::Reserved { .. } => ACCESS_REFUSED,
            DeleteError::ExchangeInUse { .. } => PRECONDITION_FAILED,
        }
    }
}

impl PublishError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            PublishError::ExchangeNotFound { .. } => "exchange-not-found",
            PublishError::InternalExchange { .. } => "internal-exchange",
            PublishError::InvalidSenderSelected { .. } => "invalid-sender-selected",
            PublishError::KeyTooLong { .. } => "key-too-long",
        }
    }

    /// What a broker would answer.
    pub const fn reply(&self) -> Reply {
        match self {
            PublishError::ExchangeNotFound { .. } => NOT_FOUND,
            PublishError::InternalExchange { .. } => ACCESS_REFUSED,
            PublishError::InvalidSenderSelected { .. } => PRECONDITION_FAILED,
            PublishError::KeyTooLong { .. } => SYNTAX_ERROR,
        }
    }
}

impl Error {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Error::Declare(error) => error.code(),
            Error::Bind(error) => error.code(),
            Error::Delete(error) => error.code(),
            Error::Publish(error) => error.code(),
            Error::Policy(error) => error.code(),
        }
    }

    /// What a broker would answer.
    pub const fn reply(&self) -> Reply {
        match self {
            Error::Declare(error) => error.reply(),
            Error::Bind(error) => error.reply(),
            Error::Delete(error) => error.reply(),
            Error::Publish(error) => error.reply(),
            Error::Policy(error) => error.reply(),
        }
    }
}

impl fmt::Display for DeclareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeclareError::Inequivalent { name, property } => {
                write!(f, "`{name}` exists with another `{property}`")
            }
            DeclareError::Reserved { name } => {
                write!(f, "`{name}` begins with `amq.`, which is reserved")
            }
            DeclareError::EmptyName => f.write_str("the empty name cannot be declared"),
            DeclareError::NameTooLong { length } => too_long(f, "name", *length, MAX_SHORT_STRING),
            DeclareError::UnknownKind { found } => {
                write!(f, "exchange type `{found}` is unknown, expected one of")?;
                ExchangeKind::ALL.iter().try_for_each(|kind| write!(f, " {kind}"))
            }
            DeclareError::InvalidAlternate { tag } => write!(
                f,
                "`alternate-exchange` has the field type `{tag}`, expected a long string (S) of UTF-8"
            ),
            DeclareError::ExclusiveHashArguments => {
                f.write_str("`hash-header` and `hash-property` exclude each other")
            }
            DeclareError::UnknownHashProperty { found } => {
                write!(f, "`hash-property` is `{found}`, expected message_id, correlation_id or timestamp")
            }
            DeclareError::InvalidHashArgument { argument, tag } => {
                write!(f, "`{argument}` has the field type `{tag}`, expected a long string (S)")
            }
            DeclareError::ExchangeNotFound { name } => no_exchange(f, name),
            DeclareError::QueueNotFound { name } => no_queue(f, name),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::DefaultExchange => f.write_str("the default exchange takes no bindings of its own"),
            BindError::ExchangeNotFound { name } => no_exchange(f, name),
            BindError::QueueNotFound { name } => no_queue(f, name),
            BindError::InvalidMatchMode { found } => {
                write!(f, "x-match is `{found}`, expected all, any, all-with-x or any-with-x")
            }
            BindError::KeyTooLong { length, limit } => too_long(f, "binding key", *length, *limit),
            BindError::TooCostly { key, steps, limit } => write!(
                f,
                "with the binding key `{key}` a route could take {steps} steps, no more than {limit} are allowed"
            ),
            BindError::TableFull { limit } => write!(f, "there are {limit} bindings, no more are allowed"),
            BindError::KeyNotUtf8 { key } => write!(f, "binding key `{key}` is not UTF-8"),
            BindError::InvalidWeight { key } => {
                write!(f, "binding key `{key}` is no weight, expected a whole number from 1 to {}", u32::MAX)
            }
            BindError::InvalidPattern { key, reason } => {
                write!(f, "binding key `{key}` has no executable pattern: {reason}")
            }
        }
    }
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeleteError::DefaultExchange => f.write_str("the default exchange cannot be deleted"),
            DeleteError::Reserved { name } => {
                write!(f, "`{name}` begins with `amq.`, which is reserved")
            }
            DeleteError::ExchangeInUse { name, bindings } => {
                write!(f, "exchange `{name}` is the source of {bindings} bindings")
            }
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::ExchangeNotFound { name } => no_exchange(f, name),
            PublishError::InternalExchange { name } => {
                write!(f, "exchange `{name}` is internal and takes no publishes")
            }
            PublishError::InvalidSenderSelected { header, tag } => {
                write!(f, "header `{header}` has the field type `{tag}`, expected an array (A)")
            }
            PublishError::KeyTooLong { length, limit } => too_long(f, "routing key", *length, *limit),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Declare(error) => error.fmt(f),
            Error::Bind(error) => error.fmt(f),
            Error::Delete(error) => error.fmt(f),
            Error::Publish(error) => error.fmt(f),
            Error::Policy(error) => error.fmt(f),
        }
    }
}

fn no_exchange(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    write!(f, "there is no exchange `{name}`")
}

fn no_queue(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    write!(f, "there is no queue `{name}`")
}

fn too_long(f: &mut fmt::Formatter<'_>, what: &str, length: usize, limit: usize) -> fmt::Result {
    write!(f, "the {what} has {length} bytes, at most {limit} are allowed")
}

macro_rules! errors {
    ($($error:ident => $variant:ident),*) => {$(
        impl core::error::Error for $error {}

        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Error::$variant(error)
            }
        }
    )*};
}

errors!(DeclareError => Declare, BindError => Bind, DeleteError => Delete, PublishError => Publish);

impl core::error::Error for Error {}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Error::Policy(error)
    }
}
