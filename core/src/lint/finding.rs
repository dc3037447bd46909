use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use serde::Serialize;

use crate::{BindingDefinition, ByteString, Dialect, Topology};

/// Something that is wrong, or will be.
///
/// ```
/// use keyrail_core::{Topology, lint::{Code, Severity}};
///
/// let topology = Topology::from_lines("logs direct: a -> all\nlogs: a -> all")?;
/// let report = topology.lint(&Default::default())?;
/// let finding = &report.findings[0];
/// assert_eq!((finding.code, finding.severity), (Code::DuplicateBinding, Severity::Warning));
/// assert_eq!(finding.sentence, "it is written a second time; the first is `bindings[0]`");
/// assert!(finding.fix.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # JSON
/// `{"code": "shadowed-binding", "severity": "warning", "culprit": {"type": "binding", "at": 1, "binding": {…}},
/// "sentence": "…", "fix": {"type": "removeBinding", "at": 1}}`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is: a stable word.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub culprit: Culprit,
    /// What is wrong, for people.
    pub sentence: String,
    /// Keys that different brokers answer differently; only for [`Code::DialectTrap`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<DialectAnswer>,
    /// What to do about it, where that is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What a finding is about. The words are stable.
///
/// ```
/// use keyrail_core::{Topology, lint::Code};
///
/// let topology = Topology::from_lines("a fanout: -> exchange b\nb fanout: -> exchange a")?;
/// let report = topology.lint(&Default::default())?;
/// assert!(report.findings.iter().any(|finding| finding.code == Code::ExchangeCycle));
/// assert_eq!(Code::ExchangeCycle.as_str(), "exchange-cycle"); // to name it in a list of exceptions
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// An alternate exchange is named that does not exist, or is the default exchange, which never is one.
    AlternateMissing,
    /// A queue's dead letters go to an exchange that does not exist.
    DeadLetterMissing,
    /// A binding key in a dialect of Kombu that Kombu cannot execute.
    InvalidPattern,
    /// The same binding is written twice.
    DuplicateBinding,
    /// Another binding of the exchange to the same destination matches whatever this one does.
    ShadowedBinding,
    /// No message can match the binding.
    NeverMatches,
    /// No exchange leads to the queue.
    UnreachableQueue,
    /// The exchange is internal and nothing leads to it.
    UnreachableExchange,
    /// The exchange leads to no queue.
    DeadEndExchange,
    /// Exchanges lead back to themselves.
    ExchangeCycle,
    /// Alternate exchanges lead back to themselves.
    AlternateLoop,
    /// A binding key with more than two `#`, which RabbitMQ refuses from 4.3.5 on.
    TooManyHashes,
    /// One message may take a broker more steps at this exchange than allowed.
    CostOverBudget,
    /// Brokers read the binding key differently.
    DialectTrap,
    /// Kombu would turn the binding key into a regular expression that Python cannot compile.
    KombuInvalidPattern,
    /// A name or key that Kombu cannot write into Redis.
    KombuName,
    /// The budget did not suffice to decide whether a binding is shadowed or read differently.
    Undecided,
}

/// How bad a finding is. The order is that of badness.
///
/// ```
/// use keyrail_core::{Topology, lint::Severity};
///
/// assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Info);
/// let report = Topology::from_lines("logs fanout else lost: -> all")?.lint(&Default::default())?;
/// let fails = report.worst() >= Some(Severity::Warning); // as a pipeline may ask
/// assert!(fails && report.findings[0].severity.as_str() == "error");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably a mistake.
    Warning,
    /// Messages are lost, or a broker refuses it.
    Error,
}

/// What a finding points at.
///
/// ```
/// use keyrail_core::{Topology, lint::Culprit};
///
/// let topology = Topology::from_lines("logs fanout else lost: -> all\nqueue idle")?;
/// let report = topology.lint(&Default::default())?;
/// let culprits: Vec<&Culprit> = report.findings.iter().map(|finding| &finding.culprit).collect();
/// assert_eq!(*culprits[0], Culprit::Exchange { name: "logs".into() });
/// assert_eq!(culprits[1].to_string(), "queue `idle`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Culprit {
    /// A binding.
    Binding {
        /// Its place in [`Topology::bindings`].
        at: u32,
        /// The binding.
        binding: BindingDefinition,
    },
    /// An exchange.
    Exchange {
        /// Its name.
        name: Box<str>,
    },
    /// Several exchanges.
    Exchanges {
        /// Their names.
        names: Vec<Box<str>>,
    },
    /// A queue.
    Queue {
        /// Its name.
        name: Box<str>,
    },
}

/// A routing key, and who takes it for a match of the binding key.
///
/// ```
/// use keyrail_core::{Dialect, Topology, lint::Code};
///
/// let topology = Topology::from_lines("logs topic: a.# -> all")?;
/// let report = topology.lint(&Default::default())?;
/// let trap = report.findings.iter().find(|finding| finding.code == Code::DialectTrap).unwrap();
/// let answer = &trap.keys[0];
/// assert_eq!((answer.key.as_str(), &answer.matches[..]), (Some("a"), &[Dialect::Amqp][..]));
/// assert_eq!(answer.misses, [Dialect::Kombu57, Dialect::Kombu56]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DialectAnswer {
    /// The routing key.
    pub key: ByteString,
    /// In these dialects it matches.
    pub matches: Vec<Dialect>,
    /// In these it does not.
    pub misses: Vec<Dialect>,
}

