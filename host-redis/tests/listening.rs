//! Listening to fanout: to a server that is gone without a word, to more than is read, on a cluster, and no longer.

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};

use keyrail_core::kombu::{Command, Layout, Plan};
use keyrail_redis::{
    Body, Connection, Executor, FanoutListener, Host, Memory, News, Redis, RedisOptions, Waiter, load,
};
use support::{PATIENCE, RedisServer, cluster, free_port, on_both, proxy::Proxy};

on_both!(who_does_not_read_is_cut_off_and_told);

fn host<E: Executor>(executor: E) -> Host<E> {
    Host::from_tables(executor, Layout::default(), load::Options::default())
}

async fn connect(url: &str, options: &str) -> Host<Redis> {
    let connection = Connection::new(url).expect("a URL");
    let connection = connection.transport_options(options.parse().expect("options"));
    host(connection.connect().await.expect("Redis"))
}

/// As many as listen now have heard it.
async fn publish<E: Executor>(host: &Host<E>, payload: Vec<u8>) {
    let channel = Layout::default().fanout_channel("news", "");
    let plan = Plan { commands: vec![Command::Publish { channel, payload }], atomic: false };
    host.executor().run(&plan).await.expect("published");
}

async fn next(fanout: &mut FanoutListener) -> News {
    fanout.next(PATIENCE).await.expect("news")
}

/// Publishes until one comes: who has just been told of a gap listens again.
async fn hears<E: Executor>(host: &Host<E>, fanout: &mut FanoutListener) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        publish(host, b"again".to_vec()).await;
        match fanout.next(Duration::from_millis(50)).await.expect("news") {
            News::Message(_) => return,
            _ => assert!(Instant::now() < deadline, "nothing is heard any more"),
        }
    }
}

#[tokio::test]
async fn a_subscription_to_a_server_that_is_gone_is_given_up() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let direct = connect(&server.url(), "{}").await;
    let options = r#"{"health_check_interval": 0.3, "socket_connect_timeout": 1}"#;
    let listening = connect(&proxy.url(), options).await;
    let mut fanout = listening.listen("news", "").await.expect("a listener");
    // Alive, and nothing to say: it stays.
    assert_eq!(fanout.next(Duration::from_millis(700)).await, Ok(News::Idle));
    proxy.freeze();
    assert_eq!(next(&mut fanout).await, News::Gap);
    hears(&direct, &mut fanout).await;
}

async fn who_does_not_read_is_cut_off_and_told<E: Executor>(executor: E) {
    const COUNT: usize = 20_000;
    let host = host(executor);
    let mut fanout = host.listen("news", "").await.expect("a listener");
    let channel = Layout::default().fanout_channel("news", "");
    let publish = Command::Publish { channel, payload: b"x".to_vec() };
    let plan = Plan { commands: vec![publish; COUNT], atomic: false };
    host.executor().run(&plan).await.expect("published");
    let mut heard = 0;
    while let News::Message(_) = next(&mut fanout).await {
        heard += 1;
    }
    // What was read meanwhile had room beside it.
    assert!((16_384..COUNT).contains(&heard), "{heard} of {COUNT} before the gap");
    hears(&host, &mut fanout).await;
}

#[tokio::test]
async fn what_waits_is_bounded_in_bytes_too() {
    const SIZE: usize = 4 << 20;
    let server = RedisServer::start();
    // The server has a limit of its own.
    let set = server.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"]);
    assert_eq!(set, "+OK\r\n");
    let host = connect(&server.url(), "{}").await;
    let mut fanout = host.listen("news", "").await.expect("a listener");
    // One may be as large as it likes.
    publish(&host, vec![b'x'; 10 * SIZE]).await;
    let News::Message(message) = next(&mut fanout).await else { panic!("no message") };
    let length = match &message.body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Text(text) => text.len(),
        Body::Json(_) | Body::Wide(_) => 0,
    };
    assert_eq!(length, 10 * SIZE);
    for _ in 0..20 {
        publish(&host, vec![b'x'; SIZE]).await;
    }
    let mut heard = 0;
    while let News::Message(_) = next(&mut fanout).await {
        heard += 1;
    }
    // 32 MiB, and what was on its way to whoever reads.
    assert!((7..=10).contains(&heard), "{heard}");
    hears(&host, &mut fanout).await;
}

#[tokio::test]
async fn who_listens_no_longer_leaves_no_subscription_behind() {
    let server = RedisServer::start();
    let host = connect(&server.url(), "{}").await;
    let fanout = host.listen("news", "").await.expect("a listener");
    assert_eq!(server.command(&["PUBSUB", "NUMPAT"]), ":1\r\n");
    drop(fanout);
    cluster::until("the subscription is gone", || server.command(&["PUBSUB", "NUMPAT"]) == ":0\r\n").await;
}

#[tokio::test]
async fn on_a_cluster_any_node_of_the_url_will_do() {
    let nodes = cluster::cluster().await;
    let url =
        format!("redis+cluster://127.0.0.1:{};redis+cluster://127.0.0.1:{}", free_port(), nodes[1].port);
    let host = connect(&url, "{}").await;
    let mut fanout = host.listen("news", "").await.expect("a listener");
    publish(&host, b"x".to_vec()).await;
    assert!(matches!(next(&mut fanout).await, News::Message(_)));
}

/// A node that nobody has met does not know its own address, and leaves it out.
#[tokio::test]
async fn a_node_that_names_no_host_is_reached_as_it_was_asked() {
    let (node, _) = cluster::node();
    cluster::give_slots(&node, 0..16384);
    cluster::until("it serves", || node.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")).await;
    let slots = node.command(&["CLUSTER", "SLOTS"]);
    assert!(slots.contains("$0\r\n\r\n"), "it names a host: {slots}");
    let host = connect(&format!("redis+cluster://127.0.0.1:{}", node.port), "{}").await;
    let mut waiter = host.executor().waiter(vec!["q".into()]);
    waiter.wait(Duration::from_millis(50)).await.expect("waited");
    assert_eq!(host.executor().keys("").await.expect("keys"), Vec::<String>::new());
}

#[test]
fn a_worker_is_ready_when_it_hears_remote_control() {
    let server = RedisServer::start();
    let mut worker = Process::new(env!("CARGO_BIN_EXE_keyrail"))
        .args(["worker", "--redis", &server.url(), "--task", "t=/bin/cat"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("keyrail starts");
    let mut line = String::new();
    BufReader::new(worker.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
    let listening = server.command(&["PUBSUB", "NUMPAT"]);
    let _ = worker.kill();
    let _ = worker.wait();
    assert!(line.ends_with(" is ready\n"), "{line}");
    assert_eq!(listening, ":1\r\n");
}
