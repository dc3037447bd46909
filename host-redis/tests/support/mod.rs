//! What the tests share: the built program with a deadline, a Redis of one's own, peers that are no Redis.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test file uses its part")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use keyrail_core::kombu::Layout;
use keyrail_redis::load;

pub(crate) mod cluster;
pub(crate) mod consuming;
pub(crate) mod doctor;
pub(crate) mod operations;
pub(crate) mod proxy;
pub(crate) mod trap;
pub(crate) mod worker;

/// Makes two tests of a case.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod memory {$(
            #[tokio::test]
            async fn $case() {
                super::$case(super::Memory::new()).await;
            }
        )*}
        mod redis {$(
            #[tokio::test]
            async fn $case() {
                let server = super::RedisServer::start();
                let options = super::RedisOptions::default();
                let (redis, _) = super::Redis::connect(&server.url(), options).await.expect("Redis");
                super::$case(redis).await;
            }
        )*}
    };
}
pub(crate) use on_both;

/// A host that reads its tables from there, by Kombu's own names.
pub(crate) fn host<E: keyrail_redis::Executor>(executor: E) -> keyrail_redis::Host<E> {
    keyrail_redis::Host::from_tables(executor, Layout::default(), load::Options::default())
}

/// Far more than anything here takes, so that a hang is a failure and a busy machine is not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the built `keyrail` to its end.
pub(crate) fn keyrail<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    keyrail_with(&[], Stdio::null(), args)
}

/// The same with these variables and this standard input.
pub(crate) fn keyrail_with<A: AsRef<std::ffi::OsStr>>(
    env: &[(&str, &str)],
    stdin: Stdio,
    args: impl IntoIterator<Item = A>,
) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    command.args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["KEYRAIL_REDIS", "KEYRAIL_TOKEN", "KEYRAIL_TRANSPORT_OPTIONS", "KEYRAIL_LOG"] {
        command.env_remove(name);
    }
    command.envs(env.iter().copied());
    let mut child = command.spawn().expect("keyrail starts");
    // Read while it runs, or a long output would fill the pipe and stop it.
    let mut pipes = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let out = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipes.0.read_to_end(&mut bytes).map(|_| bytes)
    });
    let err = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipes.1.read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = wait(&mut child);
    let (stdout, stderr) =
        (out.join().expect("reader").expect("read"), err.join().expect("reader").expect("read"));
    Output { status, stdout, stderr }
}

