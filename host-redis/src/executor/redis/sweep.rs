//! The sweep as a script.

use ::redis::Value;
use keyrail_core::kombu::Layout;

use super::{
    super::{Swept, sweep::AT_MOST},
    Redis,
};
use crate::ExecuteError;

pub(super) async fn sweep(redis: &Redis, layout: &Layout) -> Result<Swept, ExecuteError> {
    let mut script = redis.scripts.sweep.prepare_invoke();
    script.key(layout.binding_deadlines());
    script.arg(layout.binding_table("")).arg(layout.permanent_table("")).arg(AT_MOST);
    let count = |value: &Value| match value {
        Value::Int(count) => usize::try_from(*count).unwrap_or_default(),
        _ => 0,
    };
    match redis.invoke(&script).await? {
        Value::Array(counts) => match &counts[..] {
            [due, deleted] => Ok(Swept { due: count(due), deleted: count(deleted) }),
            _ => Err(ExecuteError::Server { message: "the script to sweep got lost".into() }),
        },
        _ => {
            Err(ExecuteError::WrongType { key: layout.binding_deadlines().into(), command: "ZRANGEBYSCORE" })
        }
    }
}
