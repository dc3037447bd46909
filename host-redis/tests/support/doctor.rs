//! A Redis to be examined: written to byte by byte, and compared as a whole.

use std::collections::BTreeMap;

use keyrail_core::{
    Dialect,
    kombu::{Envelope, Layout, Member},
};
use keyrail_redis::{
    Connection,
    doctor::{Code, Doctor, Limits, Repair, Report},
};
use redis::{Cmd, Value};

use super::RedisServer;

pub(crate) struct Site {
    pub(crate) server: RedisServer,
    connection: redis::Connection,
    pub(crate) doctor: Doctor,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Site::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let server = RedisServer::start();
        let connection = redis::Client::open(server.url()).expect("a URL");
        let connection = connection.get_connection().expect("Redis");
        let doctor = doctor(&server, limits).await;
        Site { server, connection, doctor }
    }

    /// Runs one command that must succeed.
    #[track_caller]
    pub(crate) fn run(&mut self, parts: &[&[u8]]) -> Value {
        let mut command = Cmd::new();
        for part in parts {
            command.arg(*part);
        }
        command.query(&mut self.connection).unwrap_or_else(|error| panic!("{error}: {parts:?}"))
    }

    /// A command of words.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) -> Value {
        let parts: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run(&parts)
    }

    /// Writes a row as Kombu 5.6 does.
    pub(crate) fn row(&mut self, exchange: &str, row: &[u8]) {
        self.run(&[b"SADD", format!("_kombu.binding.{exchange}").as_bytes(), row]);
    }

    /// Writes a row as Kombu 5.7 does, of a queue that stays.
    pub(crate) fn permanent(&mut self, exchange: &str, row: &[u8]) {
        self.row(exchange, row);
        self.run(&[b"SADD", format!("_kombu.binding_permanent.{exchange}").as_bytes(), row]);
    }

    pub(crate) async fn examine(&self) -> Report {
        self.doctor.examine().await.expect("examined")
    }

    /// The codes of what is found.
    pub(crate) async fn codes(&self) -> Vec<Code> {
        self.examine().await.findings.iter().map(|finding| finding.code).collect()
    }

    /// Everything in the database but the records of repairs: content, and whether it expires.
    pub(crate) fn dump(&mut self) -> BTreeMap<Vec<u8>, String> {
        let mut dump = BTreeMap::new();
        let Value::Array(keys) = self.say("KEYS *") else { panic!("keys") };
        for key in keys {
            let Value::BulkString(key) = key else { panic!("a key") };
            if key.starts_with(b"keyrail.doctor.") {
                continue;
            }
            let kind = self.run(&[b"TYPE", &key]);
            let Value::SimpleString(kind) = kind else { panic!("a type") };
            let content = match &*kind {
                "string" => format!("{:?}", self.run(&[b"GET", &key])),
                "list" => format!("{:?}", self.run(&[b"LRANGE", &key, b"0", b"-1"])),
                "set" => format!("{:?}", sorted(self.run(&[b"SMEMBERS", &key]), 1)),
                "hash" => format!("{:?}", sorted(self.run(&[b"HGETALL", &key]), 2)),
                "zset" => format!("{:?}", self.run(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"])),
                "stream" => format!("{:?}", self.run(&[b"XRANGE", &key, b"-", b"+"])),
                other => panic!("{other}"),
            };
            let expires = self.run(&[b"PTTL", &key]) != Value::Int(-1);
            dump.insert(key, format!("{kind} {content} {expires}"));
        }
        dump
    }
}

fn sorted(value: Value, width: usize) -> Vec<String> {
    let Value::Array(items) = value else { panic!("{value:?}") };
    let mut items: Vec<String> = items.chunks(width).map(|part| format!("{part:?}")).collect();
    items.sort_unstable();
    items
}

pub(crate) async fn doctor(server: &RedisServer, limits: Limits) -> Doctor {
    Doctor::connect(&Connection::new(&server.url()).expect("a URL"), limits).await.expect("Redis")
}

/// A row of a topic exchange.
pub(crate) fn topic(key: &str, queue: &str, dialect: Dialect) -> Vec<u8> {
    Member::topic(key, queue, dialect).expect("a key").to_bytes(&Layout::default().sep).expect("a row")
}

/// A row of a direct exchange.
pub(crate) fn plain(key: &str, queue: &str) -> Vec<u8> {
    Member::plain(key, queue).to_bytes(&Layout::default().sep).expect("a row")
}

/// A message.
pub(crate) fn message(body: &str) -> Vec<u8> {
    Envelope::text(body).to_bytes("", "q", &format!("tag-{body}"))
}

/// What Kombu registers when it delivers a message.
pub(crate) fn record(body: &str, queue: &str) -> Vec<u8> {
    [b"[", &*message(body), format!(", \"\", \"{queue}\"]").as_bytes()].concat()
}

/// Every code that can be repaired, if only by its name.
pub(crate) fn repairable() -> Vec<Code> {
    Code::ALL.into_iter().filter(|code| code.repair() != Repair::Never).collect()
}
