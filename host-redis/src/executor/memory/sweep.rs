//! The sweep in memory, by the rules of the script.

use keyrail_core::kombu::Layout;

use super::{
    super::{Swept, sweep::AT_MOST},
    Entry, Store, Value,
    held::now,
};
use crate::ExecuteError;

impl Store {
    pub(super) fn sweep(&mut self, layout: &Layout) -> Result<Swept, ExecuteError> {
        let key = layout.binding_deadlines();
        self.check(&key, Some("zset"), "ZRANGEBYSCORE")?;
        let now = now() * 1000.0;
        let Some(Entry { value: Value::SortedSet(deadlines), .. }) = self.entry(&key) else {
            return Ok(Swept::default());
        };
        let mut due: Vec<(f64, String)> = deadlines
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(exchange, deadline)| (*deadline, exchange.clone()))
            .collect();
        due.sort_by(|left, right| left.0.total_cmp(&right.0).then_with(|| left.1.cmp(&right.1)));
        due.truncate(AT_MOST);
        for (_, exchange) in &due {
            deadlines.remove(exchange);
        }
        if deadlines.is_empty() {
            self.keys.remove(&key);
        }
        let mut deleted = 0;
        for (_, exchange) in &due {
            let (table, permanent) = (layout.binding_table(exchange), layout.permanent_table(exchange));
            let is_table = matches!(self.entry(&table), Some(Entry { value: Value::Set(_), .. }));
            if is_table && self.entry(&permanent).is_none() {
                self.keys.remove(&table);
                deleted += 1;
            }
        }
        Ok(Swept { due: due.len(), deleted })
    }
}
