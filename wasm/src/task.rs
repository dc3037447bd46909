//! Celery's tasks over Kombu's Redis wire, as data.

use keyrail_core::kombu::{Envelope, Json, Task};
use serde::Deserialize;

use crate::plan::members;

/// A call of a task, its address apart ([`Address`](crate::plan::Address) has that).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Call {
    name: String,
    id: String,
    #[serde(default)]
    args: Vec<Json>,
    kwargs: Option<Json>,
    eta: Option<String>,
    expires: Option<String>,
    expires_ms: Option<u64>,
    #[serde(default)]
    retries: u32,
    time_limit: Option<f64>,
    soft_time_limit: Option<f64>,
    root_id: Option<String>,
    parent_id: Option<String>,
    group: Option<String>,
    group_index: Option<u32>,
    shadow: Option<String>,
    origin: Option<String>,
    reply_to: Option<String>,
    #[serde(default)]
    ignore_result: bool,
    priority: Option<Json>,
    headers: Option<Json>,
    callbacks: Option<Json>,
    errbacks: Option<Json>,
    chain: Option<Json>,
    chord: Option<Json>,
}

impl Call {
    pub(crate) fn envelope(self) -> Envelope {
        let or_null = |json: Option<Json>| json.unwrap_or(Json::Null);
        Task {
            args: self.args,
            kwargs: members(&self.kwargs).cloned().collect(),
            eta: self.eta,
            expires: self.expires,
            expires_ms: self.expires_ms,
            retries: self.retries,
            time_limit: self.time_limit,
            soft_time_limit: self.soft_time_limit,
            root_id: self.root_id,
            parent_id: self.parent_id,
            group: self.group,
            group_index: self.group_index,
            shadow: self.shadow,
            origin: self.origin,
            reply_to: self.reply_to,
            ignore_result: self.ignore_result,
            priority: self.priority.unwrap_or(Json::Int(0)),
            headers: members(&self.headers).cloned().collect(),
            callbacks: or_null(self.callbacks),
            errbacks: or_null(self.errbacks),
            chain: or_null(self.chain),
            chord: or_null(self.chord),
            ..Task::new(&self.name, &self.id)
        }
        .envelope()
    }
}
