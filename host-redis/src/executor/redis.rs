//! The executor over TCP or a Unix socket.

use std::{future::Future, sync::Arc, time::Duration};

use ::redis::{
    Cmd, Pipeline, RedisError, ScriptInvocation, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use keyrail_core::kombu::{Command, Layout, Plan};

use super::{
    Executor, GiveBack, Held, Listener, Overdue, PutBack, Reply, Restore, SetSize, Swept, Take, Taken,
    needs::{Need, needs},
};
use crate::{
    Connection, ExecuteError, TransportOptions,
    connection::link::{Changes, Link, Tracking},
};

mod atomic;
pub(crate) mod commands;
pub(crate) mod errors;
mod held;
pub(crate) mod listen;
pub(crate) mod once;
mod replies;
mod scripts;
mod sweep;
mod take;
mod wait;

use commands::Commands;
use errors::{command_error, server_error, silent};
use replies::{answer, bytes, reply, text};
use scripts::Scripts;
pub use wait::RedisWaiter;

/// One Redis, sentinels or a cluster, by their [`Connection`]. Reconnects by itself; what was under way when the
/// connection broke is reported, not repeated.
///
/// ```no_run
/// use keyrail_core::kombu::{Command, Plan};
/// use keyrail_redis::{Connection, Executor};
///
/// # async fn count() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Connection::new("redis://127.0.0.1/0")?.connect().await?;
/// let count = Plan { atomic: false, commands: vec![Command::LLen { key: "billing".into() }] };
/// println!("{}: {:?}", redis.describe(), redis.run(&count).await?);
/// # Ok(())
/// # }
/// ```
pub struct Redis {
    link: Link,
    scripts: Scripts,
}

/// How long to wait for Redis.
///
/// ```
/// use std::time::Duration;
/// use keyrail_redis::{Redis, RedisOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // Takes connections and never says a word.
/// let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let url = format!("redis://{}", silent.local_addr().unwrap());
/// let options = RedisOptions { connect_timeout: Duration::from_millis(50), ..RedisOptions::default() };
/// let error = Redis::connect(&url, options).await.unwrap_err();
/// assert_eq!(error.code(), "redis-unreachable");
/// # });
/// ```
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
    /// ```
    /// use keyrail_redis::{Redis, RedisOptions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    /// let url = format!("redis://:s3cret@127.0.0.1:{port}/1"); // where nobody listens
    /// let error = Redis::connect(&url, RedisOptions::default()).await.unwrap_err();
    /// assert_eq!(error.code(), "redis-unreachable");
    /// assert!(error.to_string().contains("127.0.0.1") && !error.to_string().contains("s3cret"));
    /// # });
    /// ```
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
        Ok(Redis { link: Link::open(connection, tracking, changes).await?, scripts: Scripts::new() })
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn error(&self, error: RedisError) -> ExecuteError {
        command_error(self.link.address(), self.link.timeouts(), &error)
    }

    async fn query(&self, command: &Cmd) -> Result<Value, ExecuteError> {
        command.query_async(&mut self.link.clone()).await.map_err(|error| self.error(error))
    }

    async fn invoke(&self, script: &ScriptInvocation<'_>) -> Result<Value, ExecuteError> {
        script.invoke_async(&mut self.link.clone()).await.map_err(|error| self.error(error))
    }

    /// By a script, because Redis runs the rest of a MULTI when one of its commands meets a key of another type.
    async fn run_at_once(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        let needs = needs(&plan.commands)?;
        let script = atomic::invocation(&self.scripts.run, plan, &needs)?;
        let value = self.invoke(&script).await?;
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
        let script = atomic::invocation(&self.scripts.run, plan, &needs)?;
        let value = self.transaction(pinned, &script).await?;
        value.map(|value| self.at_once(plan, &needs, value)).transpose()
    }

    /// A script as the one command of a transaction; nothing if a watched key changed, or if the server had to be told
    /// the script first.
    async fn transaction(
        &self,
        pinned: &mut MultiplexedConnection,
        script: &ScriptInvocation<'_>,
    ) -> Result<Option<Value>, ExecuteError> {
        let mut pipeline = Pipeline::new();
        // An error of the script is its answer, which the client would wrap in one of its own.
        pipeline.atomic().ignore_errors().invoke_script(script);
        let answers: Option<Vec<Value>> =
            pipeline.query_async(pinned).await.map_err(|error| self.error(error))?;
        match answers.map(|mut answers| answers.pop().unwrap_or(Value::Nil)) {
            Some(Value::ServerError(error)) if error.code() == "NOSCRIPT" => {
                script.load_async(pinned).await.map_err(|error| self.error(error))?;
                Ok(None)
            }
            answer => Ok(answer),
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
            Value::ServerError(error) => {
                Err(server_error(self.link.address(), error.code(), error.details()))
            }
            _ => Err(lost()),
        }
    }
}

/// Room for a small command.
const ROOM: usize = 64;

