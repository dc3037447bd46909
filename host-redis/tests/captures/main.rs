//! What Kombu 5.7.0 and Celery 5.7.0 left in Redis and said to it, recorded in `tests/captures`, against what keyrail
//! leaves and says for the same calls: byte for byte.
//!
//! `inventory.rs` says of every recorded file which test compares it, or why there is nothing to compare.

#[path = "../support/mod.rs"]
mod support;

mod celery_news;
mod celery_tasks;
mod celery_worker;
mod consuming;
mod declaring;
mod experiments;
mod fanout;
mod findings;
mod inventory;
mod managing;
mod publishing;
mod stage;
mod table;
mod wire;
