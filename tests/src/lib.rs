//! The conformance suite: scenarios recorded from real brokers, played on any target.
//!
//! A *target* is one way to run keyrail: the core in this process, the npm package in Node, and later a browser, an
//! edge runtime, the host on a real Redis. Each plays a [`Scenario`] and gives its answers; [`run`](run::run) compares
//! them with what the real broker said.

pub mod model;
pub mod question;
pub mod run;
pub mod scenario;
pub mod skips;
pub mod targets;

pub use scenario::{Answer, Scenario, Step};
