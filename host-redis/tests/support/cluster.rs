//! A cluster of three nodes on this machine.

use std::{
    net::TcpListener,
    ops::Range,
    time::{Duration, Instant},
};

use super::{PATIENCE, RedisServer, free_port};

pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Three nodes that share the slots.
pub(crate) async fn cluster() -> [RedisServer; 3] {
    let nodes = [(); 3].map(|()| node());
    let first = (nodes[0].0.port.to_string(), nodes[0].1.clone());
    for (n, (node, _)) in nodes.iter().enumerate() {
        give_slots(node, [0..5461, 5461..10923, 10923..16384][n].clone());
        assert_eq!(node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]), "+OK\r\n");
    }
    for (node, _) in &nodes[1..] {
        assert_eq!(node.command(&["CLUSTER", "MEET", "127.0.0.1", &first.0, &first.1]), "+OK\r\n");
    }
    for (node, _) in &nodes {
        until("the cluster is complete", || {
            let info = node.command(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    nodes.map(|(node, _)| node)
}

/// One after the other, because ranges are new in Redis 7.0.
pub(crate) fn give_slots(node: &RedisServer, slots: Range<u32>) {
    let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
    let command: Vec<&str> =
        ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(|slot| &**slot)).collect();
    assert_eq!(node.command(&command), "+OK\r\n");
}

/// A node without slots, and the port of its bus. Before Redis 7.0 that cannot be chosen, so both have to be free.
pub(crate) fn node() -> (RedisServer, String) {
    for _ in 0..50 {
        let port = free_port();
        let Some(bus) = port.checked_add(10000) else { continue };
        if TcpListener::bind(("127.0.0.1", bus)).is_err() {
            continue;
        }
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "15000"];
        return (RedisServer::start_on(port, &arguments), bus.to_string());
    }
    panic!("no two free ports that are 10000 apart");
}

/// One more node of such a cluster, as this one's replica; `known` is how many nodes there are with it.
pub(crate) async fn replica_of(primary: &RedisServer, known: usize) -> RedisServer {
    let replica = node().0;
    let (_, bus) = address(primary);
    let met = replica.command(&["CLUSTER", "MEET", "127.0.0.1", &primary.port.to_string(), &bus]);
    assert_eq!(met, "+OK\r\n");
    let knows = format!("cluster_known_nodes:{known}");
    until("it is known", || {
        [&replica, primary].iter().all(|node| node.command(&["CLUSTER", "INFO"]).contains(&knows))
    })
    .await;
    let id = id(primary);
    until("it replicates", || replica.command(&["CLUSTER", "REPLICATE", &id]) == "+OK\r\n").await;
    until("it follows", || replica.command(&["INFO", "replication"]).contains("master_link_status:up")).await;
    replica
}

/// Has each node tell clients another port to come to, a proxy's.
pub(crate) async fn announce(nodes: &[RedisServer], ports: &[u16]) {
    for (node, port) in nodes.iter().zip(ports) {
        let set = node.command(&["CONFIG", "SET", "cluster-announce-port", &port.to_string()]);
        assert_eq!(set, "+OK\r\n");
    }
    until("all know all ports", || {
        nodes.iter().all(|node| {
            let slots = node.command(&["CLUSTER", "SLOTS"]);
            ports.iter().all(|port| slots.contains(&format!(":{port}\r\n")))
        })
    })
    .await;
}

/// A slot that moves from one node to another, with what lies in it; what does not lie there any more, or not yet, is
/// asked for at its new node.
pub(crate) struct Move<'n> {
    nodes: &'n [RedisServer; 3],
    slot: String,
    from: &'n RedisServer,
    to: &'n RedisServer,
}

impl<'n> Move<'n> {
    /// Begins to move the slot of this key.
    pub(crate) fn begin(nodes: &'n [RedisServer; 3], key: &str) -> Self {
        let slot = nodes[0].command(&["CLUSTER", "KEYSLOT", key]);
        let slot = slot.trim_start_matches(':').trim_end().to_owned();
        let owns = |node: &&RedisServer| !node.command(&["EXISTS", key]).starts_with("-MOVED");
        let from = nodes.iter().find(owns).expect("an owner");
        let to = nodes.iter().find(|node| !owns(node)).expect("another one");
        let moved = Move { nodes, slot, from, to };
        let set = |node: &RedisServer, state, of| {
            node.command(&["CLUSTER", "SETSLOT", &moved.slot, state, &id(of)])
        };
        assert_eq!(set(to, "IMPORTING", from), "+OK\r\n");
        assert_eq!(set(from, "MIGRATING", to), "+OK\r\n");
        moved
    }

    /// Moves what lies in it.
    pub(crate) fn keys(&self) {
        let port = self.to.port.to_string();
        let keys = self.from.command(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"]);
        for key in keys.lines().filter(|line| !line.starts_with(['*', '$'])) {
            assert_eq!(self.from.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]), "+OK\r\n");
        }
    }

    /// Now the new node has the slot.
    pub(crate) fn end(&self) {
        for node in [self.to, self.from].into_iter().chain(self.nodes) {
            let set = node.command(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &id(self.to)]);
            assert_eq!(set, "+OK\r\n");
        }
    }

    /// What the new node answers, though the slot may still be another's.
    pub(crate) fn ask_new(&self, args: &[&str]) -> String {
        self.to.command(args)
    }
}

fn id(node: &RedisServer) -> String {
    node.command(&["CLUSTER", "MYID"]).lines().nth(1).expect("an id").to_owned()
}

/// Port and bus port, as the node names itself.
fn address(node: &RedisServer) -> (String, String) {
    let nodes = node.command(&["CLUSTER", "NODES"]);
    let myself = nodes.lines().find(|line| line.contains("myself")).expect("itself");
    let address = myself.split(' ').nth(1).expect("an address");
    let (_, ports) = address.rsplit_once(':').expect("ports");
    let (port, bus) = ports.split_once('@').expect("a bus port");
    (port.to_owned(), bus.split(',').next().expect("a number").to_owned())
}
