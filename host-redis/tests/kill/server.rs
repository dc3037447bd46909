//! Where the messages are, and what goes wrong there.

use std::time::{Duration, Instant};

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

/// In front of all keys, so that they lie on one node.
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
            for node in &nodes {
                // Only what is asked for: a replica that takes over from a primary that is merely slow loses what it has
                // not heard of.
                for (option, value) in
                    [("cluster-node-timeout", "5000"), ("cluster-replica-no-failover", "yes")]
                {
                    assert_eq!(node.command(&["CONFIG", "SET", option, value]), "+OK\r\n");
                }
            }
            Server::Many { nodes }
        })
    }

    /// For who is not to be disturbed.
    pub(crate) fn address(&self) -> Address {
        match self {
            Server::One { redis, .. } => Address::of(redis),
            Server::Many { nodes } => {
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
            Server::Many { nodes } => match round % 5 {
                1 => {
                    let killed = nodes.iter().filter(|node| kill_clients(node)).count();
                    figures.client_kills += usize::from(killed == nodes.len());
                }
                3 => {
                    fail_over(&nodes[..2]);
                    figures.failovers += 1;
                }
                4 => return true,
                _ => {}
            },
        }
        false
    }

    pub(crate) fn is_empty(&self) -> bool {
        let prefix = self.address().prefix;
        let asked = ["EXISTS", &format!("{prefix}{QUEUE}"), &format!("{prefix}unacked")];
        let is_empty = |redis: &RedisServer| redis.command(&asked) == ":0\r\n";
        match self {
            Server::One { redis, .. } => is_empty(redis),
            // Who does not lead says where to ask.
            Server::Many { nodes } => nodes.iter().any(is_empty),
        }
    }
}

fn kill_clients(redis: &RedisServer) -> bool {
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).starts_with(':')
}

/// Of a node and its replica the one that follows takes over. It waits for what the other one has taken, so nothing that
/// was answered is lost.
fn fail_over(pair: &[RedisServer]) {
    let leads = |node: &RedisServer| node.command(&["ROLE"]).contains("master");
    block_on(async {
        let mut replica = None;
        // Its link may have been killed.
        until("one follows the other", || {
            let follows = |node: &&RedisServer| {
                node.command(&["INFO", "replication"]).contains("master_link_status:up")
            };
            replica = pair.iter().find(follows);
            replica.is_some()
        })
        .await;
        let replica = replica.expect("a replica");
        // The others vote once in two node timeouts, and an attempt is given up after five seconds.
        let mut asked: Option<Instant> = None;
        until("the replica takes over", || {
            if leads(replica) {
                return true;
            }
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                replica.command(&["CLUSTER", "FAILOVER"]);
                asked = Some(Instant::now());
            }
            false
        })
        .await;
    });
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
