//! Carries repairs out, and takes them back.

use redis::{Script, Value};
use serde::Serialize;

use super::{
    Code, Culprit, Doctor, Repair, Report,
    read::wire::{ask_one, cmd, number, text},
    record::{self, Entry},
    step::{Op, Step, Verb},
};
use crate::{ExecuteError, Executor, HostError};

const STEP: &str = include_str!("step.lua");

/// How many entries of a record are read at once.
const PAGE: usize = 50;

/// What repairs came to.
///
/// The record of it is what [`Doctor::undo`] takes.
///
/// ```no_run
/// use keyrail_redis::{Connection, doctor::{Code, Doctor, Limits}};
///
/// # async fn repair() -> Result<(), Box<dyn std::error::Error>> {
/// let doctor = Doctor::connect(&Connection::new("redis://127.0.0.1/0")?, Limits::default()).await?;
/// let repaired = doctor.repair(&doctor.examine().await?, &[Code::StaleTwin]).await?;
/// if let Some(record) = &repaired.record {
///     println!("keyrail doctor --undo {record} takes it back");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    /// By what name to take it back; nothing if nothing was changed.
    pub record: Option<String>,
    /// Each finding whose repair was asked for.
    pub findings: Vec<Mended>,
    /// Why the repairs ended before the last one, if they did.
    pub stopped: Option<String>,
}

/// What became of the repair of one finding.
///
/// ```
/// use keyrail_redis::doctor::{Code, Culprit, Mended};
///
/// let culprit = Culprit::Queue { name: "billing".into() };
/// let mended = Mended { code: Code::Poison, culprit, done: 2, changed: 0 };
/// let json = serde_json::to_value(&mended).unwrap();
/// assert_eq!((&json["code"], &json["culprit"]["name"], &json["done"]), (&"poison".into(), &"billing".into(), &2.into()));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mended {
    /// What was wrong.
    pub code: Code,
    /// Where.
    pub culprit: Culprit,
    /// So many steps were done.
    pub done: usize,
    /// So many were not, because Redis is no longer as it was read.
    pub changed: usize,
}

/// What taking back came to.
///
/// ```
/// use keyrail_redis::doctor::Undone;
///
/// let json = serde_json::to_string(&Undone { undone: 2, left: Vec::new() }).unwrap();
/// assert_eq!(json, r#"{"undone":2,"left":[]}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undone {
    /// So many steps are taken back.
    pub undone: usize,
    /// Those that are not, each with the reason. They stay in the record.
    pub left: Vec<String>,
}

impl Doctor {
    /// Repairs those findings of a report that have one of these codes.
    ///
    /// Each step is done at once on the server, if everything is still as the report says, and noted in the same step in
    /// a record: the list `keyrail.doctor.<record>`, kept for [`Limits::keep`](super::Limits::keep).
    ///
    /// ```
    /// use keyrail_redis::doctor::{Code, Repair};
    ///
    /// // What `keyrail doctor --repair all` asks for.
    /// let safe: Vec<Code> = Code::ALL.into_iter().filter(|code| code.repair() == Repair::Safe).collect();
    /// assert!(safe.contains(&Code::Poison) && !safe.contains(&Code::AmqpOrphan));
    /// ```
    ///
    /// # Errors
    /// [`HostError::NotExpressible`] on a cluster, unless all keys lie in one slot; the first step's. A later error is
    /// [`Repaired::stopped`].
    pub async fn repair(&self, report: &Report, codes: &[Code]) -> Result<Repaired, HostError> {
        self.check_one_slot()?;
        let name = record::name(self.redis.now_ms().await?);
        let key = record::key(&self.layout, &name);
        let keep = self.limits.keep.as_millis().to_string();
        let mut repaired = Repaired::default();
        let mut number = 0;
        let wanted = report.findings.iter().filter(|finding| codes.contains(&finding.code));
        for finding in wanted.filter(|finding| finding.code.repair() != Repair::Never) {
            let mut mended =
                Mended { code: finding.code, culprit: finding.culprit.clone(), done: 0, changed: 0 };
            for step in &finding.steps {
                let entry = Entry::of(number, finding, step);
                number += 1;
                // An entry holds texts and lists: nothing that JSON cannot take.
                let entry = serde_json::to_vec(&entry).unwrap_or_default();
                match self.step(&key, &entry, &keep, step).await {
                    Ok(None) => {
                        mended.done += 1;
                        repaired.record = Some(name.clone());
                    }
                    Ok(Some(_)) => mended.changed += 1,
                    Err(error) if repaired.record.is_none() => return Err(error.into()),
                    Err(error) => repaired.stopped = Some(error.to_string()),
                }
                if repaired.stopped.is_some() {
                    break;
                }
            }
            repaired.findings.push(mended);
            if repaired.stopped.is_some() {
                break;
            }
        }
        Ok(repaired)
    }

