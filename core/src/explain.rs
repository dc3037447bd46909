//! How a binding matched, or where it failed: the details of a [`Trace`](crate::Trace).

mod how;
mod near_miss;
mod passed_over;
mod suggest;
mod text;

pub(crate) use how::selected_key;
pub use how::{HeaderVerdict, How, MatchMode, SelectedKey, Verdict, WordKind, WordMatch};
pub(crate) use near_miss::NearMisses;
pub use near_miss::{Mismatch, NearMiss};
pub use passed_over::Buckets;
