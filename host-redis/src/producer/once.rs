//! Publishes that leave no second copy when they are tried again.
//!
//! The script that pushes also writes a marker under the message's tag, in one step. An attempt that finds the marker
//! pushes nothing and answers what the first one would have answered.

use keyrail_core::kombu::{Command, Plan};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Confirm, Prepared, ProduceError, Producer};
use crate::{
    ExecuteError, HostError, Reply,
    connection::slots::tag_beside,
    executor::{Once, Ran},
    publish::Ways,
};

/// What the marker remembers of a publish.
#[derive(Serialize, Deserialize)]
struct Noted {
    queues: Vec<String>,
    fanout: Vec<String>,
    dead_lettered: bool,
}

impl Producer {
    /// How to run the plan of this message once, if the options ask for that.
    pub(super) fn once(&self, prepared: &Prepared<'_>, ways: &Ways, dead_lettered: bool) -> Option<Once> {
        let noted = Noted { queues: ways.queues.clone(), fanout: ways.fanout.clone(), dead_lettered };
        Some(Once {
            window: self.options.once?,
            marker: self.marker(prepared),
            // Lists of texts: nothing that JSON cannot take, and no line break.
            note: serde_json::to_string(&noted).unwrap_or_default(),
        })
    }

    fn marker(&self, prepared: &Prepared<'_>) -> String {
        format!("{}keyrail.once.{}", self.layout.global_keyprefix, Uuid::from_u128(prepared.asked.tag))
    }

    /// What is known of a message whose plan was run now, or before.
    pub(super) fn told(
        &self,
        prepared: &Prepared<'_>,
        ways: Ways,
        plan: &Plan,
        dead_lettered: bool,
        ran: Ran,
    ) -> Result<Confirm, ProduceError> {
        let (note, counts) = match ran {
            Ran::Now(replies) => {
                return self.confirm(&prepared.asked, ways, &plan.commands, &replies, dead_lettered);
            }
            Ran::Before { note, counts } => (note, counts),
        };
        let noted: Noted = serde_json::from_str(&note).map_err(|error| {
            let message = format!("`{}` is no note of a publish: {error}", self.marker(prepared));
            HostError::from(ExecuteError::Server { message: message.into() })
        })?;
        let ways = Ways { queues: noted.queues, fanout: noted.fanout };
        let commands = self.plan(prepared, &ways, None).commands;
        let replies: Vec<Reply> = counts.into_iter().map(Reply::Count).collect();
        self.confirm(&prepared.asked, ways, &commands, &replies, noted.dead_lettered)
    }

    /// On a cluster, where each copy and each fanout message is a step of its own: its marker lies beside its list, and is
    /// that list's alone, or that channel's. Which of the copies it is may be another number when it is tried again.
    pub(super) async fn copy_once(
        &self,
        prepared: &Prepared<'_>,
        command: &Command,
    ) -> Result<Reply, ExecuteError> {
        let plan = Plan { commands: vec![command.clone()], atomic: false };
        let marker = match (self.options.once, command) {
            (None, _) => None,
            (Some(_), Command::LPush { key, .. }) => Some(self.marker_beside(prepared, key)?),
            // A channel lies in no slot, and its marker in any.
            (Some(_), Command::Publish { channel, .. }) => {
                Some(format!("{}.{channel}", self.marker(prepared)))
            }
            // Living on is not done twice by being asked for twice.
            _ => None,
        };
        let (Some(window), Some(marker)) = (self.options.once, marker) else {
            let mut replies = crate::Executor::run(&self.redis, &plan).await?;
            return Ok(replies.pop().unwrap_or(Reply::Value(None)));
        };
        let once = Once { marker, window, note: "{}".into() };
        let reply = match self.redis.run_once(&plan, &once).await? {
            Ran::Now(mut replies) => replies.pop(),
            Ran::Before { counts, .. } => counts.first().copied().map(Reply::Count),
        };
        Ok(reply.unwrap_or(Reply::Value(None)))
    }

    /// The marker of the copy in this list, in the list's slot.
    fn marker_beside(&self, prepared: &Prepared<'_>, list: &str) -> Result<String, ExecuteError> {
        let Some(tag) = tag_beside(list) else {
            let message =
                format!("no marker can lie in the slot of `{list}`, whose name has a `}}` and no hash tag");
            return Err(ExecuteError::Server { message: message.into() });
        };
        let mut marker = format!("{}.{{{tag}}}", self.marker(prepared));
        // Other lists may have this tag, too.
        if tag != list {
            marker.push_str(list);
        }
        Ok(marker)
    }
}
