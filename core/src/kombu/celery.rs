//! Celery's task messages, protocol 2.

use alloc::string::String;
use alloc::vec::Vec;

use super::envelope::Envelope;
use super::json::{Json, write_array, write_object};
use super::repr;

/// A call of a Celery task.
///
/// `Celery` routes a task by default through the default exchange to the queue `celery`, so the envelope goes to
/// [`plan::publish_default`](super::plan::publish_default) with the routing key `celery`.
///
/// ```
/// use keyrail_core::kombu::{Json, Layout, Task, plan};
///
/// let mut task = Task::new("capp.add", "11111111-2222-3333-4444-555555555555");
/// task.args = vec![Json::from(2), Json::from(3)];
/// let plan = plan::publish_default(&Layout::default(), "celery", &task.envelope(), "a-tag");
/// assert_eq!(plan.commands.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The name under which the task is registered, such as `shop.tasks.charge`.
    pub name: String,
    /// The id of this call; the result is kept under it.
    pub id: String,
    /// The positional arguments.
    pub args: Vec<Json>,
    /// The arguments with names.
    pub kwargs: Vec<(String, Json)>,
    /// Not before: ISO 8601 with an offset. A worker takes the message at once and holds it until then, so a time
    /// beyond the visibility timeout runs the task twice.
    pub eta: Option<String>,
    /// Not after: ISO 8601 with an offset.
    pub expires: Option<String>,
    /// The same in milliseconds from now, which Celery also writes into the property `expiration`.
    pub expires_ms: Option<u64>,
    /// How often it was tried before.
    pub retries: u32,
    /// Hard limit in seconds.
    pub time_limit: Option<f64>,
    /// Soft limit in seconds.
    pub soft_time_limit: Option<f64>,
    /// The first task of the work flow; itself if nothing else is said.
    pub root_id: Option<String>,
    /// The task that called it.
    pub parent_id: Option<String>,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// Its place in the group.
    pub group_index: Option<u32>,
    /// A name to show instead of the task's.
    pub shadow: Option<String>,
    /// Who sent it, `gen<pid>@<host>` from Celery itself.
    pub origin: Option<String>,
    /// The queue for results by message; with results in Redis only an id.
    pub reply_to: Option<String>,
    /// Whether the worker stores no result.
    pub ignore_result: bool,
    /// The priority in Kombu's sense, **0 is taken first**.
    pub priority: Json,
    /// Headers of one's own, at the end of Celery's.
    pub headers: Vec<(String, Json)>,
    /// Signatures to call with the result, a list or null.
    pub callbacks: Json,
    /// Signatures to call after a failure, a list or null.
    pub errbacks: Json,
    /// The rest of a chain, the next signature last, or null.
    pub chain: Json,
    /// The signature to call when the whole group is done, or null.
    pub chord: Json,
}

impl Task {
    /// A call without arguments and options.
    ///
    /// ```
    /// use keyrail_core::kombu::Task;
    ///
    /// assert_eq!(Task::new("capp.ping", "id-1").retries, 0);
    /// ```
    pub fn new(name: &str, id: &str) -> Self {
        Task {
            name: name.into(),
            id: id.into(),
            args: Vec::new(),
            kwargs: Vec::new(),
            eta: None,
            expires: None,
            expires_ms: None,
            retries: 0,
            time_limit: None,
            soft_time_limit: None,
            root_id: None,
            parent_id: None,
            group: None,
            group_index: None,
            shadow: None,
            origin: None,
            reply_to: None,
            ignore_result: false,
            priority: Json::Int(0),
            headers: Vec::new(),
            callbacks: Json::Null,
            errbacks: Json::Null,
            chain: Json::Null,
            chord: Json::Null,
        }
    }

