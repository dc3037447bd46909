//! The router of an instance, and whether it is followed or follows.

use keyrail_core::{Follower, Operation, Router, Source};

use crate::error::Failure;

#[derive(Debug)]
pub(crate) enum Held {
    Own(Router),
    /// Its changes are written down for others.
    Source(Source),
    /// A copy, changed by what it follows and by nothing else.
    Follower(Follower),
}

impl Held {
    #[inline(always)]
    pub(crate) fn router(&self) -> &Router {
        match self {
            Held::Own(router) => router,
            Held::Source(source) => source.router(),
            Held::Follower(follower) => follower.router(),
        }
    }

    pub(crate) fn apply(&mut self, operation: &Operation) -> Result<(), Failure> {
        match self {
            Held::Own(router) => router.apply(operation)?,
            Held::Source(source) => source.apply(operation)?,
            Held::Follower(_) => {
                let message = "the router follows another one and takes no changes of its own";
                return Err(Failure::new("read-only", message));
            }
        }
        Ok(())
    }
}
