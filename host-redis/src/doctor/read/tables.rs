//! Binding tables, the permanent bindings, and deadlines.

use std::collections::{BTreeMap, BTreeSet};

use keyrail_core::kombu::Member;
use redis::Value;

use super::{
    Reader,
    keys::Keys,
    wire::{ask, ask_at_once, cmd, number, pairs, scan_entries, text},
};
use crate::{ExecuteError, doctor::state::Table};

impl Reader<'_> {
    pub(super) async fn tables(&mut self, keys: &Keys) -> Result<(), ExecuteError> {
        let deadlines = self.deadlines().await?;
        let exchanges: BTreeSet<&String> =
            keys.tables.iter().chain(&keys.permanent).chain(deadlines.keys()).collect();
        let exchanges: Vec<&String> = exchanges.into_iter().collect();
        let table = exchanges.iter().map(|name| self.layout.binding_table(name)).collect();
        let permanent = exchanges.iter().map(|name| self.layout.permanent_table(name)).collect();
        let (table, permanent) = (self.sizes(table).await?, self.sizes(permanent).await?);
        for ((name, table), permanent) in exchanges.iter().zip(table).zip(permanent) {
            let deadline = deadlines.get(*name).cloned();
            let exists = !matches!(table, Size::Members(0));
            let mut read = Table { deadline, exists, is_read: true, ..Table::default() };
            // The permanent ones first: a row that is bound meanwhile is then no stray one.
            if let Some(rows) = self.members(&self.layout.permanent_table(name), permanent, &mut read).await?
            {
                read.permanent = rows.into_iter().collect();
            }
            if let Some(rows) = self.members(&self.layout.binding_table(name), table, &mut read).await? {
                self.looked.rows += rows.len();
                let parse = |row: Vec<u8>| {
                    let member = Member::parse(&row, &self.layout.sep);
                    (row, member)
                };
                read.rows = rows.into_iter().map(parse).collect();
            }
            self.strays(name, &mut read).await?;
            self.state.tables.insert((*name).clone(), read);
        }
        Ok(())
    }

    /// The sizes of sets.
    async fn sizes(&self, keys: Vec<String>) -> Result<Vec<Size>, ExecuteError> {
        let types = keys.iter().map(|key| cmd("TYPE", &[key.as_bytes()])).collect();
        let types: Vec<_> = ask(self.redis, types).await?.into_iter().map(text).collect();
        let sets = keys.iter().zip(&types).filter(|(_, kind)| kind.as_deref() == Some("set"));
        let sizes = ask(self.redis, sets.map(|(key, _)| cmd("SCARD", &[key.as_bytes()])).collect()).await?;
        let mut sizes = sizes.iter().map(number);
        let size = |kind: Option<String>| match kind.as_deref() {
            Some("none") => Size::Members(0),
            Some("set") => Size::Members(sizes.next().unwrap_or_default().unsigned_abs()),
            _ => Size::Other(kind.unwrap_or_else(|| "unknown type".into())),
        };
        Ok(types.into_iter().map(size).collect())
    }

    /// The members of a set; none of one that is too large or none at all, which is noted.
    async fn members(
        &mut self,
        key: &str,
        size: Size,
        table: &mut Table,
    ) -> Result<Option<Vec<Vec<u8>>>, ExecuteError> {
        match size {
            Size::Members(0) => return Ok(None),
            Size::Members(size) if size <= self.limits.rows => {}
            Size::Members(size) => {
                self.state.large.push((key.into(), size));
                table.is_read = false;
                return Ok(None);
            }
            Size::Other(found) => {
                self.state.wrong.push((key.into(), "set", found));
                table.is_read = false;
                return Ok(None);
            }
        }
        let limit = usize::try_from(self.limits.rows).unwrap_or(usize::MAX);
        let (rows, all) = scan_entries(self.redis, "SSCAN", key, limit).await?;
        table.is_read &= all;
        Ok(Some(rows))
    }

    /// Permanent rows that are not in the table, asked for once more: both sets at one moment.
    async fn strays(&self, exchange: &str, table: &mut Table) -> Result<(), ExecuteError> {
        if !table.is_read {
            return Ok(());
        }
        let suspects: Vec<_> =
            table.permanent.iter().filter(|row| !table.rows.contains_key(*row)).cloned().collect();
        let (own, permanent) = (self.layout.binding_table(exchange), self.layout.permanent_table(exchange));
        for row in suspects {
            let questions = vec![
                cmd("SISMEMBER", &[permanent.as_bytes(), &row]),
                cmd("SISMEMBER", &[own.as_bytes(), &row]),
                cmd("EXISTS", &[own.as_bytes()]),
            ];
            let answers = ask_at_once(self.redis, questions).await?;
            table.exists = answers.last().is_some_and(|exists| number(exists) == 1);
            if let [Value::Int(1), Value::Int(0), _] = answers[..] {
                table.stray.push(row);
            }
        }
        Ok(())
    }

    /// Exchanges and their deadlines, as the server wrote them.
    async fn deadlines(&mut self) -> Result<BTreeMap<String, String>, ExecuteError> {
        let key = self.layout.binding_deadlines();
        if !self.is_of_type(&key, "zset").await? {
            return Ok(BTreeMap::new());
        }
        let limit = usize::try_from(self.limits.rows).unwrap_or(usize::MAX).saturating_mul(2);
        let (entries, all) = scan_entries(self.redis, "ZSCAN", &key, limit).await?;
        if !all {
            self.left_out(format!("deadlines behind the first {}: raise --max-bindings", self.limits.rows));
        }
        let texts = pairs(entries).into_iter();
        let texts = texts.filter_map(|(exchange, deadline)| {
            Some((String::from_utf8(exchange).ok()?, String::from_utf8(deadline).ok()?))
        });
        Ok(texts.collect())
    }

    /// Whether the key is there and what it should be; another type is noted.
    pub(super) async fn is_of_type(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<bool, ExecuteError> {
        let kind = ask(self.redis, vec![cmd("TYPE", &[key.as_bytes()])]).await?.pop().and_then(text);
        match kind.as_deref() {
            Some("none") => Ok(false),
            Some(found) if found == expected => Ok(true),
            found => {
                let found = found.unwrap_or("unknown type").to_owned();
                self.state.wrong.push((key.into(), expected, found));
                Ok(false)
            }
        }
    }
}

enum Size {
    Members(u64),
    Other(String),
}
