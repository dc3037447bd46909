//! What is wrong in a Redis that Kombu, Celery and keyrail share, and what to do about it.
//!
//! An examination reads in small steps and changes nothing. It judges by what is in Redis alone, and where that does not
//! say enough a finding says what is not known. A repair is one step on the server that first makes sure that everything
//! is still as it was read, and notes what it changed, so that it can be taken back. No repair deletes a payload.
//!
//! ```no_run
//! use keyrail_redis::{Connection, doctor::{Doctor, Limits}};
//!
//! # async fn examine() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::new("redis://127.0.0.1/0")?;
//! let doctor = Doctor::connect(&connection, Limits::default()).await?;
//! for finding in &doctor.examine().await?.findings {
//!     println!("{finding}; repair: {}", finding.repair);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `read.rs`, `read/` | reads Redis into a `State` |
//! | `check.rs`, `check/` | judges a `State`; asks nobody |
//! | `step.rs` | a repair as data, and what takes it back |
//! | `repair.rs`, `step.lua`, `record.rs` | carries repairs out and takes them back |

use std::time::Duration;

use keyrail_core::kombu::Layout;

use crate::{Connection, ExecuteError, HostError, Redis};

mod check;
mod code;
mod finding;
mod limits;
mod read;
mod record;
mod repair;
mod state;
mod step;

pub use code::{Code, Repair, UnknownCode};
pub use finding::{Culprit, Finding, Looked, Report};
pub use limits::Limits;
pub use repair::{Mended, Repaired, Undone};

/// Looks at one Redis by one layout of keys.
#[derive(Debug)]
pub struct Doctor {
    redis: Redis,
    layout: Layout,
    visibility_timeout: Duration,
    limits: Limits,
}

impl Doctor {
    /// Connects. The connection's transport options say how keys are named, and from when on a delivery is overdue.
    ///
    /// # Errors
    /// Those of [`Connection::connect`].
    pub async fn connect(connection: &Connection, limits: Limits) -> Result<Self, ExecuteError> {
        let options = connection.options();
        Ok(Doctor {
            redis: connection.connect().await?,
            layout: options.layout.clone(),
            visibility_timeout: options.visibility_timeout,
            limits,
        })
    }

    /// Looks at everything, and changes nothing.
    ///
    /// # Errors
    /// Those of the executor; a login that may not read a key, by the key.
    /// # Cost
    /// Each key is listed and asked for its type once, tables and registers are read as far as the limits allow, in
    /// pages: no command of it takes longer than some hundred entries do.
    pub async fn examine(&self) -> Result<Report, HostError> {
        let visibility = self.visibility_timeout.as_secs_f64();
        let (state, looked) = read::read(&self.redis, &self.layout, &self.limits, visibility).await?;
        let mut findings = check::findings(&state, &self.layout);
        let unnamed = findings.len().saturating_sub(self.limits.findings);
        findings.truncate(self.limits.findings);
        Ok(Report { findings, unnamed, looked })
    }
}