    /// Takes back what a record holds, the last step first, each at once on the server. A step that can no longer be taken
    /// back stays in the record and is named. So does one that added rows to a binding table: a row does not say who
    /// wrote it, and a peer that has declared its queue since would lose its messages with it.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, doctor::{Code, Doctor, Limits}};
    ///
    /// # async fn undo() -> Result<(), Box<dyn std::error::Error>> {
    /// let doctor = Doctor::connect(&Connection::new("redis://127.0.0.1/0")?, Limits::default()).await?;
    /// let repaired = doctor.repair(&doctor.examine().await?, &[Code::Poison]).await?;
    /// if let Some(record) = &repaired.record {
    ///     let undone = doctor.undo(record).await?;
    ///     println!("{} steps taken back, {} left", undone.undone, undone.left.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`HostError::RecordNotFound`]; an entry that cannot be read; those of [`repair`](Self::repair).
    pub async fn undo(&self, record: &str) -> Result<Undone, HostError> {
        self.take_back(record, false).await
    }

    /// The same, rows that were added included: for who knows that nobody has declared their queues since.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, doctor::{Doctor, Limits}};
    ///
    /// # async fn undo() -> Result<(), Box<dyn std::error::Error>> {
    /// let doctor = Doctor::connect(&Connection::new("redis://127.0.0.1/0")?, Limits::default()).await?;
    /// let record = "1790000000000-0badcafe"; // what the repair was noted as
    /// if !doctor.undo(record).await?.left.is_empty() {
    ///     println!("{} more taken back", doctor.undo_rows(record).await?.undone);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub async fn undo_rows(&self, record: &str) -> Result<Undone, HostError> {
        self.take_back(record, true).await
    }

    async fn take_back(&self, record: &str, rows: bool) -> Result<Undone, HostError> {
        self.check_one_slot()?;
        let key = record::key(&self.layout, record);
        match ask_one(&self.redis, cmd("TYPE", &[key.as_bytes()])).await.map(text)?.as_deref() {
            Some("list") => {}
            Some("none") => return Err(self.unknown(record).await?),
            _ => return Err(ExecuteError::WrongType { key: key.into(), command: "LRANGE" }.into()),
        }
        let mut undone = Undone::default();
        loop {
            let (from, to) = (undone.left.len() + PAGE, undone.left.len() + 1);
            let range =
                cmd("LRANGE", &[key.as_bytes(), format!("-{from}").as_bytes(), format!("-{to}").as_bytes()]);
            let Value::Array(page) = ask_one(&self.redis, range).await? else { break };
            if page.is_empty() {
                break;
            }
            for entry in page.into_iter().rev() {
                let Value::BulkString(entry) = entry else { continue };
                let (read, step) = Entry::read(&entry).map_err(|reason| HostError::NotExpressible {
                    reason: format!("an entry of the record `{record}` cannot be read: {reason}").into(),
                })?;
                if !rows && self.adds_rows(&read) {
                    let why =
                        "it added rows, and peers may have declared the same since; --rows takes them out";
                    undone.left.push(format!("{} of {}: {why}", read.code, read.culprit));
                    continue;
                }
                match self.step(&key, &entry, "back", &step).await? {
                    None => undone.undone += 1,
                    Some(at) => {
                        let why = at.checked_sub(1).and_then(|at| step.changes.get(at));
                        let why = why.map_or_else(|| "somebody else takes it back".into(), no_longer);
                        undone.left.push(format!("{} of {}: {why}", read.code, read.culprit));
                    }
                }
            }
        }
        Ok(undone)
    }

    /// Whether a step wrote rows into a table of bindings.
    fn adds_rows(&self, entry: &Entry) -> bool {
        let tables = [self.layout.binding_table(""), self.layout.permanent_table("")];
        let is_table = |key: &[u8]| tables.iter().any(|table| key.starts_with(table.as_bytes()));
        entry.changes.iter().any(|op| op.verb == Verb::Add && is_table(&op.key))
    }

    /// Does a step; says which of its parts does not hold, from 1, if nothing was done.
    async fn step(
        &self,
        record: &str,
        entry: &[u8],
        keep: &str,
        step: &Step,
    ) -> Result<Option<usize>, ExecuteError> {
        let script = Script::new(STEP);
        let mut script = script.prepare_invoke();
        script.key(record).arg(entry).arg(keep).arg(step.guards.len());
        let mut keys: Vec<&[u8]> = vec![record.as_bytes()];
        let mut place = |key| match keys.iter().position(|known| *known == key) {
            Some(at) => at + 1,
            None => {
                keys.push(key);
                keys.len()
            }
        };
        let mut places = Vec::new();
        for op in step.guards.iter().chain(&step.changes) {
            places.push((place(&op.key), op.other_key().map(&mut place)));
        }
        for key in &keys[1..] {
            script.key(*key);
        }
        for (op, (key, other)) in step.guards.iter().chain(&step.changes).zip(places) {
            script.arg(op.verb.word()).arg(key).arg(&*op.what);
            match other {
                Some(other) => script.arg(other),
                None => script.arg(&*op.value),
            };
        }
        let answer = script.invoke_async(&mut self.redis.link().clone()).await;
        match answer.map_err(|error| self.redis.error(error))? {
            Value::Array(parts) if parts.first() == Some(&Value::Int(1)) => Ok(None),
            Value::Array(parts) => {
                Ok(Some(parts.get(1).map(number).unwrap_or_default().unsigned_abs() as usize))
            }
            _ => Err(ExecuteError::Server { message: "the script that repairs got lost".into() }),
        }
    }

    async fn unknown(&self, record: &str) -> Result<HostError, ExecuteError> {
        let prefix = record::key(&self.layout, "");
        let known = self.redis.keys(&prefix).await?;
        let known = known.iter().filter_map(|key| key.strip_prefix(&prefix)).map(Into::into).collect();
        Ok(HostError::RecordNotFound { record: record.into(), known })
    }

    /// A record and what it notes are changed in one step.
    fn check_one_slot(&self) -> Result<(), HostError> {
        if !self.redis.spreads() {
            return Ok(());
        }
        let reason = "on a cluster a repair and its record are one step only where all keys lie in one slot; give \
                      `global_keyprefix` a hash tag, as `{shop}.`, to all who share the queues";
        Err(HostError::NotExpressible { reason: reason.into() })
    }
}

/// Why a change cannot be made.
fn no_longer(op: &Op) -> String {
    let (key, what) = (super::finding::printable(&op.key), super::finding::printable(&op.what));
    match op.verb.word() {
        "add" | "score" | "set" => format!("`{what}` is in `{key}` again, or `{key}` is of another type"),
        "remove" | "unscore" | "unset" => format!("`{what}` is no longer in `{key}` as it was left"),
        "put" | "push" => format!("`{key}` is no list any more"),
        "take" | "unpush" => format!("the payload is no longer in `{key}`"),
        "rename" => format!("`{key}` is gone, or `{what}` is there again"),
        _ => format!("the time to live of `{key}` was changed"),
    }
}
