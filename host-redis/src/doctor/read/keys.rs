//! Which keys there are.

use std::collections::BTreeSet;

use redis::Value;

use super::{
    Reader,
    wire::{ask, cmd, scan_page, text},
};
use crate::ExecuteError;

/// The keys that the other readers look into, by what their names say they are.
#[derive(Default)]
pub(super) struct Keys {
    /// Exchanges with a table.
    pub(super) tables: BTreeSet<String>,
    /// Exchanges with permanent bindings.
    pub(super) permanent: BTreeSet<String>,
    /// Lists under no name of Kombu's or keyrail's own: queues perhaps.
    pub(super) lists: BTreeSet<String>,
    /// Queues that have a quarantine list.
    pub(super) quarantines: BTreeSet<String>,
}

const TABLE: &str = "_kombu.binding.";

/// Celery's results: there may be millions, and each is a plain value.
const RESULTS: [&str; 2] = ["celery-task-meta-", "celery-taskset-meta-"];

impl Keys {
    pub(super) async fn read(reader: &mut Reader<'_>) -> Result<Self, ExecuteError> {
        let mut keys = Keys::default();
        let redis = reader.redis;
        reader.state.complete = true;
        if redis.link().is_cluster() {
            for mut server in redis.link().each().await? {
                keys.of(reader, &mut server).await?;
            }
        } else {
            keys.of(reader, &mut redis.link().clone()).await?;
        }
        if !reader.state.complete {
            let limit = reader.limits.keys;
            reader.left_out(format!("keys behind the first {limit}: raise --max-keys"));
        }
        Ok(keys)
    }

    async fn of(
        &mut self,
        reader: &mut Reader<'_>,
        server: &mut impl redis::aio::ConnectionLike,
    ) -> Result<(), ExecuteError> {
        let mut cursor = 0;
        loop {
            let (next, page) = scan_page(reader.redis, server, cursor).await?;
            let room = reader.limits.keys.saturating_sub(reader.looked.keys);
            reader.state.complete &= page.len() <= room;
            let mut unknown = Vec::new();
            for key in page.into_iter().take(room) {
                reader.looked.keys += 1;
                // Kombu cannot name anything else.
                if let Ok(key) = String::from_utf8(key)
                    && !self.is_named(reader, &key)
                {
                    unknown.push(key);
                }
            }
            let types = unknown.iter().map(|key| cmd("TYPE", &[key.as_bytes()])).collect();
            let types = ask(reader.redis, types).await?;
            let lists = unknown.into_iter().zip(types).filter(|(_, kind)| is_list(kind)).map(|(key, _)| key);
            self.lists.extend(lists);
            if next == 0 || !reader.state.complete {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Whether the name says all there is to say about the key.
    fn is_named(&mut self, reader: &mut Reader<'_>, key: &str) -> bool {
        let layout = reader.layout;
        let Some(own) = key.strip_prefix(&*layout.global_keyprefix) else {
            if let Some(at) = key.find(TABLE) {
                *reader.state.prefixes.entry(key[..at].into()).or_default() += 1;
            }
            return true;
        };
        if let Some(exchange) = own.strip_prefix(TABLE) {
            self.tables.insert(exchange.into());
        } else if let Some(exchange) = own.strip_prefix("_kombu.binding_permanent.") {
            self.permanent.insert(exchange.into());
        } else if let Some(queue) = own.strip_prefix("keyrail.quarantine.") {
            self.quarantines.insert(queue.into());
        } else if let Some(at) = own.find(TABLE) {
            let at = layout.global_keyprefix.len() + at;
            *reader.state.prefixes.entry(key[..at].into()).or_default() += 1;
        } else {
            let named = [&layout.unacked_key, &layout.unacked_index_key, &layout.unacked_mutex_key];
            return own.starts_with("keyrail.")
                || own == "_kombu.binding_deadlines"
                || named.into_iter().any(|name| own == name)
                || RESULTS.iter().any(|result| own.starts_with(result));
        }
        true
    }
}

fn is_list(kind: &Value) -> bool {
    text(kind.clone()).as_deref() == Some("list")
}
