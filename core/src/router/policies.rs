//! The policies of a router, and which of them applies to which exchange.

use alloc::boxed::Box;

use super::{ExchangeEntry, Router};
use crate::{ExchangeId, Policy};

/// The policy that applies to an exchange, found when either is declared, so that a route looks nothing up.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    name: Box<str>,
    priority: i64,
    alternate: Option<Box<str>>,
}

impl Applied {
    fn new(name: &str, policy: &Policy) -> Box<Self> {
        let alternate = policy.alternate_exchange().map(Into::into);
        Box::new(Applied { name: name.into(), priority: policy.priority_number(), alternate })
    }

    /// The higher priority wins, then the earlier name.
    fn yields_to(&self, name: &str, policy: &Policy) -> bool {
        (policy.priority_number(), &*self.name) > (self.priority, name)
    }
}

impl Router {
    /// Sets a policy, or replaces the one of this name; false if it was there as it is.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Policy, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("shop.orders", Exchange::new(ExchangeKind::Topic))?;
    /// # #[cfg(feature = "regex")] {
    /// assert!(router.set_policy("lost", Policy::new("^shop")?.alternate("unrouted")));
    /// assert!(!router.set_policy("lost", Policy::new("^shop")?.alternate("unrouted"))); // as it is
    /// assert!(router.set_policy("late", Policy::new("^shop")?.alternate("later").priority(1)));
    /// assert_eq!(router.alternate_exchange(orders), Some("later"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Cost
    /// The name of every exchange is matched with the pattern once; with all policies where the replaced one applied.
    /// # Source
    /// Vectors `policy-001` to `policy-003`.
    pub fn set_policy(&mut self, name: &str, policy: Policy) -> bool {
        if self.policies.get(name) == Some(&policy) {
            return false;
        }
        self.drop_policy(name);
        for (_, entry) in self.exchanges.iter_mut() {
            let wins = entry.policy.as_ref().is_none_or(|applied| applied.yields_to(name, &policy));
            if wins && policy.finds_exchange(&entry.name) {
                entry.policy = Some(Applied::new(name, &policy));
            }
        }
        self.policies.insert(name.into(), policy);
        self.revision += 1;
        true
    }

    /// Removes a policy; false if there is none.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Policy, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("shop.orders", Exchange::new(ExchangeKind::Topic))?;
    /// # #[cfg(feature = "regex")] {
    /// router.set_policy("lost", Policy::new("^shop")?.alternate("unrouted"));
    /// assert!(router.clear_policy("lost") && !router.clear_policy("lost"));
    /// assert_eq!(router.alternate_exchange(orders), None);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vector `policy-001`.
    pub fn clear_policy(&mut self, name: &str) -> bool {
        let cleared = self.drop_policy(name);
        self.revision += u64::from(cleared);
        cleared
    }

    /// Takes a policy away, and finds the next best where it applied.
    fn drop_policy(&mut self, name: &str) -> bool {
        if self.policies.remove(name).is_none() {
            return false;
        }
        let policies = &self.policies;
        for (_, entry) in self.exchanges.iter_mut() {
            if entry.policy.as_ref().is_some_and(|applied| &*applied.name == name) {
                entry.policy = best(policies.iter().map(|(name, policy)| (&**name, policy)), &entry.name);
            }
        }
        true
    }

    /// The policy that applies to a new exchange.
    pub(super) fn policy_for(&self, exchange: &str) -> Option<Box<Applied>> {
        best(self.policies(), exchange)
    }

    /// Every policy, in the order of names.
    ///
    /// ```
    /// use keyrail_core::{ApplyTo, Policy, Router};
    ///
    /// let mut router = Router::new();
    /// # #[cfg(feature = "regex")] {
    /// router.set_policy("b", Policy::new("^shop")?.apply_to(ApplyTo::Queues));
    /// router.set_policy("a", Policy::new("")?.priority(-1));
    /// let policies = router.policies().map(|(name, policy)| (name, policy.priority_number()));
    /// assert!(policies.eq([("a", -1), ("b", 0)]));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policies(&self) -> impl Iterator<Item = (&str, &Policy)> {
        self.policies.iter().map(|(name, policy)| (&**name, policy))
    }

    /// The name of the policy that applies to an exchange.
    ///
    /// ```
    /// use keyrail_core::{Policy, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// # #[cfg(feature = "regex")] {
    /// router.set_policy("all", Policy::new("")?);
    /// assert_eq!(router.applied_policy(topic), Some("all"));
    /// router.set_policy("topics", Policy::new("topic$")?.priority(1)); // one applies, and hides the other
    /// assert_eq!(router.applied_policy(topic), Some("topics"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn applied_policy(&self, exchange: ExchangeId) -> Option<&str> {
        self.exchange_entry(exchange)?.policy.as_ref().map(|applied| &*applied.name)
    }

    /// The name of the exchange that is asked when nothing matches: what was declared, or else what the policy says.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = Exchange::new(ExchangeKind::Topic).alternate("lost");
    /// let orders = router.declare_exchange("orders", orders)?;
    /// assert_eq!(router.alternate_exchange(orders), Some("lost")); // whether or not it exists
    /// assert_eq!(router.alternate_exchange(Router::DEFAULT_EXCHANGE), None);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// Vectors `alternate-005`, `policy-002`.
    pub fn alternate_exchange(&self, exchange: ExchangeId) -> Option<&str> {
        self.exchange_entry(exchange)?.alternate_exchange()
    }
}

