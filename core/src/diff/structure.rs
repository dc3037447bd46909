//! What was added, removed and changed.

use alloc::{collections::BTreeMap, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use serde::Serialize;

use crate::{BindingDefinition, BindingRef, ExchangeDefinition, PolicyDefinition, QueueDefinition, Router};

/// What was added, removed and changed. Orders and duplicates do not count.
///
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let before = Topology::from_lines("logs topic: a -> q\nlogs: b -> q")?;
/// let after = Topology::from_lines("logs topic: b -> q\nlogs: a -> q")?; // another order
/// assert!(before.diff(&after, &Options::default())?.structure.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Structure {
    /// Exchanges by name, those apart that every router has.
    pub exchanges: Changes<ExchangeDefinition>,
    /// Queues by name.
    pub queues: Changes<QueueDefinition>,
    /// Bindings. One that differs in anything is another one.
    pub bindings: Added<BindingDefinition>,
    /// Policies by name.
    pub policies: Changes<PolicyDefinition>,
}

/// What is only on one side.
///
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let before = Topology::from_lines("logs topic: a -> q")?;
/// let after = Topology::from_lines("logs topic: b -> q")?;
/// let bindings = before.diff(&after, &Options::default())?.structure.bindings;
/// assert_eq!(bindings.removed[0].routing_key.as_str(), Some("a"));
/// assert_eq!(bindings.added[0].routing_key.as_str(), Some("b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Added<T> {
    /// Only in the second topology.
    pub added: Vec<T>,
    /// Only in the first one.
    pub removed: Vec<T>,
}

/// What is only on one side, and what has one name and other properties.
///
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let before = Topology::from_lines("queue old\nqueue mail")?;
/// let after = Topology::from_lines("queue new\nqueue mail durable")?;
/// let structure = before.diff(&after, &Options::default())?.structure;
/// let queues = structure.queues;
/// assert_eq!((&*queues.removed[0].name, &*queues.added[0].name), ("old", "new"));
/// assert_eq!(&*queues.changed[0].after.name, "mail");
/// assert!(structure.exchanges.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes<T> {
    /// Only in the second topology.
    pub added: Vec<T>,
    /// Only in the first one.
    pub removed: Vec<T>,
    /// In both, with other properties.
    pub changed: Vec<Change<T>>,
}

/// Two states of one thing.
///
/// ```
/// use keyrail_core::{ExchangeKind, Topology, diff::Options};
///
/// let before = Topology::from_lines("logs direct")?;
/// let after = Topology::from_lines("logs topic")?;
/// let exchanges = before.diff(&after, &Options::default())?.structure.exchanges;
/// let change = &exchanges.changed[0];
/// assert_eq!((change.before.kind, change.after.kind), (ExchangeKind::Direct, ExchangeKind::Topic));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change<T> {
    /// In the first topology.
    pub before: T,
    /// In the second one.
    pub after: T,
}

impl Structure {
    pub(super) fn of(before: &Router, after: &Router) -> Self {
        let exchanges = |router: &Router| {
            let declared = router.exchanges().filter(|(_, name, _)| !Router::is_predeclared(name));
            let named =
                declared.map(|(_, name, exchange)| (name.into(), ExchangeDefinition::of(name, exchange)));
            named.collect()
        };
        let queues = |router: &Router| {
            let named =
                router.queues().map(|(_, name, queue)| (name.into(), QueueDefinition::of(name, queue)));
            named.collect()
        };
        let policies = |router: &Router| {
            let named =
                router.policies().map(|(name, policy)| (name.into(), PolicyDefinition::of(name, policy)));
            named.collect()
        };
        Structure {
            exchanges: changes(exchanges(before), exchanges(after)),
            queues: changes(queues(before), queues(after)),
            policies: changes(policies(before), policies(after)),
            bindings: Added { added: missing(after, before), removed: missing(before, after) },
        }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        let Structure { exchanges, queues, bindings, policies } = self;
        exchanges.is_empty()
            && queues.is_empty()
            && policies.is_empty()
            && bindings.added.is_empty()
            && bindings.removed.is_empty()
    }
}

impl<T> Changes<T> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

type Named<T> = BTreeMap<alloc::boxed::Box<str>, T>;

fn changes<T: PartialEq>(before: Named<T>, mut after: Named<T>) -> Changes<T> {
    let (mut removed, mut changed) = (Vec::new(), Vec::new());
    for (name, before) in before {
        match after.remove(&name) {
            None => removed.push(before),
            Some(after) if after != before => changed.push(Change { before, after }),
            Some(_) => {}
        }
    }
    Changes { added: after.into_values().collect(), removed, changed }
}

/// The bindings of one router that the other does not have.
fn missing(router: &Router, other: &Router) -> Vec<BindingDefinition> {
    let parts = |router: &Router, binding: &BindingRef<'_>| {
        let definition = BindingDefinition::of(router, binding);
        let arguments = definition.arguments.identity();
        let BindingDefinition { source, destination, routing_key, dialect, pattern, .. } = definition;
        (source, destination, routing_key, arguments, dialect, pattern)
    };
    let known: HashSet<_, FixedState> = other.bindings().map(|binding| parts(other, &binding)).collect();
    let missing = router.bindings().filter(|binding| !known.contains(&parts(router, binding)));
    missing.map(|binding| BindingDefinition::of(router, &binding)).collect()
}
