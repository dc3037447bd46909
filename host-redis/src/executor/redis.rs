//! The executor over TCP or a Unix socket.

use std::{future::Future, sync::Arc, time::Duration};

use ::redis::{Cmd, Pipeline, RedisError, Script, Value, aio::MultiplexedConnection};
use futures_util::StreamExt;
use keyrail_core::kombu::{Command, Json, Plan};
use tokio::sync::{Mutex, mpsc};

use super::{
    BACKLOG, Executor, GiveBack, Heard, Listener, Reply, SetSize, Take, Taken,
    needs::{Need, needs},
    pop_order, quarantine_list,
};
use crate::{
    Connection, ExecuteError, TransportOptions,
    connection::link::{Changes, Link, Tracking},
};

mod atomic;
pub(crate) mod errors;
mod replies;

use errors::{command_error, silent};
use replies::{bytes, of_wrong_type, reply, text};

/// One Redis, sentinels or a cluster, by their [`Connection`]. Reconnects by itself; what was under way when the
/// connection broke is reported, not repeated.
pub struct Redis {
    link: Link,
    /// A blocking wait keeps its connection busy, so waits have one of their own.
    waits: Mutex<Option<MultiplexedConnection>>,
    run: Script,
    take: Script,
    give_back: Script,
}

/// How long to wait for Redis.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// For a connection.
    pub connect_timeout: Duration,
    /// For the answer to a command.
    pub response_timeout: Duration,
}

impl Default for RedisOptions {
    /// Reading a table of a million rows takes seconds.
    fn default() -> Self {
        RedisOptions { connect_timeout: Duration::from_secs(5), response_timeout: Duration::from_secs(20) }
    }
}

impl RedisOptions {
    pub(crate) const fn of(options: &TransportOptions) -> Self {
        RedisOptions {
            connect_timeout: options.socket_connect_timeout,
            response_timeout: options.socket_timeout,
        }
    }
}

impl std::fmt::Debug for Redis {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("address", &self.link.address()).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects, and makes sure that it is Redis who answers. Also returns the number of the database in the URL.
    ///
    /// # Errors
    /// [`ExecuteError::Url`], [`Unreachable`](ExecuteError::Unreachable), [`NotRedis`](ExecuteError::NotRedis),
    /// [`Authentication`](ExecuteError::Authentication), [`Timeout`](ExecuteError::Timeout).
    pub async fn connect(url: &str, options: RedisOptions) -> Result<(Self, u32), ExecuteError> {
        let connection = Connection::new(url)?;
        let mut transport = connection.options().clone();
        transport.socket_connect_timeout = options.connect_timeout;
        transport.socket_timeout = options.response_timeout;
        let db = transport.layout.db;
        Ok((connection.transport_options(transport).connect().await?, db))
    }

