//! From a message to the queues that get it.

use std::{cell::RefCell, collections::HashSet};

use keyrail_core::{Message as Routed, Outcome, PublishError, Router, Routes, Table, Trace, kombu::Layout};

use super::{Asked, Message, Prepared};
use crate::{
    HostError, names,
    publish::{Ways, hashed},
    table::Reach,
};

thread_local! {
    /// Results and scratch of one route, and the cache of the last ones.
    static ROUTES: RefCell<Routes> = RefCell::new(Routes::new());
}

/// By a table. Without fanout exchanges no trace is written.
pub(super) fn by_table(reach: &Reach, prepared: &Prepared<'_>) -> Result<Ways, HostError> {
    let router = &reach.router;
    let Asked { message: Message { headers, .. }, exchange, routing_key, tag } = prepared.asked;
    let (id, message) = router.message(exchange, routing_key, Some(headers))?;
    let message = if reach.hashes { hashed(message, &prepared.envelope) } else { message };
    // Counting on from a random number is no chance; mixed, it is enough of one for a random exchange.
    let message = message.random(mixed(tag));
    if reach.fans_out {
        let mut trace = Trace::new();
        let _ = router.explain(id, &message, &mut trace);
        return Ok(Ways::of(&trace));
    }
    let queues = ROUTES.with_borrow_mut(|routes| match router.route(id, &message, routes) {
        Outcome::Routed => names(router, routes),
        Outcome::Unroutable | Outcome::UnknownExchange => Vec::new(),
    });
    Ok(Ways { queues, fanout: Vec::new() })
}

fn names(router: &Router, routes: &Routes) -> Vec<String> {
    routes.queues().iter().filter_map(|queue| router.queue_name(*queue)).map(str::to_owned).collect()
}

/// On Kombu's default exchange a key names the list, whether or not anybody declared the queue.
pub(super) fn by_name(
    layout: &Layout,
    routing_key: &[u8],
    headers: &Table,
    limit: usize,
) -> Result<Ways, HostError> {
    let message = Routed::new(routing_key).headers(headers)?;
    let length = routing_key.len();
    if length > limit {
        return Err(PublishError::KeyTooLong { length, limit }.into());
    }
    // The first key, the routing key, was looked at.
    for queue in message.keys().skip(1) {
        names::check_queue(layout, queue)?;
    }
    let mut known = HashSet::new();
    let names = message.keys().map(String::from_utf8_lossy).filter(|name| !name.is_empty());
    let queues = names.filter(|name| known.insert(name.clone())).map(|name| name.into_owned()).collect();
    Ok(Ways { queues, fanout: Vec::new() })
}

/// The tag's bits, each of which depends on all of them (the finish of splitmix64).
const fn mixed(tag: u128) -> u64 {
    let mut bits = (tag >> super::COPIES) as u64 ^ (tag >> 64) as u64;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
