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
    /// ```
    /// use keyrail_redis::{Connection, doctor::{Doctor, Limits}};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    /// let nobody = Connection::new(&format!("redis://127.0.0.1:{port}")).unwrap(); // listens there
    /// let error = Doctor::connect(&nobody, Limits::default()).await.unwrap_err();
    /// assert_eq!(error.code(), "redis-unreachable");
    /// # });
    /// ```
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
    /// ```no_run
    /// use keyrail_core::lint::Severity;
    /// use keyrail_redis::{Connection, doctor::{Doctor, Limits}};
    ///
    /// # async fn examine() -> Result<(), Box<dyn std::error::Error>> {
    /// let connection = Connection::new("redis://127.0.0.1/0")?;
    /// let report = Doctor::connect(&connection, Limits::default()).await?.examine().await?;
    /// println!("{} errors in {} keys", report.count(Severity::Error), report.looked.keys);
    /// # Ok(())
    /// # }
    /// ```
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