fn best<'a>(policies: impl Iterator<Item = (&'a str, &'a Policy)>, exchange: &str) -> Option<Box<Applied>> {
    let finding = policies.filter(|(_, policy)| policy.finds_exchange(exchange));
    // Of several largest ones this takes the first when they are compared the other way round.
    let best = finding.min_by_key(|(_, policy)| core::cmp::Reverse(policy.priority_number()));
    best.map(|(name, policy)| Applied::new(name, policy))
}

impl ExchangeEntry {
    /// The argument wins over the policy (vector `policy-002`).
    pub(crate) fn alternate_exchange(&self) -> Option<&str> {
        let applied = || self.policy.as_ref()?.alternate.as_deref();
        self.exchange.alternate_exchange().or_else(applied)
    }
}

#[cfg(all(test, feature = "regex"))]
mod tests {
    use crate::{ApplyTo, Exchange, ExchangeKind, Policy, Router, Table, Value};

    fn policy(pattern: &str, priority: i64, alternate: &str) -> Policy {
        Policy::new(pattern).unwrap().priority(priority).alternate(alternate)
    }

    #[test]
    fn the_highest_priority_applies_and_the_first_name_among_equals() {
        let mut router = Router::new();
        let early = router.declare_exchange("x.early", Exchange::new(ExchangeKind::Topic)).unwrap();
        router.set_policy("b", policy("^x", 1, "b"));
        assert_eq!(router.alternate_exchange(early), Some("b"));
        router.set_policy("c", policy("x", 1, "c"));
        assert_eq!(router.applied_policy(early), Some("b"));
        router.set_policy("a", policy(r"\.", 1, "a"));
        assert_eq!(router.applied_policy(early), Some("a"));
        router.set_policy("z", policy("early$", 9, "z"));
        let late = router.declare_exchange("x.late", Exchange::new(ExchangeKind::Topic)).unwrap();
        assert_eq!((router.applied_policy(early), router.applied_policy(late)), (Some("z"), Some("a")));
        assert!(router.clear_policy("z") && !router.clear_policy("z"));
        router.clear_policy("a");
        assert_eq!((router.applied_policy(early), router.applied_policy(late)), (Some("b"), Some("b")));
        // Lowered in place, it gives way.
        router.set_policy("b", policy("^x", -1, "b"));
        assert_eq!(router.applied_policy(early), Some("c"));
        router.clear_policy("b");
        router.clear_policy("c");
        assert_eq!((router.alternate_exchange(early), router.applied_policy(late)), (None, None));
    }

    #[test]
    fn a_policy_without_an_alternate_hides_one_that_has_it() {
        let mut router = Router::new();
        let exchange = router.declare_exchange("x", Exchange::new(ExchangeKind::Direct)).unwrap();
        router.set_policy("low", policy("x", 0, "lost"));
        let lengths = Table::from_iter([("max-length", 10)]);
        let high = Policy::new("x").unwrap().priority(1).definition(lengths).unwrap();
        router.set_policy("high", high.clone());
        assert_eq!(
            (router.applied_policy(exchange), router.alternate_exchange(exchange)),
            (Some("high"), None)
        );
        // One for queues hides nothing.
        router.set_policy("high", high.apply_to(ApplyTo::Queues));
        assert_eq!(router.alternate_exchange(exchange), Some("lost"));
    }

    #[test]
    fn the_revision_grows_with_changes_alone() {
        let mut router = Router::new();
        let before = router.revision();
        assert!(router.set_policy("p", policy("x", 0, "a")));
        assert!(!router.set_policy("p", policy("x", 0, "a")));
        assert_eq!(router.revision(), before + 1);
        assert!(router.set_policy("p", policy("x", 0, "b")));
        assert!(!router.clear_policy("q"));
        assert_eq!(router.revision(), before + 2);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for pattern in ["(", "a(?=b)", r"(a)\1", "a++", &"x".repeat(2000), "((a{1,99}){1,99}){1,99}"] {
            let error = Policy::new(pattern).unwrap_err();
            assert_eq!(error.code(), "invalid-policy-pattern", "{pattern}");
        }
        let number = Table::from_iter([("alternate-exchange", Value::I64(1))]);
        let error = Policy::new("x").unwrap().definition(number).unwrap_err();
        assert_eq!(error.code(), "invalid-alternate-exchange");
    }

    #[test]
    fn patterns_run_over_bytes() {
        let finds = |pattern: &str, name: &str| Policy::new(pattern).unwrap().finds_exchange(name);
        assert!(finds("^..$", "é") && !finds("^.$", "é") && finds("é", "café"));
        assert!(finds("", "anything") && finds("(?i)^ORDER", "orders"));
    }
}