    /// Connects, and is told what changes.
    pub(crate) async fn open(
        connection: &Connection,
        tracking: Tracking,
        changes: Option<Arc<dyn Changes>>,
    ) -> Result<Self, ExecuteError> {
        Ok(Redis {
            link: Link::open(connection, tracking, changes).await?,
            waits: Mutex::new(None),
            run: Script::new(include_str!("run.lua")),
            take: Script::new(include_str!("take.lua")),
            give_back: Script::new(include_str!("give_back.lua")),
        })
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn error(&self, error: RedisError) -> ExecuteError {
        command_error(&self.link.address(), self.link.timeouts(), &error)
    }

    async fn query(&self, command: &Cmd) -> Result<Value, ExecuteError> {
        command.query_async(&mut self.link.clone()).await.map_err(|error| self.error(error))
    }

    async fn waiting(&self) -> Result<MultiplexedConnection, ExecuteError> {
        let mut waits = self.waits.lock().await;
        if let Some(connection) = &*waits {
            return Ok(connection.clone());
        }
        Ok(waits.insert(self.link.dedicated().await?).clone())
    }

    /// By a script, because Redis runs the rest of a MULTI when one of its commands meets a key of another type.
    async fn run_at_once(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        let needs = needs(&plan.commands)?;
        let script = atomic::invocation(&self.run, plan, &needs)?;
        let value: Value =
            script.invoke_async(&mut self.link.clone()).await.map_err(|error| self.error(error))?;
        self.at_once(plan, &needs, value)
    }

    /// The same as the one command of a transaction; nothing if a key changed that the connection watches, and then
    /// nothing was executed.
    pub(crate) async fn run_watched(
        &self,
        pinned: &mut MultiplexedConnection,
        plan: &Plan,
    ) -> Result<Option<Vec<Reply>>, ExecuteError> {
        let needs = needs(&plan.commands)?;
        let script = atomic::invocation(&self.run, plan, &needs)?;
        let mut pipeline = Pipeline::new();
        pipeline.atomic().invoke_script(&script);
        match pipeline.query_async::<Option<Vec<Value>>>(pinned).await {
            Ok(None) => Ok(None),
            Ok(Some(mut values)) => self.at_once(plan, &needs, values.pop().unwrap_or(Value::Nil)).map(Some),
            Err(error) if error.code() == Some("NOSCRIPT") => {
                script.load_async(pinned).await.map_err(|error| self.error(error))?;
                Ok(None)
            }
            Err(error) => Err(self.error(error)),
        }
    }

    /// What the answer of the script means.
    fn at_once(&self, plan: &Plan, needs: &[Need<'_>], value: Value) -> Result<Vec<Reply>, ExecuteError> {
        let lost = || ExecuteError::Server { message: "the script that runs plans got lost".into() };
        match value {
            Value::Int(place) => {
                let place = usize::try_from(place).map_err(|_| lost())?;
                Err(needs.get(place).map_or_else(lost, |need| need.refused()))
            }
            Value::Array(values) if values.len() == plan.commands.len() => {
                self.replies(&plan.commands, values).into_iter().collect()
            }
            _ => Err(lost()),
        }
    }
}

impl Redis {
    /// Runs commands one after the other, each with its own answer.
    pub(crate) async fn run_each(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Reply, ExecuteError>>, ExecuteError> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        // One error must not hide which command it belongs to, nor the replies of the others.
        pipeline.ignore_errors();
        for each in commands {
            pipeline.add_command(command(each));
        }
        let values: Vec<Value> =
            pipeline.query_async(&mut self.link.clone()).await.map_err(|error| self.error(error))?;
        Ok(self.replies(commands, values))
    }

    /// Adds a plan to a pipeline: its one command, or the script that runs all of them at once.
    pub(crate) fn add(&self, pipeline: &mut Pipeline, plan: &Plan) -> Result<(), ExecuteError> {
        match &*plan.commands {
            [] => {}
            [one] => {
                pipeline.add_command(command(one));
            }
            commands => {
                let needs = needs(commands)?;
                pipeline.invoke_script(&atomic::invocation(&self.run, plan, &needs)?);
            }
        }
        Ok(())
    }

    /// What the answer to an added plan means.
    pub(crate) fn read_added(&self, plan: &Plan, value: Value) -> Result<Vec<Reply>, ExecuteError> {
        match (&*plan.commands, value) {
            ([one], value) => Ok(vec![reply(self.link.address(), one, value)?]),
            (_, Value::ServerError(error)) => Err(ExecuteError::Server { message: error.to_string().into() }),
            (commands, value) => self.at_once(plan, &needs(commands)?, value),
        }
    }

    fn replies(&self, commands: &[Command], values: Vec<Value>) -> Vec<Result<Reply, ExecuteError>> {
        let address = self.link.address();
        commands.iter().zip(values).map(|(asked, value)| reply(&address, asked, value)).collect()
    }

    /// The clock of the server.
    pub(crate) async fn now_ms(&self) -> Result<u64, ExecuteError> {
        let time: (u64, u64) = ::redis::cmd("TIME")
            .query_async(&mut self.link.clone())
            .await
            .map_err(|error| self.error(error))?;
        Ok(time.0.saturating_mul(1000).saturating_add(time.1 / 1000))
    }
}

pub(crate) fn command(command: &Command) -> Cmd {
    let mut cmd = Cmd::new();
    for arg in command.args() {
        cmd.arg(&*arg);
    }
    cmd
}

impl Executor for Redis {
    async fn run(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        if plan.atomic && plan.commands.len() > 1 {
            return self.run_at_once(plan).await;
        }
        self.run_each(&plan.commands).await?.into_iter().collect()
    }

    async fn take(&self, take: &Take<'_>) -> Result<Taken, ExecuteError> {
        let Take { layout, queues } = *take;
        let order = pop_order(take);
        let mut script = self.take.prepare_invoke();
        script.key(layout.unacked()).key(layout.unacked_index());
        for (queue, list) in &order {
            let queue = &queues[*queue];
            script.key(list).key(quarantine_list(layout, queue));
            script.arg(format!("#{queue}"));
            script.arg(format!(", \"\", {}]", Json::from(queue.as_str()).to_python()));
        }
        let value: Value =
            script.invoke_async(&mut self.link.clone()).await.map_err(|error| self.error(error))?;
        let Value::Array(parts) = value else { return Ok(Taken::Empty) };
        let mut parts = parts.into_iter();
        let place = match (parts.next(), parts.as_slice().first()) {
            (Some(Value::Int(0)), Some(Value::Int(place))) => {
                let place = usize::try_from(*place).unwrap_or_default();
                return Err(of_wrong_type(take, &order, place));
            }
            (Some(Value::Int(pair)), _) => usize::try_from(pair - 1).ok(),
            _ => None,
        };
        let Some((queue, list)) = place.and_then(|place| order.into_iter().nth(place)) else {
            return Err(ExecuteError::Server { message: "the take script got lost".into() });
        };
        let queue = queues[queue].clone();
        Ok(match (parts.next().and_then(text), parts.next().and_then(bytes)) {
            (Some(delivery), Some(payload)) => Taken::Message { delivery, queue, list, payload },
            _ => Taken::Quarantined { list: quarantine_list(layout, &queue), queue },
        })
    }

    async fn give_back(&self, back: &GiveBack<'_>) -> Result<bool, ExecuteError> {
        let GiveBack { layout, delivery, list, payload, next } = *back;
        let mut script = self.give_back.prepare_invoke();
        script.key(layout.unacked()).key(layout.unacked_index()).key(list);
        script.arg(delivery).arg(payload).arg(if next { "RPUSH" } else { "LPUSH" });
        let given: Value =
            script.invoke_async(&mut self.link.clone()).await.map_err(|error| self.error(error))?;
        let (key, command) = match given {
            Value::Int(given) => return Ok(given == 1),
            Value::Array(place) => match place.first() {
                Some(Value::Int(1)) => (layout.unacked(), "HDEL"),
                Some(Value::Int(2)) => (layout.unacked_index(), "ZREM"),
                _ => (list.to_owned(), if next { "RPUSH" } else { "LPUSH" }),
            },
            _ => return Err(ExecuteError::Server { message: "the script to give back got lost".into() }),
        };
        Err(ExecuteError::WrongType { key: key.into(), command })
    }

    async fn wait(&self, lists: &[String], limit: Duration) -> Result<(), ExecuteError> {
        let Some(first) = lists.first() else { return Ok(()) };
        let mut connection = self.waiting().await?;
        let mut rotate = Cmd::new();
        // Moves the tail of the list onto itself: it wakes on a push, changes nothing, and takes nothing away.
        rotate.arg("BLMOVE").arg(first).arg(first).arg("RIGHT").arg("RIGHT").arg(limit.as_secs_f64());
        let answer = rotate.query_async::<Value>(&mut connection);
        let patience = limit + self.link.timeouts().response_timeout;
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.code() == Some("ERR") => {
                // Servers before 6.2 have no BLMOVE.
                tokio::time::sleep(limit).await;
                Ok(())
            }
            Ok(Err(error)) => {
                *self.waits.lock().await = None;
                Err(self.error(error))
            }
            Err(_) => {
                *self.waits.lock().await = None;
                Err(silent(&self.link.address(), patience))
            }
        }
    }

    async fn subscribe(&self, patterns: &[String]) -> Result<Listener, ExecuteError> {
        let limit = self.link.timeouts().connect_timeout;
        let mut subscription = self.link.listening().await?;
        let subscribing = async {
            for pattern in patterns {
                subscription.psubscribe(pattern).await?;
            }
            Ok(subscription)
        };
        let subscription = in_time(&self.link.address(), limit, subscribing).await?;
        let subscription = subscription.map_err(|error: RedisError| self.error(error))?;
        let (sender, messages) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            let mut stream = subscription.into_on_message();
            loop {
                let message = tokio::select! {
                    message = stream.next() => message,
                    () = sender.closed() => return,
                };
                let Some(message) = message else { return };
                let channel = message.get_channel_name().to_owned();
                let heard = Heard { channel, payload: message.get_payload_bytes().to_vec() };
                if sender.send(heard).await.is_err() {
                    return;
                }
            }
        });
        Ok(Listener { messages })
    }

    async fn hash(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, ExecuteError> {
        let mut cmd = Cmd::new();
        cmd.arg("HGETALL").arg(key);
        let fields: Vec<(String, Vec<u8>)> =
            cmd.query_async(&mut self.link.clone()).await.map_err(|error| match error.code() {
                Some("WRONGTYPE") => ExecuteError::WrongType { key: key.into(), command: "HGETALL" },
                _ => self.error(error),
            })?;
        let mut fields = fields;
        fields.sort_unstable();
        Ok(fields)
    }

    async fn set_size(&self, key: &str) -> Result<SetSize, ExecuteError> {
        let mut kind = Cmd::new();
        kind.arg("TYPE").arg(key);
        match text(self.query(&kind).await?).as_deref() {
            Some("none") => Ok(SetSize::Members(0)),
            Some("set") => {
                let mut size = Cmd::new();
                size.arg("SCARD").arg(key);
                match self.query(&size).await? {
                    Value::Int(size) => Ok(SetSize::Members(size.unsigned_abs())),
                    _ => Err(ExecuteError::Server { message: "SCARD answers no number".into() }),
                }
            }
            other => Ok(SetSize::OtherType(other.unwrap_or("unknown type").into())),
        }
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, ExecuteError> {
        let mut pattern = String::with_capacity(prefix.len() + 8);
        for character in prefix.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('*');
        let (mut keys, mut cursor) = (Vec::new(), 0u64);
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(10_000);
            let (next, found): (u64, Vec<Vec<u8>>) =
                scan.query_async(&mut self.link.clone()).await.map_err(|error| self.error(error))?;
            keys.extend(found.into_iter().filter_map(|key| String::from_utf8(key).ok()));
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ExecuteError> {
        let mut cmd = Cmd::new();
        cmd.arg("GET").arg(key);
        Ok(bytes(self.query(&cmd).await?))
    }

    fn describe(&self) -> String {
        format!("redis at {}", self.link.address())
    }
}

async fn in_time<T>(
    address: &str,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, ExecuteError> {
    tokio::time::timeout(limit, work).await.map_err(|_| silent(address, limit))
}
