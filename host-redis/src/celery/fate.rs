//! What becomes of a result that could not be stored.

use std::time::Duration;

use crate::{ExecuteError, consumer::outage::passes};

/// The least that a server may find too large: nobody can set `proto-max-bulk-len` below.
pub(super) const LARGE: usize = 1 << 20;

/// So often a server may hang up on a large result before that counts as its answer.
const HANGS_UP: u32 = 3;

/// So often an error is tried again of which nobody knows whether it passes: for a quarter of a minute.
const UNKNOWN: u32 = 10;

/// What to do after an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Again(Duration),
    TooLarge,
    Never,
}

/// The errors of one result so far.
#[derive(Debug, Default)]
pub(super) struct Fate {
    tries: u32,
    hung_up: u32,
    unknown: u32,
}

impl Fate {
    /// `large` if what the server was sent may have been too large for it.
    pub(super) fn after(&mut self, error: &ExecuteError, large: bool) -> Verdict {
        match error {
            // A server says so and hangs up, and often only the latter is heard.
            ExecuteError::Disconnected { .. } if large => {
                self.hung_up += 1;
                if self.hung_up == HANGS_UP {
                    return Verdict::TooLarge;
                }
            }
            ExecuteError::Server { message } if large && message.contains("invalid bulk length") => {
                return Verdict::TooLarge;
            }
            ExecuteError::WrongType { .. } => return Verdict::Never,
            error if passes(error) || wants_login(error) => {}
            _ => {
                self.unknown += 1;
                if self.unknown == UNKNOWN {
                    return Verdict::Never;
                }
            }
        }
        self.tries += 1;
        Verdict::Again(Duration::from_millis(25) * (1 << self.tries.min(7)))
    }
}

/// Whether somebody has to see to the login. Every result fails then, and none should be lost by it.
fn wants_login(error: &ExecuteError) -> bool {
    match error {
        ExecuteError::Authentication { .. } => true,
        ExecuteError::Server { message } => {
            ["NOAUTH", "NOPERM", "WRONGPASS"].iter().any(|code| message.starts_with(code))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(message: &str) -> ExecuteError {
        ExecuteError::Server { message: message.into() }
    }

    fn tries(error: &ExecuteError, large: bool) -> (usize, Verdict) {
        let mut fate = Fate::default();
        let verdicts = std::iter::repeat_with(|| fate.after(error, large)).take(100);
        let verdicts: Vec<_> = verdicts.collect();
        let end = verdicts.iter().position(|verdict| !matches!(verdict, Verdict::Again(_)));
        let at = end.unwrap_or(99);
        (at, verdicts.into_iter().nth(at).expect("a hundred"))
    }

    #[test]
    fn outages_and_logins_are_waited_for() {
        let cut = ExecuteError::Disconnected { address: "here".into(), reason: "cut".into() };
        for error in [server("OOM x"), server("MISCONF x"), server("NOPERM x"), cut.clone()] {
            assert_eq!(tries(&error, false), (99, Verdict::Again(Duration::from_millis(3200))), "{error}");
        }
        assert_eq!(tries(&cut, true), (2, Verdict::TooLarge));
    }

    #[test]
    fn what_never_passes_is_given_up() {
        let wrong = ExecuteError::WrongType { key: "k".into(), command: "GET" };
        assert_eq!(tries(&wrong, false), (0, Verdict::Never));
        assert_eq!(tries(&server("ERR unknown command"), false), (9, Verdict::Never));
        assert_eq!(tries(&server("ERR Protocol error: invalid bulk length"), true), (0, Verdict::TooLarge));
    }
}
