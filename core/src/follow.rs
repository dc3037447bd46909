//! Following a router from afar: a bounded log of its changes on one side, a copy that applies them on the other.

use alloc::{collections::VecDeque, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Operation, Router, SnapshotError, error::Error};

/// A router whose latest changes are kept, so that copies elsewhere can follow it.
///
/// A follower says where it is ([`Position`]) and gets what has changed [`since`](Self::since), or a snapshot if that is
/// no longer known.
///
/// ```
/// use keyrail_core::{Follower, Operation, Router, Source};
///
/// // The epoch tells this history from any other: a random number of the host's, new with every start.
/// let mut source = Source::new(Router::new(), 7, 1000);
/// let mut follower = Follower::new();
/// follower.follow(source.since(follower.position()))?; // a snapshot
///
/// let declare = r#"{"op": "queue.declare", "queue": "audit"}"#;
/// source.apply(&serde_json::from_str(declare)?)?;
/// follower.follow(source.since(follower.position()))?; // one operation
/// assert!(follower.router().queue("audit").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    router: Router,
    epoch: u64,
    /// Each with the revision that it led to; the revisions before the first are forgotten.
    log: VecDeque<Change>,
    capacity: usize,
}

/// Where a copy is: which history, and how far.
///
/// ```
/// use keyrail_core::{Position, Router, Source};
///
/// let source = Source::new(Router::new(), 7, 1000);
/// let position = Position { epoch: 7, revision: source.router().revision() };
/// assert_eq!(source.position(), position);
/// let json = serde_json::to_string(&position)?; // what a follower asks with
/// assert_eq!(serde_json::from_str::<Position>(&json)?, position);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Position {
    /// Tells one history from another. Revisions of different histories are not comparable.
    pub epoch: u64,
    /// [`Router::revision`].
    pub revision: u64,
}

/// An operation that changed a router.
///
/// ```
/// use keyrail_core::{Router, Source, Update};
///
/// let mut source = Source::new(Router::new(), 7, 1000);
/// let start = source.position();
/// let declare = serde_json::from_str(r#"{"op": "queue.declare", "queue": "audit"}"#)?;
/// source.apply(&declare)?;
/// let Update::Changes { changes, .. } = source.since(Some(start)) else { unreachable!() };
/// assert_eq!((changes[0].revision, &changes[0].operation), (start.revision + 1, &declare));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// The revision that it led to.
    pub revision: u64,
    /// What was done.
    pub operation: Operation,
}

/// What brings a copy up to date.
///
/// ```
/// use keyrail_core::{Router, Source, Update};
///
/// let source = Source::new(Router::new(), 7, 1000);
/// assert!(matches!(source.since(None), Update::Snapshot { epoch: 7, .. }));
/// let latest = source.position();
/// assert_eq!(source.since(Some(latest)), Update::Changes { since: latest, changes: vec![] });
/// ```
///
/// # JSON
/// `{"type": "changes", "since": {"epoch": 7, "revision": 41}, "changes": [{"revision": 42, "operation": {"op": …}}]}`, or
/// `{"type": "snapshot", "epoch": 7, "bytes": […]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Update {
    /// The changes after a position, in order; none if it is the latest.
    Changes {
        /// After which position they are to be applied.
        since: Position,
        /// The operations.
        changes: Vec<Change>,
    },
    /// Everything anew: the copy knows nothing yet, or its position is forgotten or of another history.
    Snapshot {
        /// The history that it begins or goes on.
        epoch: u64,
        /// [`Router::snapshot`].
        bytes: Vec<u8>,
    },
}

impl Source {
    /// A source of this router, which keeps so many changes at most.
    ///
    /// The epoch is to differ from that of every other source that a follower may meet, one after a restart included.
    ///
    /// ```
    /// use keyrail_core::{Router, Source, Update};
    ///
    /// let mut source = Source::new(Router::new(), 7, 1); // one change at most
    /// let start = source.position();
    /// for queue in ["audit", "mail"] {
    ///     source.apply(&serde_json::from_str(&format!(r#"{{"op": "queue.declare", "queue": "{queue}"}}"#))?)?;
    /// }
    /// assert!(matches!(source.since(Some(start)), Update::Snapshot { .. })); // the first is forgotten
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(router: Router, epoch: u64, capacity: usize) -> Self {
        Source { router, epoch, log: VecDeque::new(), capacity }
    }

