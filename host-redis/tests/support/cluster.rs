//! A cluster of three nodes on this machine.

use std::time::{Duration, Instant};

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
    let nodes = [(); 3].map(|()| {
        let bus = free_port().to_string();
        let arguments =
            ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "15000"];
        (RedisServer::start_on(free_port(), &arguments), bus)
    });
    let first = (nodes[0].0.port.to_string(), nodes[0].1.clone());
    for (n, (node, _)) in nodes.iter().enumerate() {
        let (from, to) = ([0, 5461, 10923][n].to_string(), [5460, 10922, 16383][n].to_string());
        assert_eq!(node.command(&["CLUSTER", "ADDSLOTSRANGE", &from, &to]), "+OK\r\n");
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