/// What to do about a finding. A fix never changes the way of a message.
///
/// ```
/// use keyrail_core::{Topology, lint::Fix};
///
/// let mut topology = Topology::from_lines("logs direct: a -> all\nlogs: a -> all")?;
/// let report = topology.lint(&Default::default())?;
/// let fix = report.findings[0].fix.as_ref().unwrap();
/// assert!(matches!(fix, Fix::RemoveBinding { at: 1 }));
/// assert!(fix.apply(&mut topology));
/// assert!(topology.lint(&Default::default())?.findings.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fix {
    /// Take the binding out.
    RemoveBinding {
        /// Its place in [`Topology::bindings`].
        at: u32,
    },
    /// Put another binding in its place.
    ReplaceBinding {
        /// Its place in [`Topology::bindings`].
        at: u32,
        /// The other one.
        binding: BindingDefinition,
    },
}

impl Finding {
    pub(super) fn new(code: Code, culprit: Culprit, sentence: String) -> Self {
        Finding { code, severity: code.severity(), culprit, sentence, keys: Vec::new(), fix: None }
    }

    pub(super) fn of_binding(code: Code, topology: &Topology, at: usize, sentence: &str) -> Self {
        let binding = topology.bindings[at].clone();
        Finding::new(code, Culprit::Binding { at: at as u32, binding }, sentence.into())
    }
}

impl Fix {
    /// Changes the topology; false if there is no binding at the place. To apply several, begin with the last place.
    ///
    /// ```
    /// use keyrail_core::{Topology, lint::{Code, Fix}};
    ///
    /// let mut topology = Topology::from_lines("logs topic: # -> all\nlogs: a.* -> all\nlogs: b -> all")?;
    /// let mut fixes: Vec<Fix> =
    ///     topology.lint(&Default::default())?.findings.into_iter().filter_map(|finding| finding.fix).collect();
    /// fixes.sort_by_key(|fix| match fix {
    ///     Fix::RemoveBinding { at } | Fix::ReplaceBinding { at, .. } => std::cmp::Reverse(*at),
    /// });
    /// assert!(fixes.iter().all(|fix| fix.apply(&mut topology)));
    /// assert_eq!(topology.to_lines(), "logs topic\nqueue all\nlogs: # -> all\n");
    /// assert!(!Fix::RemoveBinding { at: 9 }.apply(&mut topology));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, topology: &mut Topology) -> bool {
        let (Fix::RemoveBinding { at } | Fix::ReplaceBinding { at, .. }) = self;
        let at = *at as usize;
        if at >= topology.bindings.len() {
            return false;
        }
        match self {
            Fix::RemoveBinding { .. } => drop(topology.bindings.remove(at)),
            Fix::ReplaceBinding { binding, .. } => topology.bindings[at] = binding.clone(),
        }
        true
    }
}

impl Code {
    /// The stable word, `shadowed-binding` for instance.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::AlternateMissing => "alternate-missing",
            Code::DeadLetterMissing => "dead-letter-missing",
            Code::InvalidPattern => "invalid-pattern",
            Code::DuplicateBinding => "duplicate-binding",
            Code::ShadowedBinding => "shadowed-binding",
            Code::NeverMatches => "never-matches",
            Code::UnreachableQueue => "unreachable-queue",
            Code::UnreachableExchange => "unreachable-exchange",
            Code::DeadEndExchange => "dead-end-exchange",
            Code::ExchangeCycle => "exchange-cycle",
            Code::AlternateLoop => "alternate-loop",
            Code::TooManyHashes => "too-many-hashes",
            Code::CostOverBudget => "cost-over-budget",
            Code::DialectTrap => "dialect-trap",
            Code::KombuInvalidPattern => "kombu-invalid-pattern",
            Code::KombuName => "kombu-name",
            Code::Undecided => "undecided",
        }
    }

    const fn severity(self) -> Severity {
        match self {
            Code::AlternateMissing | Code::DeadLetterMissing | Code::InvalidPattern => Severity::Error,
            Code::DialectTrap | Code::KombuInvalidPattern | Code::KombuName | Code::Undecided => {
                Severity::Info
            }
            _ => Severity::Warning,
        }
    }
}

impl Severity {
    /// `info`, `warning` or `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Culprit::Binding { binding, .. } => binding.fmt(f),
            Culprit::Exchange { name } => write!(f, "exchange `{name}`"),
            Culprit::Exchanges { names } => {
                f.write_str("exchanges ")?;
                for (at, name) in names.iter().enumerate() {
                    write!(f, "{}`{name}`", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Culprit::Queue { name } => write!(f, "queue `{name}`"),
        }
    }
}

/// `severity[code] culprit: sentence`, in one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] {}: {}", self.severity, self.code, self.culprit, self.sentence)
    }
}
