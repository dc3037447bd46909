//! keyrail on Redis, beside Kombu and Celery.
//!
//! [`Host`] joins a topology, Kombu's key layout and an [`Executor`]: it routes in the core, plans in the core, and has
//! the plan executed, on Redis ([`Redis`]) or in this process ([`Memory`]). Where a message goes is never decided here.
//!
//! ```
//! use keyrail_core::{Topology, kombu::{Envelope, Layout}};
//! use keyrail_redis::{Host, Memory, Outgoing};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let topology: Topology = serde_json::from_str(r#"{
//!     "exchanges": [{"name": "orders", "kind": "topic"}],
//!     "queues": [{"name": "billing"}],
//!     "bindings": [{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "order.*.paid"}]
//! }"#).unwrap();
//! let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
//! let sent = host.publish(&Outgoing::new("orders", "order.eu.paid", Envelope::text("42 EUR"))).await.unwrap();
//! assert_eq!(sent.queues, ["billing"]);
//! let message = host.get("billing").await.unwrap().unwrap();
//! assert_eq!(message.body.as_text(), Some("42 EUR"));
//! # });
//! ```
//!
//! | module or type | for |
//! |---|---|
//! | [`Connection`] | Kombu's URLs and transport options |
//! | [`Producer`] | publishes by tables that are kept, with retries, batches, confirms |
//! | [`Host`] | publish, bind, get; everything below joined |
//! | [`Consumer`] | take, ack, give back; nothing is lost in between |
//! | [`Executor`] | who carries commands out |
//! | [`SimpleQueue`] | put and get, for those who want two calls |
//! | [`FanoutListener`], [`DurableFanout`] | fanout as Kombu's, and one that waits for its subscribers |
//! | [`celery`] | run Celery's tasks |
//! | [`doctor`] | what is wrong in a Redis that is shared, and repairs that can be taken back |
//! | [`load`] | topologies from files and from Kombu's tables |
//! | [`sendable`] | what a consumer would stumble over |
//! | [`serve`] | the HTTP interface |
//! | [`Shared`] | a table that is replaced while threads route by it |

mod bind;
pub mod celery;
mod compression;
mod connection;
mod consumer;
mod deadline;
mod declare;
mod decode;
pub mod doctor;
mod error;
mod exact;
mod executor;
mod expiring;
mod fanout;
mod host;
pub mod load;
mod names;
mod operations;
mod payload;
mod producer;
mod publish;
mod raw;
pub mod registry;
mod restore;
mod said;
pub mod sendable;
pub mod serve;
mod shared;
mod simple;
mod stream;
mod table;
mod unbind;

pub use bind::{Bind, Bound};
pub use compression::{Compression, UnknownCompression};
pub use connection::{Connection, ConnectionError, Login, QueueOrder, RetryPolicy, TransportOptions};
pub use consumer::{Consumer, ConsumerOptions, Delivery, Next, Requeue, Settlement};
pub use declare::Imported;
pub use decode::{Body, ReceivedMessage, Undecoded};
pub use error::{ExecuteError, HostError, LoadError};
pub use exact::{read_json, wide_number};
pub use executor::{
    Executor, GiveBack, Heard, Held, Listener, Memory, MemoryWaiter, Overdue, PutBack, Redis, RedisOptions,
    RedisWaiter, Reply, Restore, SetSize, Swept, Take, Taken, Waiter, quarantine_list,
};
pub use fanout::{FanoutListener, News};
pub use host::{Host, Table};
pub use producer::{Confirm, Message, ProduceError, Producer, ProducerOptions, Serializer};
pub use publish::{Channel, Fanout, Outgoing, Planned, Published, Routed, json_of};
pub use restore::{Left, RestoreOptions, Restored};
pub use said::json_error;
pub use shared::{Reader, Shared};
pub use simple::SimpleQueue;
pub use stream::{DurableFanout, DurableSubscription, StreamMessage};
pub use table::Freshness;
