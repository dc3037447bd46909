//! The executor over TCP or a Unix socket.

use std::{future::Future, time::Duration};

use ::redis::{
    Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisError, ScriptInvocation, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use futures_util::StreamExt;
use keyrail_core::kombu::{Command, Layout, Plan};
use tokio::sync::mpsc;

use super::{
    BACKLOG, Executor, GiveBack, Heard, Held, Listener, Overdue, PutBack, Reply, Restore, SetSize, Take,
    Taken, needs::needs,
};
use crate::ExecuteError;

mod atomic;
mod errors;
mod held;
mod replies;
mod scripts;
mod take;
mod wait;

use errors::{command_error, connect_error, mute, silent};
use replies::{bytes, reply, text};
use scripts::Scripts;
pub use wait::RedisWaiter;

/// One Redis, by its URL. Reconnects by itself; what was under way when the connection broke is reported, not repeated.
pub struct Redis {
    client: Client,
    commands: ConnectionManager,
    address: String,
    options: RedisOptions,
    scripts: Scripts,
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

impl std::fmt::Debug for Redis {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects, and makes sure that it is Redis who answers. Also returns the number of the database in the URL.
    ///
    /// # Errors
    /// [`ExecuteError::Url`], [`Unreachable`](ExecuteError::Unreachable), [`NotRedis`](ExecuteError::NotRedis),
    /// [`Authentication`](ExecuteError::Authentication), [`Timeout`](ExecuteError::Timeout).
    pub async fn connect(url: &str, options: RedisOptions) -> Result<(Self, u32), ExecuteError> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "redis" | "redis+unix" | "unix") {
            let reason = match scheme {
                "rediss" | "sentinel" => format!("the scheme `{scheme}` is not supported yet"),
                "" => "it has no scheme".into(),
                other => format!("the scheme `{other}` is not Redis'"),
            };
            return Err(ExecuteError::Url { reason: reason.into() });
        }
        // The parser's own message may quote the URL with its password.
        let info = url
            .into_connection_info()
            .map_err(|_| ExecuteError::Url { reason: "host, port or database cannot be read".into() })?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            other => other.to_string(),
        };
        let db = u32::try_from(info.redis_settings().db()).unwrap_or_default();
        let client =
            Client::open(info).map_err(|error| ExecuteError::Url { reason: error.category().into() })?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.response_timeout));
        let connecting = ConnectionManager::new_with_config(client.clone(), config);
        // The connection timeout ends where the handshake begins, and a silent peer may never shake hands.
        let connected = match tokio::time::timeout(options.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| connect_error(&address, &options, &error))?,
            Err(_) => return Err(mute(&address, &options)),
        };
        let redis = Redis {
            client,
            commands: connected,
            address,
            options,
            scripts: Scripts::new(),
        };
        redis.greet().await?;
        Ok((redis, db))
    }

    /// Whoever answers PING with PONG speaks the protocol.
    async fn greet(&self) -> Result<(), ExecuteError> {
        let ping = Cmd::new().arg("PING").to_owned();
        let mut connection = self.commands.clone();
        let answer: Result<Value, _> =
            match tokio::time::timeout(self.options.connect_timeout, ping.query_async(&mut connection)).await
            {
                Ok(answer) => answer,
                Err(_) => return Err(mute(&self.address, &self.options)),
            };
        match answer {
            Ok(Value::SimpleString(pong)) if pong == "PONG" => Ok(()),
            Ok(_) => {
                let reason = "it does not answer PING with PONG".into();
                Err(ExecuteError::NotRedis { address: self.address.as_str().into(), reason })
            }
            Err(error) => Err(connect_error(&self.address, &self.options, &error)),
        }
    }

    fn error(&self, error: RedisError) -> ExecuteError {
        command_error(&self.address, &self.options, &error)
    }

    async fn query(&self, command: &Cmd) -> Result<Value, ExecuteError> {
        command.query_async(&mut self.commands.clone()).await.map_err(|error| self.error(error))
    }

    async fn invoke(&self, script: &ScriptInvocation<'_>) -> Result<Value, ExecuteError> {
        script.invoke_async(&mut self.commands.clone()).await.map_err(|error| self.error(error))
    }

    /// By a script, because Redis runs the rest of a MULTI when one of its commands meets a key of another type.
    async fn run_at_once(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        let needs = needs(&plan.commands)?;
        let script = atomic::invocation(&self.scripts.run, plan, &needs)?;
        let value = self.invoke(&script).await?;
        let lost = || ExecuteError::Server { message: "the script that runs plans got lost".into() };
        match value {
            Value::Int(place) => {
                let place = usize::try_from(place).map_err(|_| lost())?;
                Err(needs.get(place).map_or_else(lost, |need| need.refused()))
            }
            Value::Array(values) if values.len() == plan.commands.len() => {
                plan.commands.iter().zip(values).map(|(asked, value)| reply(asked, value)).collect()
            }
            _ => Err(lost()),
        }
    }
}

