//! keyrail's own entries.

use std::collections::HashSet;

use keyrail_core::{BindingDefinition, ExchangeDefinition, PolicyDefinition, QueueDefinition};
use redis::Value;
use serde::de::DeserializeOwned;

use super::{
    Reader,
    wire::{ask_one, cmd, number, pairs, scan_entries},
};
use crate::{ExecuteError, doctor::state::Unreadable, registry};

/// Field and value of a hash.
type Field = (Vec<u8>, Vec<u8>);

impl Reader<'_> {
    pub(super) async fn own(&mut self) -> Result<(), ExecuteError> {
        let layout = self.layout;
        self.fields::<ExchangeDefinition>(registry::exchanges_key(layout)).await?;
        self.fields::<PolicyDefinition>(registry::policies_key(layout)).await?;
        self.state.own.queues = self.fields::<QueueDefinition>(registry::queues_key(layout)).await?;
        let key = registry::bindings_key(layout);
        if let Some(members) = self.entries(&key, "set", "SSCAN").await? {
            for member in members {
                match serde_json::from_slice(&member) {
                    Ok(binding) => self.state.own.bindings.push(binding),
                    Err(error) => self.unreadable(&key, None, member, error.to_string()),
                }
            }
        }
        self.buckets().await
    }

    /// The values of a hash that can be read; the others are noted.
    async fn fields<T: DeserializeOwned>(&mut self, key: String) -> Result<Vec<T>, ExecuteError> {
        let mut values = Vec::new();
        for (field, value) in self.hash(&key).await? {
            match serde_json::from_slice(&value) {
                Ok(value) => values.push(value),
                Err(error) => self.unreadable(&key, Some(field), value, error.to_string()),
            }
        }
        Ok(values)
    }

    async fn hash(&mut self, key: &str) -> Result<Vec<Field>, ExecuteError> {
        Ok(pairs(self.entries(key, "hash", "HSCAN").await?.unwrap_or_default()))
    }

    async fn entries(
        &mut self,
        key: &str,
        kind: &'static str,
        scan: &str,
    ) -> Result<Option<Vec<Vec<u8>>>, ExecuteError> {
        if !self.is_of_type(key, kind).await? {
            return Ok(None);
        }
        let limit = usize::try_from(self.limits.rows).unwrap_or(usize::MAX).saturating_mul(2);
        let (entries, all) = scan_entries(self.redis, scan, key, limit).await?;
        if !all {
            let rows = self.limits.rows;
            self.left_out(format!("entries of `{key}` behind the first {rows}: raise --max-bindings"));
        }
        Ok(Some(entries))
    }

    fn unreadable(&mut self, key: &str, field: Option<Vec<u8>>, value: Vec<u8>, reason: String) {
        self.state.own.unreadable.push(Unreadable { key: key.into(), field, value, reason });
    }

    /// Owners of buckets: fields that name a binding, and their turns.
    async fn buckets(&mut self) -> Result<(), ExecuteError> {
        let key = registry::buckets_key(self.layout);
        let bound: HashSet<String> = self.state.own.bindings.iter().map(registry::bucket_field).collect();
        for (field, value) in self.hash(&key).await? {
            let binding = serde_json::from_slice::<BindingDefinition>(&field);
            let turn = serde_json::from_slice::<u64>(&value);
            match (binding, turn) {
                (Ok(binding), Ok(_)) => {
                    let member = registry::bucket_field(&binding);
                    if !bound.contains(&member) && self.is_unbound(&member).await? {
                        self.state.own.stray_buckets.push((field, value));
                    }
                }
                (Err(error), _) | (_, Err(error)) => {
                    self.unreadable(&key, Some(field), value, error.to_string());
                }
            }
        }
        Ok(())
    }

    /// It may have been bound since.
    async fn is_unbound(&self, member: &str) -> Result<bool, ExecuteError> {
        let key = registry::bindings_key(self.layout);
        let value = ask_one(self.redis, cmd("SISMEMBER", &[key.as_bytes(), member.as_bytes()])).await;
        match value {
            Ok(value) => Ok(number(&value) == 0),
            // Another type, which is noted already.
            Err(ExecuteError::Server { message }) if message.contains("WRONGTYPE") => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether a value is there at all.
pub(super) const fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil)
}
