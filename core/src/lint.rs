//! What is wrong with a topology, or will be.
//!
//! ```
//! use keyrail_core::{Topology, lint::{Code, Severity}};
//!
//! let topology: Topology = serde_json::from_str(r##"{
//!     "exchanges": [{"name": "logs", "kind": "topic", "alternateExchange": "lost"}],
//!     "queues": [{"name": "all"}],
//!     "bindings": [
//!         {"source": "logs", "destination": {"queue": "all"}, "routingKey": "#"},
//!         {"source": "logs", "destination": {"queue": "all"}, "routingKey": "*.error"}
//!     ]
//! }"##)?;
//! let report = topology.lint(&Default::default())?;
//! assert_eq!(report.worst(), Some(Severity::Error));
//! let codes: Vec<_> = report.findings.iter().map(|finding| finding.code.as_str()).collect();
//! assert_eq!(codes, ["alternate-missing", "shadowed-binding", "dialect-trap"]);
//!
//! // A fix changes the topology and not the way of any message.
//! let shadowed = report.findings.iter().find(|finding| finding.code == Code::ShadowedBinding).unwrap();
//! let mut fixed = topology.clone();
//! assert!(shadowed.fix.as_ref().unwrap().apply(&mut fixed));
//! assert_eq!(fixed.bindings.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::{string::String, vec::Vec};

use serde::Serialize;

use crate::{
    BindError, BindingRef, Router, Topology, TopologyError,
    id::BindingId,
    pattern::{Budget, Language, reading},
};

mod bindings;
mod cost;
mod finding;
mod graph;
mod portability;

pub use finding::{Code, Culprit, DialectAnswer, Finding, Fix, Severity};

/// How to lint.
///
/// ```
/// use keyrail_core::{Topology, lint::Options};
///
/// let topology = Topology::from_lines("logs topic: a.# -> all")?;
/// let findings = |options: &Options| topology.lint(options).unwrap().findings.len();
/// assert_eq!(findings(&Options::default()), 1); // Kombu reads `#` otherwise
/// assert_eq!(findings(&Options::default().portability(false)), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether to look for what other brokers read differently or refuse: [`Code::DialectTrap`],
    /// [`Code::KombuInvalidPattern`], [`Code::KombuName`]. On unless it is said.
    pub portability: bool,
    /// The most steps that a broker may take for one message at one exchange: [`Code::CostOverBudget`]. One million
    /// unless it is said, which is some tens of milliseconds.
    pub cost: u64,
    /// What deciding questions about patterns may take, all together; what it does not suffice for is reported as
    /// [`Code::Undecided`]. 200 million units unless it is said, which is a second or two.
    pub budget: Budget,
}

impl Options {
    /// Sets whether to look for what other brokers read differently.
    ///
    /// ```
    /// use keyrail_core::{Topology, lint::{Code, Options}};
    ///
    /// let topology = Topology::from_lines("logs topic: ab* -> all")?;
    /// let report = topology.lint(&Options::default().portability(true))?;
    /// assert!(report.findings.iter().any(|finding| finding.code == Code::DialectTrap));
    /// assert!(topology.lint(&Options::default().portability(false))?.findings.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn portability(self, portability: bool) -> Self {
        Options { portability, ..self }
    }

    /// Sets the most steps for one message at one exchange.
    ///
    /// ```
    /// use keyrail_core::{Topology, lint::{Code, Options}};
    ///
    /// let topology = Topology::from_lines("logs topic: #.a.#.b.# -> all")?;
    /// let costly = |options: &Options| {
    ///     let report = topology.lint(options).unwrap();
    ///     report.findings.iter().any(|finding| finding.code == Code::CostOverBudget)
    /// };
    /// assert!(!costly(&Options::default()) && costly(&Options::default().cost(10)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn cost(self, cost: u64) -> Self {
        Options { cost, ..self }
    }

    /// Sets what deciding may take.
    ///
    /// ```
    /// use keyrail_core::{Topology, lint::{Code, Options}, pattern::Budget};
    ///
    /// let topology = Topology::from_lines("logs topic: a.#.b.*.# -> all\nlogs: a.#.b.# -> all")?;
    /// let options = Options::default().portability(false);
    /// let codes = |options: &Options| -> Vec<Code> {
    ///     topology.lint(options).unwrap().findings.iter().map(|finding| finding.code).collect()
    /// };
    /// assert_eq!(codes(&options), [Code::ShadowedBinding]);
    /// assert_eq!(codes(&options.budget(Budget::new(0))), [Code::Undecided; 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn budget(self, budget: Budget) -> Self {
        Options { budget, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { portability: true, cost: 1_000_000, budget: Budget::new(200_000_000) }
    }
}