fn wait(child: &mut Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("keyrail hangs");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Standard output of a run that must succeed.
#[track_caller]
pub(crate) fn succeed<const N: usize>(args: [&str; N]) -> String {
    let output = keyrail(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}\n{out}{err}");
    out
}

/// The one line on standard error of a run that must end with this status, without its `keyrail: `.
#[track_caller]
pub(crate) fn fail<const N: usize>(status: i32, args: [&str; N]) -> String {
    let output = keyrail(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{args:?}\n{out}{err}");
    assert_eq!(out, "", "{args:?} printed something and failed");
    let line = err.strip_prefix("keyrail: ").unwrap_or_else(|| panic!("{args:?}: {err}"));
    let line = line.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "{args:?}: more than one line: {err}");
    assert!(!line.contains("panicked"), "{err}");
    line.to_owned()
}

/// A pipe that takes no more, as long as its reader lives.
pub(crate) fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut fill = Command::new("timeout");
    fill.args(["1", "cat", "/dev/zero"]).stdout(writer.try_clone().expect("a clone"));
    assert_eq!(fill.status().expect("timeout").code(), Some(124));
    (reader, writer)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The shop that a real RabbitMQ exported.
pub(crate) fn shop() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop/definitions.json").display().to_string()
}

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("keyrail-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Puts a message into the queue `q`.
pub(crate) async fn put(host: &keyrail_redis::Host<keyrail_redis::Redis>, body: &str) {
    host.publish(&keyrail_redis::Outgoing::new("", "q", keyrail_core::kombu::Envelope::text(body)))
        .await
        .expect("published");
}

/// The next delivery, which must be the next thing that comes.
pub(crate) async fn next(consumer: &mut keyrail_redis::Consumer) -> keyrail_redis::Delivery {
    match consumer.next(PATIENCE).await.expect("a message") {
        keyrail_redis::Next::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

/// A redis-server on a free loopback port. If there is none to start, the test fails and says what to install.
pub(crate) struct RedisServer {
    child: Child,
    pub(crate) port: u16,
    folder: Folder,
    durable: bool,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        RedisServer::start_as(false)
    }

    /// Takes away the folder it works in.
    pub(crate) fn lose_folder(&self) {
        std::fs::remove_dir_all(&self.folder.0).expect("its folder");
    }

    /// One that writes every command to its file before it answers, and can be restarted.
    pub(crate) fn start_durable() -> Self {
        RedisServer::start_as(true)
    }

    fn start_as(durable: bool) -> Self {
        for _ in 0..5 {
            let (folder, port) = (Folder::new(), free_port());
            let child = spawn_redis(port, &folder, durable);
            let mut server = RedisServer { child, port, folder, durable };
            if server.is_ready() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// One more server, with these arguments, on this port.
    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let folder = Folder::new();
        let child = Command::new(&program)
            .args(arguments)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--dir", &folder.path("")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{program}`: {error}; install redis-server"));
        let mut server = RedisServer { child, port, folder, durable: false };
        assert!(server.is_ready(), "redis-server does not start on port {port}");
        server
    }

    /// Ends it, as kill -9 does; the port is free afterwards.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How often each of these commands was called since `CONFIG RESETSTAT`.
    pub(crate) fn calls(&self, commands: &[&str]) -> Vec<u64> {
        let stats = self.command(&["INFO", "commandstats"]);
        let calls = |command: &&str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().expect("a number"))
        };
        commands.iter().map(calls).collect()
    }

    /// Major and minor number of the Redis that it is, or (Valkey) says that it behaves as.
    pub(crate) fn version(&self) -> (u32, u32) {
        let info = self.command(&["INFO", "server"]);
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).expect("a version");
        let mut numbers = version.split('.').map(|number| number.parse().expect("a number"));
        (numbers.next().expect("a major number"), numbers.next().expect("a minor number"))
    }

    /// Kills it and starts it again, on its port and with its file.
    pub(crate) fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = spawn_redis(self.port, &self.folder, self.durable);
        assert!(self.is_ready(), "redis-server does not start again");
    }

    /// False if it ended, for instance because somebody else took the port first.
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.child.try_wait().expect("child").is_none() {
            if self.command(&["PING"]).starts_with("+PONG") {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Sends one command; the raw answer, as far as it came.
    pub(crate) fn command(&self, args: &[&str]) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return String::new() };
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let parts: String = args.iter().map(|arg| format!("${}\r\n{arg}\r\n", arg.len())).collect();
        let _ = stream.write_all(format!("*{}\r\n{parts}", args.len()).as_bytes());
        let (mut answer, mut buffer) = (Vec::new(), [0; 16384]);
        while after_answer(&answer).is_none() {
            match stream.read(&mut buffer) {
                Ok(length @ 1..) => answer.extend_from_slice(&buffer[..length]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// What stands behind the first answer (RESP2); nothing if that is not whole.
fn after_answer(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]);
    let count = || line[1..].parse::<usize>().ok();
    match line.as_bytes().first()? {
        b'$' => count().map_or(Some(rest), |length| rest.get(length + 2..)),
        b'*' => (0..count().unwrap_or(0)).try_fold(rest, |rest, _| after_answer(rest)),
        _ => Some(rest),
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn_redis(port: u16, folder: &Folder, durable: bool) -> Child {
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let port = port.to_string();
    let durable = if durable { "yes" } else { "no" };
    let mut command = Command::new(&program);
    command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", durable]);
    command.args(["--appendfsync", "always"]);
    command.arg("--dir").arg(&folder.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!("cannot start `{program}`: {error}; install redis-server or set REDIS_SERVER")
    })
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// What somebody who is no Redis does with a connection.
#[derive(Clone, Copy)]
pub(crate) enum Impostor {
    /// Says nothing.
    Silent,
    /// Hangs up.
    HangsUp,
    /// Answers whatever it is sent with this.
    Answers(&'static [u8]),
    /// Answers with this and hangs up, as RabbitMQ does.
    Parts(&'static [u8]),
}

/// Listens on loopback until the process ends.
pub(crate) fn impostor(kind: Impostor) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            match kind {
                Impostor::Silent => kept.push(stream),
                Impostor::HangsUp => drop(stream),
                Impostor::Parts(bytes) => {
                    let mut stream = stream;
                    let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(bytes));
                }
                Impostor::Answers(bytes) => {
                    thread::spawn(move || answer(stream, bytes));
                }
            }
        }
    });
    address
}

fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).is_ok_and(|length| length > 0) {
        if stream.write_all(bytes).is_err() {
            return;
        }
    }
}