impl Redis {
    /// Runs commands one after the other, each with its own answer.
    pub(crate) async fn run_each(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Reply, ExecuteError>>, ExecuteError> {
        if let [one] = commands {
            let value = self.send(&command(one)).await?;
            return Ok(vec![reply(self.link.address(), one, value)]);
        }
        // One error must not hide which command it belongs to, nor the replies of the others.
        let mut out = Commands::to(self, commands.len(), ROOM);
        for each in commands {
            out.add(command(each));
        }
        let answers = out.send(self).await?;
        let address = self.link.address();
        Ok(commands.iter().zip(answers).map(|(asked, answer)| reply(address, asked, answer?)).collect())
    }

    /// Sends one command; an error that the server answers is a value.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, ExecuteError> {
        self.link.clone().req_packed_command(command).await.map_err(|error| self.error(error))
    }

    /// What the answer to one command means.
    pub(crate) fn read_one(
        &self,
        command: &'static str,
        key: &str,
        value: Value,
    ) -> Result<Reply, ExecuteError> {
        answer(self.link.address(), command, key, value)
    }

    /// Adds a plan to others: its one command, or the script that runs all of them at once.
    pub(crate) fn add(&self, out: &mut Commands, plan: &Plan) -> Result<(), ExecuteError> {
        match &*plan.commands {
            [] => {}
            [one] => out.add(command(one)),
            commands => {
                let needs = needs(commands)?;
                out.add_script(&atomic::invocation(&self.scripts.run, plan, &needs)?);
            }
        }
        Ok(())
    }

    /// What the answer to an added plan means.
    pub(crate) fn read_added(&self, plan: &Plan, value: Value) -> Result<Vec<Reply>, ExecuteError> {
        match (&*plan.commands, value) {
            ([one], value) => Ok(vec![reply(self.link.address(), one, value)?]),
            (commands, value) => self.at_once(plan, &needs(commands)?, value),
        }
    }

    fn replies(&self, commands: &[Command], values: Vec<Value>) -> Vec<Result<Reply, ExecuteError>> {
        let address = self.link.address();
        commands.iter().zip(values).map(|(asked, value)| reply(address, asked, value)).collect()
    }

    /// The keys of one server that match.
    async fn scan(
        &self,
        server: &mut impl ConnectionLike,
        pattern: &str,
    ) -> Result<Vec<String>, ExecuteError> {
        let (mut keys, mut cursor) = (Vec::new(), 0u64);
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(10_000);
            let (next, found): (u64, Vec<Vec<u8>>) =
                scan.query_async(server).await.map_err(|error| self.error(error))?;
            keys.extend(found.into_iter().filter_map(|key| String::from_utf8(key).ok()));
            cursor = next;
            if cursor == 0 {
                return Ok(keys);
            }
        }
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
    let args = command.args();
    let mut cmd = Cmd::with_capacity(args.len(), args.iter().map(|arg| arg.len()).sum());
    for arg in &args {
        cmd.arg(&**arg);
    }
    cmd
}

impl Executor for Redis {
    type Waiter = RedisWaiter;

    async fn run(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        if plan.atomic && plan.commands.len() > 1 {
            return self.run_at_once(plan).await;
        }
        self.run_each(&plan.commands).await?.into_iter().collect()
    }

    async fn run_adding(&self, plan: &Plan, hashes: &[String]) -> Result<Option<Vec<Reply>>, ExecuteError> {
        let needs = needs(&plan.commands)?;
        let script = atomic::invocation_adding(&self.scripts.adding, plan, &needs, hashes)?;
        match self.invoke(&script).await? {
            Value::Nil => Ok(None),
            value => self.at_once(plan, &needs, value).map(Some),
        }
    }

    fn spreads(&self) -> bool {
        self.link.spreads()
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

    async fn sweep(&self, layout: &Layout) -> Result<Swept, ExecuteError> {
        sweep::sweep(self, layout).await
    }

    fn waiter(&self, lists: Vec<String>) -> RedisWaiter {
        RedisWaiter::new(self, lists)
    }

    async fn subscribe(&self, patterns: &[String]) -> Result<Listener, ExecuteError> {
        listen::subscribe(self, patterns).await
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
        let mut keys = match self.link.is_cluster() {
            false => self.scan(&mut self.link.clone(), &pattern).await?,
            true => {
                let mut keys = Vec::new();
                for mut server in self.link.each().await? {
                    keys.extend(self.scan(&mut server, &pattern).await?);
                }
                keys
            }
        };
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ExecuteError> {
        let mut cmd = Cmd::new();
        cmd.arg("GET").arg(key);
        let value = cmd.query_async(&mut self.link.clone()).await.map_err(|error| match error.code() {
            Some("WRONGTYPE") => ExecuteError::WrongType { key: key.into(), command: "GET" },
            _ => self.error(error),
        })?;
        Ok(bytes(value))
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
