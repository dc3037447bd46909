//! Results of tasks, as Celery's Redis backend keeps them: read, waited for, and written by whoever did the work.

use std::time::Duration;

use keyrail_core::kombu::{Command, Plan, plan};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{StoredResult, TaskFailure, python, stored, time};
use crate::{ExecuteError, Executor, Host, HostError, LoadError, deadline::deadline, wide_number};

/// The results in the Redis of a host, which is the `result_backend` of the Celery that shares them.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::Layout;
/// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let results = Results::new(&host);
/// results.store(&TaskResult::progress("id-1", "PROGRESS", serde_json::json!({"done": 40}))).await.unwrap();
/// assert!(!results.get("id-1").await.unwrap().unwrap().is_ready());
/// results.store(&TaskResult::success("id-1", 5.into())).await.unwrap();
/// let result = results.wait("id-1", Duration::from_secs(1)).await.unwrap().unwrap();
/// assert_eq!(result.outcome(), Some(Ok(&5.into())));
/// # });
/// ```
#[derive(Debug)]
pub struct Results<E: Executor> {
    host: Host<E>,
    expires: Duration,
}

/// What Celery's `AsyncResult` shows of a task.
///
/// A task of which nothing is stored is `PENDING` to Celery: that is no result.
///
/// ```
/// use keyrail_redis::celery::TaskResult;
///
/// // What Celery wrote under `celery-task-meta-id-1`.
/// let stored = br#"{"status": "SUCCESS", "result": 5, "traceback": null, "children": [],
///     "date_done": "2026-11-22T14:16:47.445182+00:00", "task_id": "id-1"}"#;
/// let result = TaskResult::read("id-1", stored).unwrap();
/// assert_eq!(result.outcome(), Some(Ok(&5.into())));
/// assert_eq!(result.date_done.as_deref(), Some("2026-11-22T14:16:47.445182+00:00"));
/// assert_eq!(result.others["children"], serde_json::json!([]));
/// ```
///
/// # Source
/// Celery's `celery.backends.base.Backend._get_result_meta`.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskResult {
    /// The task's id.
    pub task_id: String,
    /// `SUCCESS`, `FAILURE`, `REVOKED`, `STARTED`, `RETRY`, or a word of the task's own.
    pub status: String,
    /// What the task returned; the exception, as `{"exc_type", "exc_message", "exc_module"}`; what a task of another status
    /// says about itself.
    pub result: Value,
    /// The traceback of a failure.
    pub traceback: Option<String>,
    /// When it ended, in ISO 8601.
    pub date_done: Option<String>,
    /// Everything else that is stored with it, as `children`, `group_id`, `parent_id`.
    pub others: Map<String, Value>,
}

/// Celery's `READY_STATES`.
pub(super) const READY: [&str; 3] = ["SUCCESS", "FAILURE", "REVOKED"];
/// Celery's `result_expires`.
const A_DAY: Duration = Duration::from_secs(86_400);
/// Between two looks at a result: nothing depends on hearing its announcement.
const GLANCE: Duration = Duration::from_millis(500);

impl TaskResult {
    /// The task returned this.
    ///
    /// ```
    /// let result = keyrail_redis::celery::TaskResult::success("id-1", 5.into());
    /// assert!(result.is_ready() && result.date_done.is_some());
    /// assert_eq!(result.outcome(), Some(Ok(&5.into())));
    /// ```
    pub fn success(task_id: &str, result: Value) -> Self {
        TaskResult::new(task_id, "SUCCESS", result, None)
    }

    /// The task raised this.
    ///
    /// ```
    /// use keyrail_redis::celery::{TaskFailure, TaskResult};
    ///
    /// let failure = TaskFailure::new("ValueError", "below zero");
    /// let result = TaskResult::failure("id-1", &failure);
    /// assert_eq!(result.status, "FAILURE");
    /// assert_eq!(result.outcome(), Some(Err(failure)));
    /// ```
    pub fn failure(task_id: &str, failure: &TaskFailure) -> Self {
        TaskResult::new(task_id, "FAILURE", exception(failure), failure.traceback.clone())
    }