    /// The router.
    ///
    /// ```
    /// use keyrail_core::{Router, Source};
    ///
    /// let source = Source::new(Router::with_predeclared_exchanges(), 7, 1000);
    /// assert!(source.router().exchange("amq.topic").is_some());
    /// ```
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Where the router is now.
    ///
    /// ```
    /// use keyrail_core::{Router, Source};
    ///
    /// let source = Source::new(Router::new(), 7, 1000);
    /// let revision = source.router().revision();
    /// assert_eq!(source.position().to_string(), format!("revision {revision} of epoch 7"));
    /// ```
    pub const fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: self.router.revision() }
    }

    /// Applies an operation to the router and writes it down if it changed anything.
    ///
    /// ```
    /// use keyrail_core::{Router, Source};
    ///
    /// let mut source = Source::new(Router::new(), 7, 1000);
    /// let bind = r#"{"op": "queue.bind", "queue": "mail", "exchange": "amq.topic"}"#;
    /// let before = source.position();
    /// assert_eq!(source.apply(&serde_json::from_str(bind)?).unwrap_err().code(), "queue-not-found");
    /// assert_eq!(source.position(), before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Router::apply`]; nothing has changed then.
    /// # Cost
    /// That of [`Router::apply`], and a copy of the operation.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
        let before = self.router.revision();
        self.router.apply(operation)?;
        let revision = self.router.revision();
        if revision != before && self.capacity > 0 {
            if self.log.len() == self.capacity {
                self.log.pop_front();
            }
            self.log.push_back(Change { revision, operation: operation.clone() });
        }
        Ok(())
    }

    /// What brings a copy from this position to the latest: changes if all of them are known, or else a snapshot.
    ///
    /// ```
    /// use keyrail_core::{Position, Router, Source, Update};
    ///
    /// let source = Source::new(Router::new(), 7, 1000);
    /// let latest = source.position();
    /// assert!(matches!(source.since(Some(latest)), Update::Changes { changes, .. } if changes.is_empty()));
    /// let before_a_restart = Position { epoch: 6, ..latest };
    /// assert!(matches!(source.since(Some(before_a_restart)), Update::Snapshot { .. }));
    /// ```
    ///
    /// # Cost
    /// The changes are cloned; a snapshot is made anew.
    pub fn since(&self, position: Option<Position>) -> Update {
        position
            .and_then(|position| self.changes_since(position))
            .unwrap_or_else(|| Update::Snapshot { epoch: self.epoch, bytes: self.router.snapshot() })
    }

    fn changes_since(&self, since: Position) -> Option<Update> {
        if since.epoch != self.epoch {
            return None;
        }
        let start = self.log.partition_point(|change| change.revision <= since.revision);
        // Whoever is at a revision between two changes is no copy of this router.
        let known = match start.checked_sub(1) {
            Some(before) => self.log[before].revision == since.revision,
            None => {
                self.log.front().map_or(self.router.revision(), |first| first.revision - 1) == since.revision
            }
        };
        let changes = || self.log.range(start..).cloned().collect();
        known.then(|| Update::Changes { since, changes: changes() })
    }
}

/// A copy that follows a [`Source`].
///
/// ```
/// use keyrail_core::{Follower, Message, Outcome, Queue, Router, Routes, Source};
///
/// let mut router = Router::new();
/// router.declare_queue("mail", Queue::new())?;
/// let source = Source::new(router, 7, 1000);
/// let mut follower = Follower::new();
/// follower.follow(source.since(follower.position()))?;
/// let (copy, mut routes) = (follower.router(), Routes::new());
/// let outcome = copy.route(Router::DEFAULT_EXCHANGE, &Message::new("mail"), &mut routes);
/// assert_eq!(outcome, Outcome::Routed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Follower {
    router: Router,
    epoch: Option<u64>,
    seed: u64,
}

/// Why an update was not followed. Ask the source again, from [`Follower::position`].
///
/// ```
/// use keyrail_core::{FollowError, Follower, Router, Source};
///
/// let source = Source::new(Router::new(), 7, 1000);
/// let mut follower = Follower::new();
/// let position = source.position();
/// let error = follower.follow(source.since(Some(position))).unwrap_err(); // it was not there
/// assert_eq!(error, FollowError::Gap { at: None, since: position });
/// assert_eq!(error.code(), "gap");
/// assert!(error.to_string().ends_with("of epoch 7 for a copy that has no snapshot yet"));
/// assert_eq!(follower.follow(source.since(follower.position())), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowError {
    /// The changes do not go on from where the copy is: some were missed, or come twice. Nothing is applied.
    Gap {
        /// Where the copy is; nothing if it has no history yet.
        at: Option<Position>,
        /// Where the changes begin.
        since: Position,
    },
    /// A change did not do to the copy what it did to the router. The copy stays as it was before that change and gives
    /// its position up, so that it is sent a snapshot.
    Diverged {
        /// The revision to which the change should have led.
        revision: u64,
        /// Why it was refused, if it was.
        error: Option<Error>,
    },
    /// The snapshot cannot be loaded. The copy stays as it was.
    Snapshot(SnapshotError),
}

