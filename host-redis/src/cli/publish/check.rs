//! What Kombu would stumble over, or nobody would ever see.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::super::{Failure, header::Header};

/// Kombu decodes JSON by its content type, and raises where it is none.
pub(super) fn is_readable(content_type: &str, body: &[u8]) -> Result<(), Failure> {
    if content_type != "application/json" {
        return Ok(());
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!(
            "--content-type {content_type}: the body is no JSON, and a Kombu consumer would raise: {}",
            keyrail_redis::json_error(&error)
        ))),
    }
}

/// An envelope has one value for each name.
pub(super) fn headers(headers: &[Header]) -> Result<(), Failure> {
    once("--header", headers)
}

/// Those of AMQP that are not written by a flag of their own.
const PROPERTIES: [&str; 8] =
    ["app_id", "cluster_id", "correlation_id", "message_id", "reply_to", "timestamp", "type", "user_id"];

/// Refuses what would not be honoured, and warns of what nobody may look for.
pub(super) fn properties(properties: &[Header]) -> Result<(), Failure> {
    once("--property", properties)?;
    for name in properties.iter().map(Header::name) {
        let instead = match name {
            "priority" => "use --priority",
            "expiration" => "use --expiration",
            "content_type" | "content-type" => "use --content-type",
            "delivery_mode" | "delivery_info" | "delivery_tag" | "body_encoding" => {
                "Kombu's transport writes it, and so does keyrail"
            }
            _ if PROPERTIES.contains(&name) => continue,
            _ => {
                let known = PROPERTIES.join(", ");
                tracing::warn!("`{name}` is no property of AMQP, and is sent as it is; those are {known}");
                continue;
            }
        };
        return Err(Failure::usage(format!("--property: `{name}` cannot be set so; {instead}")));
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