    /// The task will not be run.
    ///
    /// ```
    /// let result = keyrail_redis::celery::TaskResult::revoked("id-1", "expired");
    /// assert_eq!(result.status, "REVOKED");
    /// assert_eq!(result.result["exc_type"], "TaskRevokedError");
    /// ```
    pub fn revoked(task_id: &str, reason: &str) -> Self {
        let revoked = TaskFailure::new("TaskRevokedError", reason);
        let revoked = TaskFailure { exc_module: "celery.exceptions".into(), ..revoked };
        TaskResult::new(task_id, "REVOKED", exception(&revoked), None)
    }

    /// The task goes on, and says so: `STARTED`, `PROGRESS`.
    ///
    /// ```
    /// let about = serde_json::json!({"done": 40});
    /// let result = keyrail_redis::celery::TaskResult::progress("id-1", "PROGRESS", about);
    /// assert!(!result.is_ready());
    /// assert_eq!((result.outcome(), &result.result["done"]), (None, &40.into()));
    /// ```
    pub fn progress(task_id: &str, status: &str, about: Value) -> Self {
        TaskResult::new(task_id, status, about, None)
    }

    fn new(task_id: &str, status: &str, result: Value, traceback: Option<String>) -> Self {
        let done = READY.contains(&status).then(|| time::iso(time::now()));
        TaskResult {
            task_id: task_id.into(),
            status: status.into(),
            result,
            traceback,
            date_done: done,
            others: Map::from_iter([("children".into(), json!([]))]),
        }
    }

    /// Adds what is stored beside, `group_id` for instance.
    ///
    /// ```
    /// use keyrail_redis::celery::TaskResult;
    ///
    /// let result = TaskResult::success("id-1", 5.into()).with("group_id", Some("g-1")).with("parent_id", None);
    /// let stored = result.to_json();
    /// assert_eq!((&stored["group_id"], stored.get("parent_id")), (&"g-1".into(), None));
    /// ```
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.others.insert(name.into(), value.into());
        }
        self
    }

    /// Whether nothing more will come.
    pub fn is_ready(&self) -> bool {
        READY.contains(&&*self.status)
    }

    /// What the task returned, or why it did not; nothing as long as it is not ready.
    ///
    /// ```
    /// use keyrail_redis::celery::TaskResult;
    ///
    /// let stored = br#"{"status": "FAILURE",
    ///     "result": {"exc_type": "ValueError", "exc_message": ["below", 0], "exc_module": "builtins"}}"#;
    /// let result = TaskResult::read("id-1", stored).unwrap();
    /// let failure = result.outcome().unwrap().unwrap_err();
    /// assert_eq!((&*failure.exc_type, &*failure.exc_message), ("ValueError", "below, 0"));
    /// ```
    pub fn outcome(&self) -> Option<Result<&Value, TaskFailure>> {
        match (&*self.status, self.is_ready()) {
            ("SUCCESS", _) => Some(Ok(&self.result)),
            (_, true) => Some(Err(self.raised())),
            (_, false) => None,
        }
    }

    fn raised(&self) -> TaskFailure {
        let text = |name: &str| self.result.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        // The arguments of the exception; Celery 4 and older wrote its text.
        let message = match self.result.get("exc_message") {
            Some(Value::Array(parts)) => parts.iter().map(shown).collect::<Vec<_>>().join(", "),
            Some(other) => shown(other),
            None => shown(&self.result),
        };
        let args = match self.result.get("exc_message") {
            Some(Value::Array(parts)) if *parts != [Value::from(&*message)] => Some(parts.clone()),
            _ => None,
        };
        TaskFailure {
            exc_type: text("exc_type"),
            exc_message: message,
            exc_args: args,
            exc_module: text("exc_module"),
            traceback: self.traceback.clone(),
            lost: false,
        }
    }

    /// The document as Celery stores it.
    ///
    /// ```
    /// let stored = keyrail_redis::celery::TaskResult::success("id-1", 5.into()).to_json();
    /// assert_eq!((&stored["status"], &stored["result"], &stored["task_id"]), (&"SUCCESS".into(), &5.into(), &"id-1".into()));
    /// ```
    pub fn to_json(&self) -> Value {
        let mut stored = Map::new();
        stored.insert("status".into(), self.status.as_str().into());
        stored.insert("result".into(), self.result.clone());
        stored.insert("traceback".into(), self.traceback.clone().into());
        stored.extend(self.others.clone());
        stored.insert("date_done".into(), self.date_done.clone().into());
        stored.insert("task_id".into(), self.task_id.as_str().into());
        stored.into()
    }

    /// The text that Celery stores: the same document, its members in Celery's order, blanks and escapes as Python's.
    ///
    /// ```
    /// use keyrail_redis::celery::TaskResult;
    ///
    /// let text = TaskResult::progress("id-1", "PROGRESS", "caf\u{e9}".into()).to_text();
    /// let rest = r#""traceback": null, "children": [], "date_done": null, "task_id": "id-1"}"#;
    /// assert_eq!(text, format!(r#"{{"status": "PROGRESS", "result": "caf\u00e9", {rest}"#));
    /// ```
    pub fn to_text(&self) -> String {
        python::dumps(&Document(self))
    }

    /// Reads what somebody stored under the key of a task.
    ///
    /// ```
    /// use keyrail_redis::celery::TaskResult;
    ///
    /// assert_eq!(TaskResult::read("id-1", br#"{"status": "STARTED"}"#).unwrap().status, "STARTED");
    /// let error = TaskResult::read("id-1", b"\x80\x04N.").unwrap_err();
    /// assert!(error.to_string().starts_with("`celery-task-meta-id-1` cannot be read: a result in JSON is expected"));
    /// ```
    ///
    /// # Errors
    /// Text that is no JSON object with a `status`: a result in pickle or YAML, which is not decoded, above all.
    pub fn read(task_id: &str, stored: &[u8]) -> Result<Self, HostError> {
        let refused = |reason: String| {
            HostError::from(LoadError::Registry { key: key(task_id).into(), reason: reason.into() })
        };
        let text = std::str::from_utf8(stored).ok();
        let stored: Value = serde_json::from_slice(stored)
            .map_err(|error| refused(format!("a result in JSON is expected: {error}")))?;
        if let Some(wide) = text.and_then(wide_number) {
            return Err(refused(format!("the whole number {wide} has more than 64 bits")));
        }
        let Value::Object(mut stored) = stored else {
            return Err(refused("a result is a JSON object".into()));
        };
        let Some(Value::String(status)) = stored.remove("status") else {
            return Err(refused("a result has a text as `status`".into()));
        };
        let mut optional = |name| match stored.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (traceback, date_done) = (optional("traceback"), optional("date_done"));
        stored.remove("task_id");
        let result = stored.remove("result").unwrap_or_default();
        Ok(TaskResult { task_id: task_id.into(), status, result, traceback, date_done, others: stored })
    }
}

