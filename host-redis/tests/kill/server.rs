//! Where the messages are, and what goes wrong there.

use std::{thread, time::Duration};

use keyrail_core::kombu::Layout;
use keyrail_redis::{Connection, Redis};

use super::{
    QUEUE,
    harness::Figures,
    support::{
        RedisServer,
        cluster::{cluster, replica_of, until},
        proxy::Proxy,
    },
};

/// What a run takes place on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// One server, and nothing but kills.
    Alone,
    /// One server. Workers are also told to stop, connections cut, clients killed by the server, and the server restarted.
    BehindProxy,
    /// Three nodes and a replica. Workers are also told to stop, clients killed by every node, and the replica takes over.
    Cluster,
}

pub(crate) enum Server {
    One {
        redis: RedisServer,
        proxy: Proxy,
        mixed: bool,
    },
    /// The node with the keys and its replica, which change places; then the others.
    Many {
        nodes: Vec<RedisServer>,
        primary: usize,
    },
}

/// How to reach it, and what stands in front of its keys.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Address {
    pub(crate) fn of(redis: &RedisServer) -> Self {
        Address { url: redis.url(), prefix: String::new() }
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout { global_keyprefix: self.prefix.clone(), ..Layout::default() }
    }

    pub(crate) async fn connect(&self) -> Redis {
        let options = format!(r#"{{"global_keyprefix": "{}"}}"#, self.prefix).parse().expect("options");
        let connection = Connection::new(&self.url).expect("a URL").transport_options(options);
        connection.connect().await.expect("Redis")
    }
}

/// All keys with it lie in slot 5205 and so on the first of three nodes.
const TAG: &str = "{kill}.";

impl Server {
    pub(crate) fn start(place: Place) -> Self {
        if place != Place::Cluster {
            let redis = RedisServer::start_durable();
            let proxy = Proxy::to(redis.port);
            return Server::One { redis, proxy, mixed: place == Place::BehindProxy };
        }
        block_on(async {
            let mut nodes = Vec::from(cluster().await);
            let owner = nodes.iter().position(|node| !node.command(&["EXISTS", TAG]).starts_with('-'));
            nodes.swap(0, owner.expect("an owner"));
            let replica = replica_of(&nodes[0], 4).await;
            nodes.insert(1, replica);
            Server::Many { nodes, primary: 0 }
        })
    }

    /// For who is not to be disturbed.
    pub(crate) fn address(&self) -> Address {
        match self {
            Server::One { redis, .. } => Address::of(redis),
            Server::Many { nodes, .. } => {
                let urls = nodes.iter().map(|node| format!("redis+cluster://127.0.0.1:{}", node.port));
                Address { url: urls.collect::<Vec<_>>().join(";"), prefix: TAG.into() }
            }
        }
    }

    pub(crate) fn workers_address(&self) -> Address {
        match self {
            Server::One { proxy, mixed: true, .. } => Address { url: proxy.url(), prefix: String::new() },
            _ => self.address(),
        }
    }

    /// What this round brings besides a kill; true if it brings a SIGTERM instead of one.
    pub(crate) fn strike(&mut self, round: usize, figures: &mut Figures) -> bool {
        match self {
            Server::One { mixed: false, .. } => {}
            Server::One { redis, proxy, .. } => match round % 8 {
                1 => figures.cuts += usize::from(proxy.cut() > 0),
                3 => {
                    redis.restart();
                    figures.restarts += 1;
                }
                5 => figures.client_kills += usize::from(kill_clients(redis)),
                7 => return true,
                _ => {}
            },
            Server::Many { nodes, primary } => match round % 5 {
                1 => {
                    let killed = nodes.iter().filter(|node| kill_clients(node)).count();
                    figures.client_kills += usize::from(killed == nodes.len());
                }
                3 => {
                    *primary = 1 - *primary;
                    fail_over_to(&nodes[*primary]);
                    figures.failovers += 1;
                }
                4 => return true,
                _ => {}
            },
        }
        false
    }

    pub(crate) fn is_empty(&self) -> bool {
        let (redis, prefix) = match self {
            Server::One { redis, .. } => (redis, ""),
            Server::Many { nodes, primary } => (&nodes[*primary], TAG),
        };
        redis.command(&["EXISTS", &format!("{prefix}{QUEUE}"), &format!("{prefix}unacked")]) == ":0\r\n"
    }
}

fn kill_clients(redis: &RedisServer) -> bool {
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).starts_with(':')
}

/// The replica waits for what its primary has taken, so nothing that was answered is lost.
fn fail_over_to(replica: &RedisServer) {
    block_on(async {
        // Its link may have been killed.
        until("the replica follows", || {
            replica.command(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        until("the replica takes over", || {
            let asked = replica.command(&["CLUSTER", "FAILOVER"]);
            thread::sleep(Duration::from_millis(50));
            let leads = replica.command(&["ROLE"]).contains("master");
            assert!(asked.starts_with("+OK") || leads, "{asked}");
            leads
        })
        .await;
    });
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
