use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{BindError, PublishError};
use keyrail_redis::{ExecuteError, Executor, Host, HostError, LoadError, SetSize};

use super::{log::Log, show::clean};

/// Why the command did not do what was asked: what is printed, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    message: Option<String>,
    status: u8,
}

impl Failure {
    /// The command line is wrong: status 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { message: Some(message.into()), status: 2 }
    }

    /// The command line is right, and it failed: status 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Failure { message: Some(message.into()), status: 1 }
    }

    /// Of a command for which 1 means that it found something: status 2, as of diff(1).
    pub(crate) fn without_an_answer(self) -> Self {
        Failure { status: 2, ..self }
    }

    /// One line on standard error, and the command goes on.
    pub(crate) fn warn(&self) {
        tell(format_args!("keyrail: {self}"));
    }

    /// One line on standard error.
    pub(crate) fn report(self) -> ExitCode {
        if self.message.is_some() {
            tell(format_args!("keyrail: {self}"));
        }
        ExitCode::from(self.status)
    }
}

/// Writes a line to standard error. Nobody may read it any more, and that keeps nobody from working: `eprintln` would panic.
pub(crate) fn tell(line: impl fmt::Display) {
    let _ = Log.write_all(format!("{line}\n").as_bytes());
}

impl fmt::Display for Failure {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(self.message.as_deref().unwrap_or_default()))
    }
}

pub(crate) fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

impl From<HostError> for Failure {
    /// From what a Redis holds.
    fn from(error: HostError) -> Self {
        let hint = match &error {
            HostError::Publish(PublishError::ExchangeNotFound { .. }) => {
                "; see `keyrail topology print` for the known ones, or give its type with --type if Redis does not tell it"
                    .into()
            }
            HostError::Bind(BindError::ExchangeNotFound { name }) => {
                format!("; give its type with --type {name}=TYPE to create it")
            }
            _ => String::new(),
        };
        Failure::failed(format!("{error}{hint}"))
    }
}

impl Failure {
    /// The same, and of a key of another type what it is.
    pub(crate) async fn of<E: Executor>(host: &Host<E>, error: HostError) -> Self {
        let HostError::Execute(ExecuteError::WrongType { key, command }) = &error else {
            return error.into();
        };
        let found = match host.executor().set_size(key).await {
            Ok(SetSize::OtherType(found)) => found,
            Ok(SetSize::Members(1..)) => "set".into(),
            // It is gone, or nobody tells.
            _ => return error.into(),
        };
        Failure::failed(format!("{error}: it is a {found}, expected {}", type_for(command)))
    }
}

/// What a command works on, in the server's words.
fn type_for(command: &str) -> &'static str {
    match command.as_bytes() {
        [b'Z', ..] => "a zset",
        [b'H', ..] => "a hash",
        [b'X', ..] => "a stream",
        b"SADD" | b"SREM" | b"SMEMBERS" | b"SCARD" | b"SISMEMBER" => "a set",
        b"GET" | b"SET" => "a string",
        _ => "a list",
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        HostError::from(error).into()
    }
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Url { .. } => Failure::usage(error.to_string()),
            error => HostError::from(error).into(),
        }
    }
}

impl From<io::Error> for Failure {
    /// From standard output. Whoever closed it, `head` for instance, has seen enough and needs no message.
    fn from(error: io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::BrokenPipe => None,
            _ => Some(format!("cannot write: {error}")),
        };
        Failure { message, status: 1 }
    }
}