/// A result with its members in Celery's order.
struct Document<'a>(&'a TaskResult);

/// What Celery writes behind the date, in its order; the last seven with `result_extended`.
const BEHIND_THE_DATE: [&str; 9] =
    ["group_id", "parent_id", "name", "args", "kwargs", "worker", "retries", "queue", "stamps"];

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TaskResult { task_id, status, result, traceback, date_done, others } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", status)?;
        map.serialize_entry("result", &Outcome(result))?;
        map.serialize_entry("traceback", traceback)?;
        if let Some(children) = others.get("children") {
            map.serialize_entry("children", children)?;
        }
        map.serialize_entry("date_done", date_done)?;
        for name in BEHIND_THE_DATE {
            if let Some(value) = others.get(name) {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in others {
            if name != "children" && !BEHIND_THE_DATE.contains(&&**name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("task_id", task_id)?;
        map.end()
    }
}

/// An exception has an order of its own.
struct Outcome<'a>(&'a Value);

impl Serialize for Outcome<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = ["exc_type", "exc_message", "exc_module"];
        match self.0 {
            Value::Object(members)
                if members.len() == 3 && names.iter().all(|name| members.contains_key(*name)) =>
            {
                let mut map = serializer.serialize_map(Some(3))?;
                for name in names {
                    map.serialize_entry(name, &members[name])?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

fn exception(failure: &TaskFailure) -> Value {
    json!({
        "exc_type": failure.exc_type, "exc_message": failure.args(), "exc_module": failure.exc_module,
    })
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Where a result lies, and the channel on which it is announced.
fn key(task_id: &str) -> String {
    format!("celery-task-meta-{task_id}")
}

impl<E: Executor> Results<E> {
    /// The results in this host's Redis.
    pub fn new(host: &Host<E>) -> Self {
        Results { host: host.clone(), expires: A_DAY }
    }

    /// How long a result is kept, instead of a day; at least a second.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Command, Layout};
    /// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
    ///
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let results = Results::new(&host).expires(Duration::from_secs(60));
    /// let plan = results.plan(&TaskResult::success("id-1", 5.into()));
    /// assert!(matches!(plan.commands[0], Command::SetEx { seconds: 60, .. }));
    /// ```
    #[must_use]
    pub const fn expires(mut self, expires: Duration) -> Self {
        self.expires = expires;
        self
    }

    /// Stores a result and tells whoever waits for it. As in Celery, what has succeeded stays so: false then, and nothing
    /// is written.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let results = Results::new(&host);
    /// assert!(results.store(&TaskResult::success("id-1", 5.into())).await.unwrap());
    /// assert!(!results.store(&TaskResult::success("id-1", 6.into())).await.unwrap());
    /// assert_eq!(results.get("id-1").await.unwrap().unwrap().result, 5);
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor, and what is stored there without being a result in JSON.
    /// # Cost
    /// A look at what is there, and one transaction.
    /// # Source
    /// Celery's `celery.backends.redis.RedisBackend.set` and `celery.backends.base.KeyValueStoreBackend._store_result`.
    pub async fn store(&self, result: &TaskResult) -> Result<bool, HostError> {
        if self.stored(&result.task_id).await?.is_some_and(|stored| stored.status() == "SUCCESS") {
            return Ok(false);
        }
        self.host.executor().run(&self.plan(result)).await?;
        Ok(true)
    }

    /// Whether a success is stored. What is no result in JSON is none.
    pub(super) async fn has_succeeded(&self, task_id: &str) -> Result<bool, ExecuteError> {
        let found = self.host.executor().get(&key(task_id)).await?;
        Ok(found.is_some_and(|found| stored::status(&found).as_deref() == Some("SUCCESS")))
    }

    /// The commands of [`store`](Self::store).
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
    ///
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let plan = Results::new(&host).plan(&TaskResult::success("id-1", 5.into()));
    /// let names: Vec<_> = plan.commands.iter().map(|command| (command.name(), command.key())).collect();
    /// assert_eq!(names, [("SETEX", "celery-task-meta-id-1"), ("PUBLISH", "celery-task-meta-id-1")]);
    /// ```
    pub fn plan(&self, result: &TaskResult) -> Plan {
        let seconds = self.expires.as_secs().max(1);
        plan::store_result(&result.task_id, result.to_text().as_bytes(), seconds)
    }

    /// What is stored of a task now.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let results = Results::new(&host);
    /// assert_eq!(results.get("id-1").await.unwrap(), None, "Celery's PENDING");
    /// let started = TaskResult::progress("id-1", "STARTED", serde_json::json!({"hostname": "w1@here"}));
    /// results.store(&started).await.unwrap();
    /// assert_eq!(results.get("id-1").await.unwrap(), Some(started));
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor and of [`TaskResult::read`].
    /// # Cost
    /// One `GET`.
    pub async fn get(&self, task_id: &str) -> Result<Option<TaskResult>, HostError> {
        self.stored(task_id).await?.map(|stored| stored.read()).transpose()
    }

    /// The same as it was stored, also where no [`TaskResult`] holds it.
    ///
    /// ```
    /// use keyrail_core::kombu::{Layout, plan};
    /// use keyrail_redis::{Executor, Host, Memory, celery::Results, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// // Python stores what is no JSON.
    /// let python = br#"{"status": "SUCCESS", "result": NaN}"#;
    /// host.executor().run(&plan::store_result("id-1", python, 60)).await.unwrap();
    /// let results = Results::new(&host);
    /// assert_eq!(results.stored("id-1").await.unwrap().unwrap().status(), "SUCCESS");
    /// assert!(results.get("id-1").await.is_err());
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor, and what is no JSON object with a `status`.
    pub async fn stored(&self, task_id: &str) -> Result<Option<StoredResult>, HostError> {
        let stored = self.host.executor().get(&key(task_id)).await?;
        stored.map(|stored| StoredResult::new(task_id, stored)).transpose()
    }

    /// Waits until the task is ready, but no longer than this; then, what is stored.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let results = Results::new(&host);
    /// assert_eq!(results.wait("id-1", Duration::from_millis(20)).await.unwrap(), None, "Celery's PENDING");
    ///
    /// let five = TaskResult::success("id-1", 5.into());
    /// let (waited, stored) = tokio::join!(results.wait("id-1", Duration::from_secs(60)), results.store(&five));
    /// assert!(stored.unwrap());
    /// assert_eq!(waited.unwrap(), Some(five));
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    /// # Cost
    /// Listens to the result's channel, and looks twice a second beside.
    /// # Source
    /// Celery's `celery.backends.redis.ResultConsumer`.
    pub async fn wait(&self, task_id: &str, limit: Duration) -> Result<Option<TaskResult>, HostError> {
        self.wait_stored(task_id, limit).await?.map(|stored| stored.read()).transpose()
    }

    /// The same as it was stored.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    pub async fn wait_stored(
        &self,
        task_id: &str,
        limit: Duration,
    ) -> Result<Option<StoredResult>, HostError> {
        let deadline = deadline(limit);
        // First listen, then look: what is stored in between is announced.
        let mut heard = self.host.executor().subscribe(&[literal(&key(task_id))]).await?;
        loop {
            let stored = self.stored(task_id).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stored.as_ref().is_some_and(StoredResult::is_ready) {
                return Ok(stored);
            }
            // A listener that was cut off ends at once, and then only the glances are left.
            if let Ok(None) = tokio::time::timeout(left.min(GLANCE), heard.next()).await {
                tokio::time::sleep(left.min(GLANCE)).await;
            }
        }
    }

    /// Forgets a result, as `AsyncResult.forget` does.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::{Results, TaskResult}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let results = Results::new(&host);
    /// results.store(&TaskResult::success("id-1", 5.into())).await.unwrap();
    /// results.forget("id-1").await.unwrap();
    /// assert_eq!(results.get("id-1").await.unwrap(), None);
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn forget(&self, task_id: &str) -> Result<(), HostError> {
        let plan = Plan { atomic: false, commands: vec![Command::Del { key: key(task_id) }] };
        self.host.executor().run(&plan).await?;
        Ok(())
    }
}

/// A pattern that matches this text alone.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents that Celery 5.7.0 was seen to store.
    #[test]
    fn celerys_documents_are_read_and_written_as_they_are() {
        for stored in [
            r#"{"status": "SUCCESS", "result": 5, "traceback": null, "children": [], "date_done": "2026-11-22T14:16:47.445182+00:00", "task_id": "t"}"#,
            r#"{"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["nope"], "exc_module": "builtins"}, "traceback": "Traceback", "children": [], "date_done": "2026-11-22T14:16:47.445182+00:00", "group_id": "g", "task_id": "t"}"#,
            r#"{"status": "PROGRESS", "result": {"done": 4}, "traceback": null, "children": [], "date_done": null, "task_id": "t"}"#,
        ] {
            let result = TaskResult::read("t", stored.as_bytes()).expect(stored);
            let document: Value = serde_json::from_str(stored).expect("JSON");
            assert_eq!(result.to_json(), document);
            assert_eq!(result.to_text(), stored);
        }
    }

    #[test]
    fn what_is_no_result_is_named() {
        for stored in [&b"\x80\x04N."[..], b"[]", b"{}", br#"{"status": 1}"#, b""] {
            let error = TaskResult::read("t", stored).expect_err("no result").to_string();
            assert!(error.contains("celery-task-meta-t"), "{error}");
        }
        let wide = TaskResult::read("t", br#"{"status": "SUCCESS", "result": 12345678901234567890123}"#);
        let wide = wide.expect_err("a number that no value holds").to_string();
        assert!(wide.contains("12345678901234567890123 has more than 64 bits"), "{wide}");
    }

    #[test]
    fn exceptions_of_every_form_have_a_text() {
        let raised = |result: Value| {
            let result = TaskResult { result, ..TaskResult::progress("t", "FAILURE", Value::Null) };
            match result.outcome() {
                Some(Err(failure)) => (failure.exc_type, failure.exc_message),
                other => panic!("{other:?}"),
            }
        };
        let of = |message| json!({"exc_type": "KeyError", "exc_message": message, "exc_module": "builtins"});
        assert_eq!(raised(of(json!(["a", 2]))), ("KeyError".into(), "a, 2".into()));
        assert_eq!(raised(of(json!("a"))), ("KeyError".into(), "a".into()));
        assert_eq!(raised(json!("gone")), (String::new(), "gone".into()));
    }
}
