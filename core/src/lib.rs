//! Which queues get this message, and why.
//!
//! A [`Router`] holds exchanges, queues and bindings as AMQP knows them and evaluates them as RabbitMQ 3.10 does:
//! direct, topic, fanout and headers exchanges, the default exchange, exchange-to-exchange bindings, alternate
//! exchanges, recipients that the sender selected (`CC`, `BCC`). A binding may instead follow one of the two dialects
//! of Kombu, which stores regular expressions in Redis ([`Dialect`], [`kombu`]).
//!
//! The crate does no I/O and knows no clock, no randomness and no threads: topology in, routes out.
//!
//! ```
//! use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes};
//!
//! let mut router = Router::new();
//! router.declare_exchange("lost", Exchange::new(ExchangeKind::Fanout))?;
//! let orders = Exchange::new(ExchangeKind::Topic).alternate("lost");
//! let orders = router.declare_exchange("orders", orders)?;
//! let billing = router.declare_queue("billing", Queue::new())?;
//! router.bind(orders, billing, &Binding::new("order.*.paid"))?;
//!
//! let mut routes = Routes::new();
//! match router.route(orders, &Message::new("order.eu.paid"), &mut routes) {
//!     Outcome::Routed => assert_eq!(routes.queues(), [billing]),
//!     Outcome::Unroutable | Outcome::UnknownExchange => unreachable!(),
//! }
//! # Ok::<(), keyrail_core::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | declare, bind, route by id | [`Router`], [`Routes`] |
//! | apply AMQP methods by name, with a broker's answers | [`Operation`], [`Router::apply`] |
//! | learn why, and why not | [`Router::explain`], [`Trace`], [`NearMiss`] |
//! | find what is wrong with a topology | [`Topology::lint`], [`lint`] |
//! | compare two topologies, in what they say and what they do | [`Topology::diff`], [`diff`] |
//! | read and write topologies | [`Topology`], [`Definitions`] |
//! | save a router, follow one from afar | [`Router::snapshot`], [`Source`], [`Follower`] |
//! | speak Kombu's Redis wire | [`kombu`] |
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod automaton;
mod binding;
mod byte_string;
mod cache;
mod chunks;
mod definitions;
mod dialect;
pub mod diff;
mod error;
mod exchange;
mod explain;
mod follow;
mod hash;
mod id;
mod index;
pub mod kombu;
mod limits;
mod lines;
pub mod lint;
mod message;
mod operation;
pub mod pattern;
mod policy;
mod queue;
mod router;
mod routes;
mod same;
mod slots;
mod snapshot;
mod sort;
mod stamps;
mod table;
mod tags;
mod topology;
mod trace;
mod walk;
mod work;

pub use binding::Binding;
pub use byte_string::ByteString;
pub use definitions::{Definitions, DefinitionsError};
pub use dialect::Dialect;
pub use error::{BindError, DeclareError, DeleteError, Error, MAX_SHORT_STRING, PublishError, Reply, Scope};
pub use exchange::{Exchange, ExchangeKind};
pub use explain::{
    Buckets, HeaderVerdict, How, MatchMode, Mismatch, NearMiss, SelectedKey, Verdict, WordKind, WordMatch,
};
pub use follow::{Change, FollowError, Follower, Position, Source, Update};
pub use id::{Destination, ExchangeId, QueueId};
pub use limits::Limits;
pub use lines::LineError;
pub use message::Message;
pub use operation::{ExchangeBinding, Operation, QueueBinding};
pub use policy::{ApplyTo, Policy, PolicyError};
pub use queue::Queue;
pub use router::{BindingRef, Router};
pub use routes::{Outcome, Routes};
pub use snapshot::SnapshotError;
pub use table::{Table, Value};
pub use topology::{
    BindingDefinition, DestinationName, ExchangeDefinition, PolicyDefinition, QueueDefinition, Topology,
    TopologyError,
};
pub use trace::{AlternateStep, Arrival, Hop, Match, MatchEffect, Trace};
