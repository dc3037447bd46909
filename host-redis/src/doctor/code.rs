//! What a finding may be, how bad it is, and what repair does about it.

use std::{fmt, str::FromStr};

use keyrail_core::lint::Severity;
use serde::{Serialize, Serializer};

/// What is wrong. The words are stable.
///
/// ```
/// use keyrail_core::lint::Severity;
/// use keyrail_redis::doctor::{Code, Repair};
///
/// let code: Code = "stale-twin".parse().unwrap();
/// assert_eq!((code, code.severity(), code.repair()), (Code::StaleTwin, Severity::Warning, Repair::Safe));
/// let error = "stale-twn".parse::<Code>().unwrap_err();
/// assert!(error.to_string().starts_with("`stale-twn` is no finding; expected amqp-orphan, amqp-twin, "));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// A row with AMQP's text whose queue nothing else in Redis knows.
    AmqpOrphan,
    /// A row of Kombu 5.7 beside one with AMQP's text, of the same key and queue.
    AmqpTwin,
    /// The lock of those who restore has no time to live.
    EternalLock,
    /// Workers are written down for remote control, and nobody is subscribed.
    FanoutRows,
    /// A row whose text neither Kombu nor keyrail wrote, and which keyrail does not run.
    ForeignText,
    /// A table with more rows than are to be read.
    LargeTable,
    /// Bindings that are only in the set of the permanent ones: their table is gone.
    LostTable,
    /// A row that is none.
    MalformedRow,
    /// A permanent row that Kombu 5.7's sweep would delete with its table.
    MissingPermanent,
    /// A row of Kombu up to 5.6 alone.
    OldDialect,
    /// Messages in a list that is no known queue's.
    OrphanList,
    /// A table under another global key prefix.
    OtherPrefix,
    /// A row with another separator.
    OtherSeparator,
    /// Deliveries that were due long ago.
    Overdue,
    /// Rows of which nobody can say whether they expire.
    PerhapsPermanent,
    /// A payload that is no message.
    Poison,
    /// Payloads in a quarantine list.
    Quarantined,
    /// Replies to remote control that nobody fetched.
    ReplyList,
    /// Reply queues of remote control that hold nothing.
    ReplyRows,
    /// The deadline of a table that is gone.
    StaleDeadline,
    /// A row of Kombu up to 5.6 beside a newer one of the same key and queue.
    StaleTwin,
    /// Messages in the list of a priority step that is none here.
    StrandedStep,
    /// Buckets of a consistent-hash exchange whose binding is gone.
    StrayBucket,
    /// A permanent binding that is not in its table.
    StrayPermanent,
    /// A row whose text Python cannot compile.
    UnexecutableRow,
    /// A delivery without a time.
    Unindexed,
    /// An entry of keyrail's own that cannot be read.
    UnreadableEntry,
    /// A delivery whose record cannot be read.
    UnreadableRecord,
    /// A time without a delivery.
    Unrecorded,
    /// A key of another type than its name says.
    WrongType,
}

/// Whether a finding can be repaired.
///
/// ```
/// use keyrail_redis::doctor::{Code, Repair};
///
/// assert_eq!(Code::WrongType.repair(), Repair::Never);
/// assert_eq!(Code::AmqpTwin.repair(), Repair::OnRequest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// It is named and never touched.
    Never,
    /// Only if its code is asked for: whether it is right depends on what Redis does not know.
    OnRequest,
    /// Also by `all`.
    Safe,
}

