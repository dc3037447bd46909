//! Celery's tasks over Kombu's Redis wire, as data.

use keyrail_core::kombu::{Envelope, Json, Task};

use crate::{
    fields::{Fields, Read, json},
    node::Node,
};

/// A call of a task, its address apart ([`Address`](crate::plan::Address) has that).
pub(crate) fn envelope(node: &Node) -> Read<Envelope> {
    let fields = Fields::of(node)?;
    let text = |name| Ok(fields.maybe_text(name)?.map(String::from));
    let or_null = |name| Ok(fields.json(name)?.unwrap_or(Json::Null));
    Ok(Task {
        args: fields.list("args")?.iter().map(json).collect::<Read<_>>()?,
        kwargs: fields.members("kwargs")?.into_iter().collect(),
        eta: text("eta")?,
        expires: text("expires")?,
        expires_ms: fields.size("expiresMs")?,
        retries: fields.size("retries")?.unwrap_or_default() as u32,
        time_limit: fields.number("timeLimit")?,
        soft_time_limit: fields.number("softTimeLimit")?,
        root_id: text("rootId")?,
        parent_id: text("parentId")?,
        group: text("group")?,
        group_index: fields.size("groupIndex")?.map(|index| index as u32),
        shadow: text("shadow")?,
        origin: text("origin")?,
        reply_to: text("replyTo")?,
        ignore_result: fields.flag("ignoreResult")?,
        priority: fields.json("priority")?.unwrap_or(Json::Int(0)),
        headers: fields.members("headers")?.into_iter().collect(),
        callbacks: or_null("callbacks")?,
        errbacks: or_null("errbacks")?,
        chain: or_null("chain")?,
        chord: or_null("chord")?,
        ..Task::new(&fields.text("name")?, &fields.text("id")?)
    }
    .envelope())
}