    /// The message that Celery 5.7 sends for this call, byte for byte but for the arguments shown to humans
    /// (`argsrepr`), which are cut at 1,024 characters more simply.
    ///
    /// ```
    /// use keyrail_core::kombu::Task;
    ///
    /// let body = Task::new("capp.ping", "id-1").envelope().body().to_vec();
    /// let rest = r#"{"callbacks": null, "errbacks": null, "chain": null, "chord": null}"#;
    /// assert_eq!(body, format!("[[], {{}}, {rest}]").into_bytes());
    /// ```
    pub fn envelope(&self) -> Envelope {
        let limits = [seconds(self.time_limit), seconds(self.soft_time_limit)];
        let root_id = self.root_id.as_deref().unwrap_or(&self.id);
        // Written at once: a value to be written would be a copy of all arguments.
        let mut body = Vec::with_capacity(256);
        body.push(b'[');
        write_array(&mut body, &self.args);
        body.extend_from_slice(b", ");
        write_object(&mut body, &self.kwargs);
        for (before, value) in [
            (r#", {"callbacks": "#, &self.callbacks),
            (r#", "errbacks": "#, &self.errbacks),
            (r#", "chain": "#, &self.chain),
            (r#", "chord": "#, &self.chord),
        ] {
            body.extend_from_slice(before.as_bytes());
            value.write(&mut body);
        }
        body.extend_from_slice(b"}]");
        // Celery's own names are different ones, so none has to be looked for among the others.
        let headers = [
            ("lang", Json::from("py")),
            ("task", Json::from(&*self.name)),
            ("id", Json::from(&*self.id)),
            ("shadow", Json::from(self.shadow.as_deref())),
            ("eta", Json::from(self.eta.as_deref())),
            ("expires", Json::from(self.expires.as_deref())),
            ("group", Json::from(self.group.as_deref())),
            ("group_index", Json::from(self.group_index)),
            ("retries", Json::from(self.retries)),
            ("timelimit", Json::from_iter(limits)),
            ("root_id", Json::from(root_id)),
            ("parent_id", Json::from(self.parent_id.as_deref())),
            ("argsrepr", Json::String(self.argsrepr())),
            ("kwargsrepr", Json::String(self.kwargsrepr())),
            ("origin", Json::from(self.origin.as_deref())),
            ("ignore_result", Json::from(self.ignore_result)),
            ("replaced_task_nesting", Json::from(0)),
            ("stamped_headers", Json::Null),
            ("stamps", Json::Object(Vec::new())),
        ];
        let mut envelope = Envelope::of_json(body)
            .with_headers(headers)
            .correlation_id(&self.id)
            .priority(self.priority.clone());
        for (name, value) in &self.headers {
            envelope = envelope.header(name, value.clone());
        }
        if let Some(reply_to) = &self.reply_to {
            envelope = envelope.reply_to(reply_to);
        }
        if let Some(milliseconds) = self.expires_ms {
            envelope = envelope.expiration_ms(milliseconds);
        }
        envelope
    }

    /// The positional arguments as people are shown them: in the header `argsrepr`, and in events.
    ///
    /// ```
    /// use keyrail_core::kombu::{Json, Task};
    ///
    /// let task = Task { args: vec![Json::from("a"), Json::Null], ..Task::new("capp.ping", "id-1") };
    /// assert_eq!(task.argsrepr(), "('a', None)");
    /// ```
    pub fn argsrepr(&self) -> String {
        repr::tuple(&self.args)
    }

    /// The arguments with names in the same way.
    ///
    /// ```
    /// use keyrail_core::kombu::{Json, Task};
    ///
    /// let task = Task { kwargs: vec![("y".into(), Json::from(true))], ..Task::new("capp.ping", "id-1") };
    /// assert_eq!(task.kwargsrepr(), "{'y': True}");
    /// ```
    pub fn kwargsrepr(&self) -> String {
        repr::dict(&self.kwargs)
    }
}

/// Whole seconds as Celery's callers write them, without a fraction.
fn seconds(limit: Option<f64>) -> Json {
    match limit {
        Some(limit) if limit == (limit as i64) as f64 => Json::Int(limit as i64),
        other => Json::from(other),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[track_caller]
    fn check(task: &Task, tag: &str, captured: &str) {
        assert_eq!(String::from_utf8(task.envelope().to_bytes("", "celery", tag)).unwrap(), captured);
    }

    /// `add.apply_async((2, 3), task_id=…)`, as Celery 5.7.0 left it in Redis.
    #[test]
    fn celerys_bytes() {
        let mut task = Task::new("capp.add", "11111111-2222-3333-4444-555555555555");
        task.args = [2, 3].map(Json::from).into();
        task.origin = Some("gen20643@vm".into());
        task.reply_to = Some("50b96c12-0ed1-3360-b1aa-1706973f85e5".into());
        check(
            &task,
            "f23e8983-3b6a-4b91-b90c-53502f21438b",
            r#"{"body": "W1syLCAzXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "capp.add", "id": "11111111-2222-3333-4444-555555555555", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "11111111-2222-3333-4444-555555555555", "parent_id": null, "argsrepr": "(2, 3)", "kwargsrepr": "{}", "origin": "gen20643@vm", "ignore_result": false, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}, "properties": {"correlation_id": "11111111-2222-3333-4444-555555555555", "reply_to": "50b96c12-0ed1-3360-b1aa-1706973f85e5", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "f23e8983-3b6a-4b91-b90c-53502f21438b"}}"#,
        );
    }

    /// The same with a countdown, an expiry, a priority, limits, a header and a callback.
    #[test]
    fn celerys_bytes_with_options() {
        let mut task = Task::new("capp.add", "aaaaaaaa-0000-0000-0000-000000000001");
        task.args = vec![Json::from(2)];
        task.kwargs = vec![("y".into(), Json::from(3))];
        task.origin = Some("gen20643@vm".into());
        task.reply_to = Some("50b96c12-0ed1-3360-b1aa-1706973f85e5".into());
        task.eta = Some("2026-11-22T14:17:41.424804+00:00".into());
        task.expires = Some("2026-11-22T14:18:41.424804+00:00".into());
        task.expires_ms = Some(120_000);
        task.time_limit = Some(30.0);
        task.soft_time_limit = Some(20.0);
        task.ignore_result = true;
        task.priority = Json::from(7);
        task.headers = vec![("tenant".into(), Json::from("t1"))];
        task.callbacks = Json::from_iter([Json::from_iter([
            ("task", Json::from("capp.add")),
            ("args", Json::from_iter([Json::from(10)])),
            ("kwargs", Json::Object(vec![])),
            ("options", Json::Object(vec![])),
            ("subtask_type", Json::Null),
            ("immutable", Json::from(false)),
        ])]);
        check(
            &task,
            "d3d0e3da-1810-46b4-b8d3-7115f7edb49a",
            r#"{"body": "W1syXSwgeyJ5IjogM30sIHsiY2FsbGJhY2tzIjogW3sidGFzayI6ICJjYXBwLmFkZCIsICJhcmdzIjogWzEwXSwgImt3YXJncyI6IHt9LCAib3B0aW9ucyI6IHt9LCAic3VidGFza190eXBlIjogbnVsbCwgImltbXV0YWJsZSI6IGZhbHNlfV0sICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "capp.add", "id": "aaaaaaaa-0000-0000-0000-000000000001", "shadow": null, "eta": "2026-11-22T14:17:41.424804+00:00", "expires": "2026-11-22T14:18:41.424804+00:00", "group": null, "group_index": null, "retries": 0, "timelimit": [30, 20], "root_id": "aaaaaaaa-0000-0000-0000-000000000001", "parent_id": null, "argsrepr": "(2,)", "kwargsrepr": "{'y': 3}", "origin": "gen20643@vm", "ignore_result": true, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}, "tenant": "t1"}, "properties": {"correlation_id": "aaaaaaaa-0000-0000-0000-000000000001", "reply_to": "50b96c12-0ed1-3360-b1aa-1706973f85e5", "delivery_mode": 2, "expiration": "120000", "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 7, "body_encoding": "base64", "delivery_tag": "d3d0e3da-1810-46b4-b8d3-7115f7edb49a"}}"#,
        );
    }
}
