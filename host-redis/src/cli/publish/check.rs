//! What Kombu would stumble over, or nobody would ever see, in the words of the flags.

use std::collections::HashSet;

use keyrail_redis::sendable::{self, PROPERTIES, Unsendable};

use super::super::{Failure, header::Header};

/// Kombu decodes JSON by its content type, and raises where it is none.
pub(super) fn is_readable(content_type: &str, body: &[u8]) -> Result<(), Failure> {
    let refused = |error| Failure::usage(format!("--content-type {content_type}: {error}"));
    sendable::body(content_type, body).map_err(refused)
}

/// An envelope has one value for each name, and its body is packed by whoever says so.
pub(super) fn headers(headers: &[Header]) -> Result<(), Failure> {
    once("--header", headers)?;
    let refused = |error| Failure::usage(format!("--header: {error}; use --compression"));
    headers.iter().try_for_each(|header| sendable::header(header.name())).map_err(refused)
}

/// Refuses what would not be honoured, and warns of what nobody may look for.
pub(super) fn properties(properties: &[Header]) -> Result<(), Failure> {
    once("--property", properties)?;
    for name in properties.iter().map(Header::name) {
        match sendable::property(name) {
            Ok(true) => {}
            Ok(false) => {
                let known = PROPERTIES.join(", ");
                tracing::warn!("`{name}` is no property of AMQP, and is sent as it is; those are {known}");
            }
            Err(error @ Unsendable::OwnPlace { .. }) => {
                let flag = name.replace('_', "-");
                return Err(Failure::usage(format!("--property: {error}; use --{flag}")));
            }
            Err(error) => return Err(Failure::usage(format!("--property: {error}"))),
        }
    }
    Ok(())
}

fn once(flag: &str, given: &[Header]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    match given.iter().map(Header::name).find(|name| !seen.insert(*name)) {
        Some(name) => Err(Failure::usage(format!("{flag}: `{name}` is given twice"))),
        None => Ok(()),
    }
}
