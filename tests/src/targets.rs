//! The ways to run keyrail.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::scenario::{AmqpScenario, Answer, KombuScenario};

pub mod core;
pub mod host_redis;
pub mod process;

/// One way to run keyrail.
pub trait Target {
    /// Plays the steps on a fresh virtual host and answers each.
    fn amqp(&mut self, scenario: &AmqpScenario) -> Result<Vec<Answer>, Unplayed>;

    /// Binds, then publishes.
    fn kombu(&mut self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed>;
}

/// What a target makes of a [`KombuScenario`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KombuAnswers {
    /// The bindings that were refused.
    pub quarantined: Vec<Quarantined>,
    /// The queues of each publish.
    pub answers: Vec<BTreeSet<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// The place of the binding in the scenario.
    pub index: usize,
    pub code: String,
}

/// Why a target did not play a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplayed {
    /// It says that it cannot do this yet: a skip.
    Unsupported(String),
    /// It broke down: a failure.
    Broken(String),
}

/// The names of the targets.
pub const NAMES: [&str; 3] = ["core", "wasm-node", "host-redis"];

/// The target of this name.
pub fn by_name(name: &str) -> Result<Box<dyn Target>, String> {
    match name {
        "core" => Ok(Box::new(core::Core)),
        "host-redis" => Ok(Box::new(host_redis::HostRedis::start()?)),
        "wasm-node" => Ok(Box::new(process::Process::node("tests/targets/wasm-node.mjs")?)),
        _ => Err(format!("there is no target `{name}`, expected one of {}", NAMES.join(", "))),
    }
}