fn command(command: &Command) -> Cmd {
    let mut cmd = Cmd::new();
    for arg in command.args() {
        cmd.arg(&*arg);
    }
    cmd
}

impl Executor for Redis {
    type Waiter = RedisWaiter;

    async fn run(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        if plan.atomic && plan.commands.len() > 1 {
            return self.run_at_once(plan).await;
        }
        let mut pipeline = Pipeline::with_capacity(plan.commands.len());
        // One error must not hide which command it belongs to, nor the replies of the others.
        pipeline.ignore_errors();
        for each in &plan.commands {
            pipeline.add_command(command(each));
        }
        let values: Vec<Value> =
            pipeline.query_async(&mut self.commands.clone()).await.map_err(|error| self.error(error))?;
        plan.commands.iter().zip(values).map(|(asked, value)| reply(asked, value)).collect()
    }

    async fn take(&self, take: &Take<'_>) -> Result<Vec<Taken>, ExecuteError> {
        take::take(self, take).await
    }

    async fn settle(&self, layout: &Layout, deliveries: &[String]) -> Result<Vec<bool>, ExecuteError> {
        held::settle(self, layout, deliveries).await
    }

    async fn give_back(&self, back: &GiveBack<'_>) -> Result<bool, ExecuteError> {
        held::give_back(self, back).await
    }

    async fn touch(&self, layout: &Layout, deliveries: &[String]) -> Result<(), ExecuteError> {
        held::touch(self, layout, deliveries).await
    }

    async fn now(&self) -> Result<f64, ExecuteError> {
        held::now(self).await
    }

    async fn overdue(&self, overdue: &Overdue<'_>) -> Result<Vec<Held>, ExecuteError> {
        held::overdue(self, overdue).await
    }

    async fn owned(&self, layout: &Layout, owner: &str) -> Result<Vec<Held>, ExecuteError> {
        held::owned(self, layout, owner).await
    }

    async fn restore(&self, restore: &Restore<'_>) -> Result<Option<Vec<PutBack>>, ExecuteError> {
        held::restore(self, restore).await
    }

    async fn lock(&self, layout: &Layout, token: &str, limit: Duration) -> Result<bool, ExecuteError> {
        held::lock(self, layout, token, limit).await
    }

    async fn unlock(&self, layout: &Layout, token: &str) -> Result<(), ExecuteError> {
        held::unlock(self, layout, token).await
    }

    fn waiter(&self, lists: Vec<String>) -> RedisWaiter {
        RedisWaiter::new(self, lists)
    }

    async fn subscribe(&self, patterns: &[String]) -> Result<Listener, ExecuteError> {
        let limit = self.options.connect_timeout;
        let subscribing = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            for pattern in patterns {
                subscription.psubscribe(pattern).await?;
            }
            Ok(subscription)
        };
        let subscription = in_time(&self.address, limit, subscribing).await?;
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
            cmd.query_async(&mut self.commands.clone()).await.map_err(|error| match error.code() {
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
                scan.query_async(&mut self.commands.clone()).await.map_err(|error| self.error(error))?;
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
        format!("redis at {}", self.address)
    }
}

async fn in_time<T>(
    address: &str,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, ExecuteError> {
    tokio::time::timeout(limit, work).await.map_err(|_| silent(address, limit))
}