/// What [`Topology::lint`] found.
///
/// ```
/// use keyrail_core::{Topology, lint::Severity};
///
/// let topology = Topology::from_lines("logs topic else lost: * -> all\nqueue idle")?;
/// let report = topology.lint(&Default::default())?;
/// assert_eq!(report.worst(), Some(Severity::Error)); // there is no exchange `lost`
/// assert_eq!(report.count(Severity::Warning), 1); // nothing leads to `idle`
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The worst first; of one severity in the order of codes, and of one code in the order of the topology.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The severity of the worst finding.
    ///
    /// ```
    /// use keyrail_core::{Topology, lint::Severity};
    ///
    /// let worst = |lines: &str| {
    ///     let topology = Topology::from_lines(lines).unwrap();
    ///     topology.lint(&Default::default()).unwrap().worst()
    /// };
    /// assert_eq!(worst("logs fanout: -> all"), None);
    /// assert_eq!(worst("logs fanout else lost: -> all"), Some(Severity::Error));
    /// ```
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// How many findings have this severity.
    ///
    /// ```
    /// use keyrail_core::{Topology, lint::Severity};
    ///
    /// let topology = Topology::from_lines("logs fanout: -> all\nqueue idle\nqueue unused")?;
    /// let report = topology.lint(&Default::default())?;
    /// assert_eq!((report.count(Severity::Warning), report.count(Severity::Error)), (2, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl Topology {
    /// Looks for what is wrong: bindings that do nothing, exchanges and queues that nothing reaches, cycles, dangling
    /// names, and patterns that brokers read differently.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let topology = Topology::from_lines("logs direct: error -> all\nqueue idle")?;
    /// let report = topology.lint(&Default::default())?;
    /// let lines: Vec<String> = report.findings.iter().map(|finding| finding.to_string()).collect();
    /// assert_eq!(lines.len(), 1);
    /// assert!(lines[0].starts_with("warning[unreachable-queue] queue `idle`: no exchange leads to it"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that cannot be declared, with its place. A binding key that no Kombu can execute is no error but
    /// a finding.
    /// # Cost
    /// About linear in the bindings; bindings of one exchange to one destination are compared with those that could make
    /// them needless.
    pub fn lint(&self, options: &Options) -> Result<Report, TopologyError> {
        let mut findings = Vec::new();
        let router = self.router_without(|at, error| match error {
            BindError::InvalidPattern { ref reason, .. } => {
                findings.push(Finding {
                    severity: Severity::Error,
                    fix: Some(Fix::RemoveBinding { at: at as u32 }),
                    ..Finding::of_binding(Code::InvalidPattern, self, at, reason)
                });
                Ok(())
            }
            error => Err(error),
        })?;
        let mut lint = Lint::new(self, &router, options, findings);
        lint.bindings();
        lint.graph();
        lint.cost();
        if options.portability {
            lint.portability();
        }
        let mut findings = lint.findings;
        findings.sort_by_key(|finding| (core::cmp::Reverse(finding.severity), finding.code));
        Ok(Report { findings })
    }
}

/// What the single checks share.
struct Lint<'a> {
    topology: &'a Topology,
    router: &'a Router,
    options: &'a Options,
    budget: Budget,
    /// For each binding of the topology its number in the router; none if it was refused.
    ids: Vec<Option<BindingId>>,
    findings: Vec<Finding>,
}

/// What one question about two patterns may take.
const QUESTION: u64 = 200_000;

impl<'a> Lint<'a> {
    fn new(topology: &'a Topology, router: &'a Router, options: &'a Options, findings: Vec<Finding>) -> Self {
        let ids = topology.bindings.iter().map(|definition| {
            let (source, destination) = definition.ends(router).ok()?;
            router.binding_id(source, destination, &definition.binding())
        });
        let ids = ids.collect();
        Lint { topology, router, options, budget: options.budget, ids, findings }
    }

    /// The binding at this place of the topology.
    fn binding(&self, at: usize) -> Option<BindingRef<'a>> {
        self.router.binding(self.ids.get(at).copied().flatten()?)
    }

    fn language(&self, binding: &BindingRef<'_>) -> Option<Language> {
        let kind = self.router.exchange_properties(binding.source)?.kind();
        reading::language(kind, self.router.exchange_name(binding.source)?, binding)
    }

    fn report_binding(&mut self, code: Code, at: usize, sentence: impl Into<String>) -> &mut Finding {
        let finding = Finding::of_binding(code, self.topology, at, &sentence.into());
        self.push(finding)
    }

    fn report(&mut self, code: Code, culprit: Culprit, sentence: impl Into<String>) -> &mut Finding {
        self.push(Finding::new(code, culprit, sentence.into()))
    }

    fn push(&mut self, finding: Finding) -> &mut Finding {
        self.findings.push(finding);
        // INVARIANT: one was pushed the line before.
        self.findings.last_mut().unwrap_or_else(|| unreachable!())
    }
}
