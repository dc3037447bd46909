//! Reading in small steps: each command looks at some hundred entries, and others get their turn in between.

use redis::{Cmd, Value, aio::ConnectionLike};

use crate::{ExecuteError, Redis};

/// How many entries the server looks at for one answer.
const PAGE: usize = 500;

/// The answers to several commands, in one round trip. The first error that the server answers is an error.
pub(crate) async fn ask(redis: &Redis, commands: Vec<Cmd>) -> Result<Vec<Value>, ExecuteError> {
    let mut answers = Vec::with_capacity(commands.len());
    for page in commands.chunks(PAGE) {
        let mut pipeline = redis::Pipeline::with_capacity(page.len());
        pipeline.ignore_errors();
        for command in page {
            pipeline.add_command(command.clone());
        }
        let values: Vec<Value> =
            pipeline.query_async(&mut redis.link().clone()).await.map_err(|error| redis.error(error))?;
        for (command, value) in page.iter().zip(values) {
            answers.push(checked(command, value)?);
        }
    }
    Ok(answers)
}

/// The same at one moment, where all keys lie on one server.
pub(crate) async fn ask_at_once(redis: &Redis, commands: Vec<Cmd>) -> Result<Vec<Value>, ExecuteError> {
    if redis.link().spreads() || commands.len() < 2 {
        return ask(redis, commands).await;
    }
    let mut pipeline = redis::Pipeline::with_capacity(commands.len());
    pipeline.atomic().ignore_errors();
    for command in &commands {
        pipeline.add_command(command.clone());
    }
    let values: Vec<Value> =
        pipeline.query_async(&mut redis.link().clone()).await.map_err(|error| redis.error(error))?;
    commands.iter().zip(values).map(|(command, value)| checked(command, value)).collect()
}

pub(crate) async fn ask_one(redis: &Redis, command: Cmd) -> Result<Value, ExecuteError> {
    let value = redis.send(&command).await?;
    checked(&command, value)
}

/// Says what was asked for when the server refuses: a login may not read every key.
fn checked(command: &Cmd, value: Value) -> Result<Value, ExecuteError> {
    let Value::ServerError(error) = value else { return Ok(value) };
    let mut words = command.args_iter().filter_map(|arg| match arg {
        redis::Arg::Simple(bytes) => Some(super::super::finding::printable(bytes)),
        _ => None,
    });
    let asked: Vec<_> = words.by_ref().take(2).collect();
    Err(ExecuteError::Server { message: format!("{error} (asked for `{}`)", asked.join(" ")).into() })
}

/// A command and its arguments.
pub(crate) fn cmd(name: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(name);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// Some of the keys at a server, and where to go on; 0 is the beginning and the end.
pub(crate) async fn scan_page(
    redis: &Redis,
    server: &mut impl ConnectionLike,
    cursor: u64,
) -> Result<(u64, Vec<Vec<u8>>), ExecuteError> {
    let mut scan = Cmd::new();
    scan.arg("SCAN").arg(cursor).arg("COUNT").arg(PAGE);
    scan.query_async(server).await.map_err(|error| redis.error(error))
}

/// Some of the entries of a set (`SSCAN`), or entry and value in turn (`HSCAN`, `ZSCAN`), and where to go on; 0 is the
/// beginning and the end. The server may name an entry twice. A key that is of another type by now has none.
pub(crate) async fn entries_page(
    redis: &Redis,
    command: &str,
    key: &str,
    cursor: u64,
) -> Result<(u64, Vec<Vec<u8>>), ExecuteError> {
    // Values may be large, and the count is of entries.
    let count = if command == "HSCAN" { 32 } else { PAGE };
    let mut scan = Cmd::new();
    scan.arg(command).arg(key).arg(cursor).arg("COUNT").arg(count);
    let answer = redis.send(&scan).await?;
    if matches!(&answer, Value::ServerError(error) if error.code() == "WRONGTYPE") {
        return Ok((0, Vec::new()));
    }
    redis::from_redis_value(checked(&scan, answer)?).map_err(|error| redis.error(error.into()))
}

/// All of them, at most so many. False if there are more.
pub(crate) async fn scan_entries(
    redis: &Redis,
    command: &str,
    key: &str,
    limit: usize,
) -> Result<(Vec<Vec<u8>>, bool), ExecuteError> {
    let (mut entries, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let (next, page) = entries_page(redis, command, key, cursor).await?;
        entries.extend(page);
        cursor = next;
        if cursor == 0 || entries.len() >= limit {
            let all = cursor == 0 && entries.len() <= limit;
            entries.truncate(limit);
            return Ok((entries, all));
        }
    }
}

/// Entries and values in pairs, each entry once, sorted.
pub(crate) fn pairs(entries: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::with_capacity(entries.len() / 2);
    let mut entries = entries.into_iter();
    while let (Some(entry), Some(value)) = (entries.next(), entries.next()) {
        pairs.push((entry, value));
    }
    pairs.sort_unstable();
    pairs.dedup_by(|next, kept| next.0 == kept.0);
    pairs
}

/// A count, or 0 for what is none.
pub(crate) fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Boolean(yes) => i64::from(*yes),
        _ => 0,
    }
}

/// A text, a status among them.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Double(number) => Some(number.to_string()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