impl Code {
    /// Every code, in the order of their words.
    pub const ALL: [Code; 30] = [
        Code::AmqpOrphan,
        Code::AmqpTwin,
        Code::EternalLock,
        Code::FanoutRows,
        Code::ForeignText,
        Code::LargeTable,
        Code::LostTable,
        Code::MalformedRow,
        Code::MissingPermanent,
        Code::OldDialect,
        Code::OrphanList,
        Code::OtherPrefix,
        Code::OtherSeparator,
        Code::Overdue,
        Code::PerhapsPermanent,
        Code::Poison,
        Code::Quarantined,
        Code::ReplyList,
        Code::ReplyRows,
        Code::StaleDeadline,
        Code::StaleTwin,
        Code::StrandedStep,
        Code::StrayBucket,
        Code::StrayPermanent,
        Code::UnexecutableRow,
        Code::Unindexed,
        Code::UnreadableEntry,
        Code::UnreadableRecord,
        Code::Unrecorded,
        Code::WrongType,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::AmqpOrphan => "amqp-orphan",
            Code::AmqpTwin => "amqp-twin",
            Code::EternalLock => "eternal-lock",
            Code::FanoutRows => "fanout-rows",
            Code::ForeignText => "foreign-text",
            Code::LargeTable => "large-table",
            Code::LostTable => "lost-table",
            Code::MalformedRow => "malformed-row",
            Code::MissingPermanent => "missing-permanent",
            Code::OldDialect => "old-dialect",
            Code::OrphanList => "orphan-list",
            Code::OtherPrefix => "other-prefix",
            Code::OtherSeparator => "other-separator",
            Code::Overdue => "overdue",
            Code::PerhapsPermanent => "perhaps-permanent",
            Code::Poison => "poison",
            Code::Quarantined => "quarantined",
            Code::ReplyList => "reply-list",
            Code::ReplyRows => "reply-rows",
            Code::StaleDeadline => "stale-deadline",
            Code::StaleTwin => "stale-twin",
            Code::StrandedStep => "stranded-step",
            Code::StrayBucket => "stray-bucket",
            Code::StrayPermanent => "stray-permanent",
            Code::UnexecutableRow => "unexecutable-row",
            Code::Unindexed => "unindexed",
            Code::UnreadableEntry => "unreadable-entry",
            Code::UnreadableRecord => "unreadable-record",
            Code::Unrecorded => "unrecorded",
            Code::WrongType => "wrong-type",
        }
    }

    /// How bad it is: an error loses messages or stops publishers, a warning will, an info may be as it should be.
    pub const fn severity(self) -> Severity {
        match self {
            Code::EternalLock
            | Code::LostTable
            | Code::MalformedRow
            | Code::OtherSeparator
            | Code::Poison
            | Code::UnexecutableRow
            | Code::Unindexed
            | Code::UnreadableEntry
            | Code::UnreadableRecord
            | Code::WrongType => Severity::Error,
            Code::ForeignText
            | Code::MissingPermanent
            | Code::Overdue
            | Code::Quarantined
            | Code::ReplyList
            | Code::StaleTwin
            | Code::StrandedStep => Severity::Warning,
            _ => Severity::Info,
        }
    }

    /// Whether and when it is repaired.
    pub const fn repair(self) -> Repair {
        match self {
            Code::ForeignText
            | Code::LargeTable
            | Code::OldDialect
            | Code::OrphanList
            | Code::OtherPrefix
            | Code::OtherSeparator
            | Code::Overdue
            | Code::Quarantined
            | Code::StrandedStep
            | Code::WrongType => Repair::Never,
            Code::AmqpOrphan
            | Code::AmqpTwin
            | Code::FanoutRows
            | Code::LostTable
            | Code::PerhapsPermanent
            | Code::ReplyList
            | Code::ReplyRows
            | Code::UnreadableEntry => Repair::OnRequest,
            _ => Repair::Safe,
        }
    }

    /// What repair does, or what else helps.
    ///
    /// ```
    /// use keyrail_redis::doctor::{Code, Repair};
    ///
    /// assert_eq!(Code::StaleDeadline.remedy(), "takes the deadline out");
    /// for code in Code::ALL.into_iter().filter(|code| code.repair() == Repair::Never) {
    ///     assert!(code.remedy().starts_with("none: "));
    /// }
    /// ```
    pub const fn remedy(self) -> &'static str {
        match self {
            Code::AmqpOrphan | Code::MalformedRow | Code::UnexecutableRow => {
                "takes the row out of the table and of the permanent ones"
            }
            Code::AmqpTwin => "takes Kombu's row out; a Kombu that declares the queue writes it again",
            Code::EternalLock => "lets the lock expire in five minutes, as Kombu's do",
            Code::FanoutRows => "takes the rows out; a worker that starts writes its own again",
            Code::ForeignText => "none: bind with a key, or move the routing into the application",
            Code::LargeTable => "none: raise the limit with --max-bindings",
            Code::LostTable => "writes the rows into the table again",
            Code::MissingPermanent | Code::PerhapsPermanent => "adds the rows to the permanent ones",
            Code::OldDialect => {
                "none: declare the queue with Kombu 5.7 or `keyrail bind`, then it is a stale-twin"
            }
            Code::OrphanList => "none: start whoever consumes it, or read it with `keyrail consume`",
            Code::OtherPrefix => {
                "none: give the peers one global_keyprefix, or leave it if they are strangers"
            }
            Code::OtherSeparator => "none: give the peers one sep",
            Code::Overdue => "none: any consumer restores them; start one",
            Code::Poison => "moves the payloads to the quarantine list of the queue",
            Code::Quarantined => "none: look at them, then publish again or delete",
            Code::ReplyList => "moves the replies to the quarantine list of the queue",
            Code::ReplyRows => "takes the rows out whose queue holds nothing; who still waits gets no reply",
            Code::StaleDeadline => "takes the deadline out",
            Code::StaleTwin => "takes the row of Kombu 5.6 out of the table and of the permanent ones",
            Code::StrandedStep => "none: give the peers one priority_steps",
            Code::StrayBucket => "takes the entry out",
            Code::StrayPermanent => "takes the row out of the permanent ones",
            Code::Unindexed => "gives it the time of now: restored when the visibility timeout is over",
            Code::UnreadableEntry => "takes the entry out; a newer keyrail may read it",
            Code::UnreadableRecord => "moves the record to the quarantine list of the register",
            Code::Unrecorded => "takes the time out",
            Code::WrongType => "none: another library may own it; give each a database of its own",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A word that is no [`Code`].
///
/// ```
/// use keyrail_redis::doctor::Code;
///
/// let error = "poisson".parse::<Code>().unwrap_err();
/// assert!(error.to_string().starts_with("`poisson` is no finding; expected amqp-orphan, "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCode(Box<str>);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(word: &str) -> Result<Self, UnknownCode> {
        Code::ALL.into_iter().find(|code| code.as_str() == word).ok_or_else(|| UnknownCode(word.into()))
    }
}

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Code::ALL.map(Code::as_str).join(", ");
        write!(f, "`{}` is no finding; expected {known}", self.0)
    }
}

impl std::error::Error for UnknownCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_remedies_say_what_repair_is() {
        let words = Code::ALL.map(Code::as_str);
        assert!(words.is_sorted());
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(code.remedy().starts_with("none: "), code.repair() == Repair::Never, "{code}");
        }
    }
}