impl Follower {
    /// A copy that knows nothing yet.
    ///
    /// ```
    /// use keyrail_core::Follower;
    ///
    /// let follower = Follower::new();
    /// assert_eq!(follower.position(), None); // so it is sent a snapshot
    /// assert_eq!(follower.router().counts(), (1, 0, 0)); // the default exchange
    /// ```
    pub fn new() -> Self {
        Follower::default()
    }

    /// The same, with hash tables that are seeded by the host; see [`Router::with_seed`].
    ///
    /// ```
    /// use keyrail_core::{Follower, Router, Source, Topology};
    ///
    /// let source = Source::new(Router::with_predeclared_exchanges(), 7, 1000);
    /// let mut follower = Follower::with_seed(0x9e37_79b9_7f4a_7c15);
    /// follower.follow(source.since(None))?;
    /// assert_eq!(Topology::of(follower.router()), Topology::of(source.router()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_seed(seed: u64) -> Self {
        Follower { router: Router::with_seed(seed), epoch: None, seed }
    }

    /// The copy. It answers by what it knows, also while that is not the latest.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Where the copy is; nothing if it needs a snapshot.
    ///
    /// ```
    /// use keyrail_core::{Follower, Router, Source};
    ///
    /// let source = Source::new(Router::new(), 7, 1000);
    /// let mut follower = Follower::new();
    /// assert_eq!(follower.position(), None);
    /// follower.follow(source.since(follower.position()))?;
    /// assert_eq!(follower.position(), Some(source.position()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn position(&self) -> Option<Position> {
        self.epoch.map(|epoch| Position { epoch, revision: self.router.revision() })
    }

    /// Takes an update.
    ///
    /// ```
    /// use keyrail_core::{Follower, Router, Source};
    ///
    /// let mut source = Source::new(Router::new(), 7, 1000);
    /// let mut follower = Follower::new();
    /// follower.follow(source.since(follower.position()))?;
    /// source.apply(&serde_json::from_str(r#"{"op": "queue.declare", "queue": "audit"}"#)?)?;
    /// let update = source.since(follower.position());
    /// follower.follow(update.clone())?;
    /// assert!(follower.router().queue("audit").is_some());
    /// assert_eq!(follower.follow(update).unwrap_err().code(), "gap"); // it comes twice
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FollowError`]; after each of them [`position`](Self::position) is what to ask the source with.
    /// # Cost
    /// A snapshot is loaded whole, and both copies are there until it is; of changes each costs what [`Router::apply`] does.
    pub fn follow(&mut self, update: Update) -> Result<(), FollowError> {
        match update {
            Update::Snapshot { epoch, bytes } => {
                let router = Router::from_snapshot_with_seed(&bytes, self.seed);
                self.router = router.map_err(FollowError::Snapshot)?;
                self.epoch = Some(epoch);
                Ok(())
            }
            Update::Changes { since, changes } => {
                if self.position() != Some(since) {
                    return Err(FollowError::Gap { at: self.position(), since });
                }
                changes.iter().try_for_each(|change| self.apply(change))
            }
        }
    }

    fn apply(&mut self, change: &Change) -> Result<(), FollowError> {
        let expected = self.router.revision().checked_add(1) == Some(change.revision);
        let applied = if expected { self.router.apply(&change.operation) } else { Ok(()) };
        let error = match applied {
            Ok(()) if self.router.revision() == change.revision => return Ok(()),
            Ok(()) => None,
            Err(error) => Some(error),
        };
        self.epoch = None;
        Err(FollowError::Diverged { revision: change.revision, error })
    }
}

impl FollowError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            FollowError::Gap { .. } => "gap",
            FollowError::Diverged { .. } => "diverged",
            FollowError::Snapshot(error) => error.code(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {} of epoch {}", self.revision, self.epoch)
    }
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FollowError::Gap { at: None, since } => {
                write!(f, "changes since {since} for a copy that has no snapshot yet")
            }
            FollowError::Gap { at: Some(at), since } => {
                write!(f, "changes since {since} for a copy that is at {at}")
            }
            FollowError::Diverged { revision, error: None } => {
                write!(f, "the change to revision {revision} did something else to the copy")
            }
            FollowError::Diverged { revision, error: Some(error) } => {
                write!(f, "the change to revision {revision} is refused by the copy: {error}")
            }
            FollowError::Snapshot(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FollowError {}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;
    use crate::{QueueBinding, Topology};

    fn declare(queue: &str) -> Operation {
        Operation::QueueDeclare {
            queue: queue.into(),
            passive: false,
            durable: false,
            auto_delete: false,
            exclusive: false,
            arguments: crate::Table::new(),
        }
    }

    fn bind(queue: &str, key: &str) -> Operation {
        Operation::QueueBind(QueueBinding {
            queue: queue.into(),
            exchange: "amq.topic".into(),
            routing_key: key.into(),
            ..QueueBinding::default()
        })
    }

    fn source(capacity: usize) -> Source {
        Source::new(Router::with_predeclared_exchanges(), 1, capacity)
    }

    #[test]
    fn a_copy_follows_change_by_change() {
        let mut source = source(100);
        let mut follower = Follower::with_seed(5);
        assert!(matches!(source.since(follower.position()), Update::Snapshot { .. }));
        follower.follow(source.since(None)).unwrap();
        for at in 0..30 {
            let queue = format!("q{}", at % 7);
            source.apply(&declare(&queue)).unwrap();
            source.apply(&bind(&queue, &format!("k.{at}.#"))).unwrap();
            if at % 5 == 4 {
                let gone = Operation::QueueDelete { queue: "q3".into(), if_unused: false, if_empty: false };
                source.apply(&gone).unwrap();
            }
            if at % 3 == 0 {
                let update = source.since(follower.position());
                assert!(matches!(update, Update::Changes { .. }));
                // As it travels.
                let json = serde_json::to_string(&update).unwrap();
                follower.follow(serde_json::from_str(&json).unwrap()).unwrap();
                assert_eq!(follower.position(), Some(source.position()));
                assert_eq!(Topology::of(follower.router()), Topology::of(source.router()));
            }
        }
        assert_eq!(
            source.since(Some(source.position())),
            Update::Changes { since: source.position(), changes: vec![] }
        );
    }

    #[test]
    fn what_is_forgotten_is_answered_with_a_snapshot() {
        let mut source = source(3);
        let mut follower = Follower::new();
        follower.follow(source.since(None)).unwrap();
        let start = follower.position();
        for at in 0..3 {
            source.apply(&declare(&format!("q{at}"))).unwrap();
        }
        assert!(matches!(source.since(start), Update::Changes { changes, .. } if changes.len() == 3));
        source.apply(&declare("q3")).unwrap();
        let update = source.since(start);
        assert!(matches!(update, Update::Snapshot { .. }));
        follower.follow(update).unwrap();
        assert_eq!(follower.position(), Some(source.position()));
        // A position of another history, or one that is yet to come, is no position.
        for (epoch, revision) in [(2, source.position().revision), (1, u64::MAX)] {
            let position = Some(Position { epoch, revision });
            assert!(matches!(source.since(position), Update::Snapshot { .. }));
        }
    }

    #[test]
    fn a_gap_is_noticed_and_nothing_applied() {
        let mut source = source(100);
        let mut follower = Follower::new();
        follower.follow(source.since(None)).unwrap();
        source.apply(&declare("a")).unwrap();
        let between = source.position();
        source.apply(&declare("b")).unwrap();
        let late = source.since(Some(between));
        let error = follower.follow(late).unwrap_err();
        assert_eq!(error.code(), "gap");
        assert!(follower.router().queue("b").is_none());
        let both = source.since(follower.position());
        follower.follow(both.clone()).unwrap();
        assert_eq!(follower.follow(both).unwrap_err().code(), "gap");
        // One that is left out in the middle.
        let since = follower.position().unwrap();
        let skipping = Change { revision: since.revision + 2, operation: declare("c") };
        let error = follower.follow(Update::Changes { since, changes: vec![skipping] }).unwrap_err();
        assert_eq!(error.code(), "diverged");
        assert_eq!((follower.position(), follower.router().queue("c")), (None, None));
        follower.follow(source.since(follower.position())).unwrap();
        assert_eq!(follower.position(), Some(source.position()));
    }

    #[test]
    fn a_change_that_is_refused_is_a_divergence() {
        let source = source(100);
        let mut follower = Follower::new();
        follower.follow(source.since(None)).unwrap();
        let since = source.position();
        let change = Change { revision: since.revision + 1, operation: bind("nowhere", "k") };
        let error = follower.follow(Update::Changes { since, changes: vec![change] }).unwrap_err();
        assert!(error.to_string().contains("there is no queue `nowhere`"), "{error}");
        assert_eq!(follower.position(), None);
        let damaged = Update::Snapshot { epoch: 1, bytes: vec![1, 2, 3] };
        assert_eq!(follower.follow(damaged).unwrap_err().code(), "no-snapshot");
    }

    #[test]
    fn what_changes_nothing_is_not_written_down() {
        let mut source = source(100);
        source.apply(&declare("a")).unwrap();
        let position = source.position();
        source.apply(&declare("a")).unwrap();
        assert!(source.apply(&bind("nowhere", "k")).is_err());
        assert_eq!(source.position(), position);
        assert_eq!(source.since(Some(position)), Update::Changes { since: position, changes: vec![] });
    }
}
