//! What a producer on a cluster sends again: what was certainly not executed, and nothing else unless it is asked to.

mod support;

use std::time::{Duration, Instant};

use keyrail_core::{ExchangeKind, Value, kombu::Envelope};
use keyrail_redis::{
    Connection, DurableFanout, FanoutListener, Freshness, Host, Message, News, ProduceError, Producer,
    ProducerOptions, RetryPolicy, load,
};
use support::{
    PATIENCE, RedisServer,
    cluster::{Move, announce, cluster, until},
    trap::{ANSWER, REQUEST, Trap, marked},
};

/// A cluster whose clients reach each node through a trap.
struct Trapped {
    nodes: [RedisServer; 3],
    traps: [Trap; 3],
}

impl Trapped {
    async fn start() -> Self {
        let nodes = cluster().await;
        let first = Trap::before(nodes[0].port);
        let [second, third] = [1, 2].map(|n: usize| first.and_before(nodes[n].port));
        Trapped::with(nodes, [first, second, third]).await
    }

    /// Each trap is set for itself.
    async fn apart() -> Self {
        let nodes = cluster().await;
        let traps = nodes.each_ref().map(|node| Trap::before(node.port));
        Trapped::with(nodes, traps).await
    }

    async fn with(nodes: [RedisServer; 3], traps: [Trap; 3]) -> Self {
        announce(&nodes, &traps.each_ref().map(|trap| trap.port)).await;
        Trapped { nodes, traps }
    }

    /// A producer that has found its way to every node.
    async fn producer(&self, prefix: &str, options: ProducerOptions) -> Producer {
        let producer = producer(&self.traps.each_ref().map(|trap| trap.port), prefix, options).await;
        for n in 0..30 {
            producer.publish(&marked("warm").routing_key(format!("warm{n}"))).await.expect("published");
        }
        // The scripts, too, so that what is lost later is no answer to a question about them.
        producer.publish(&message()).await.expect("published");
        for queue in QUEUES {
            assert_eq!(self.drained(&format!("{prefix}{queue}")), 1);
        }
        producer
    }

    /// How many copies lie in a list; none are left.
    fn drained(&self, list: &str) -> usize {
        let copies = length(&self.nodes, list);
        self.nodes.iter().for_each(|node| drop(node.command(&["DEL", list])));
        copies
    }
}

fn connection(ports: &[u16; 3], prefix: &str) -> Connection {
    let urls = ports.map(|port| format!("redis+cluster://127.0.0.1:{port}")).join(";");
    let layout = format!(r#"{{"global_keyprefix": "{prefix}"}}"#);
    Connection::new(&urls).expect("URLs").transport_options(layout.parse().expect("options"))
}

async fn producer(ports: &[u16; 3], prefix: &str, options: ProducerOptions) -> Producer {
    Producer::connect(&connection(ports, prefix), options).await.expect("a producer")
}

fn length(nodes: &[RedisServer; 3], list: &str) -> usize {
    let mut answers = nodes.iter().map(|node| node.command(&["LLEN", list]));
    let answer = answers.find(|answer| !answer.starts_with('-')).expect("an owner");
    answer.trim_start_matches(':').trim_end().parse().expect("a number")
}

fn retry() -> ProducerOptions {
    let policy = RetryPolicy { interval_start: Duration::from_millis(10), ..RetryPolicy::celery() };
    ProducerOptions::new().retry(policy)
}

/// Kombu's own layout, where each copy is a step of its own, and a hash tag, where all are one.
const LAYOUTS: [&str; 2] = ["", "{shop}."];
/// Of `CC`, so that there are several copies.
const QUEUES: [&str; 3] = ["q", "second", "third"];

fn message() -> Message {
    let others = QUEUES[1..].iter().map(|queue| Value::from(*queue)).collect::<Vec<_>>();
    marked("x").routing_key("q").header("CC", others)
}

#[tokio::test]
async fn what_was_perhaps_executed_is_repeated_on_request_alone() {
    let cluster = Trapped::start().await;
    without_a_retry_policy_nothing_is_repeated(&cluster).await;
    with_one_a_lost_answer_leaves_its_copy(&cluster).await;
    once_leaves_one_copy_whatever_was_lost(&cluster).await;
    a_cut_that_nothing_was_under_way_at_is_mended_unseen(&cluster).await;
}

async fn without_a_retry_policy_nothing_is_repeated(cluster: &Trapped) {
    for prefix in LAYOUTS {
        let producer = cluster.producer(prefix, ProducerOptions::new()).await;
        for (loses, copies) in [(ANSWER, 1), (REQUEST, 0)] {
            let one = marked("x").routing_key("q");
            let error = cluster.traps[0].around(loses, producer.publish(&one)).await;
            let error = error.expect_err("nobody knows");
            assert_eq!(error.code(), "redis-disconnected", "{prefix}: {error}");
            // The way is mended, and what was on it does not come later.
            producer.publish(&one).await.expect("published");
            assert_eq!(cluster.drained(&format!("{prefix}q")), copies + 1, "{prefix} {loses}");
        }
        // Several copies: those on other servers are told.
        let error =
            cluster.traps[0].around(ANSWER, producer.publish(&message())).await.expect_err("nobody knows");
        let error = match error {
            ProduceError::PartlyPublished { queues, error } => {
                assert!(prefix.is_empty() && !queues.is_empty(), "{queues:?}");
                error.code()
            }
            error => error.code(),
        };
        assert_eq!(error, "redis-disconnected", "{prefix}");
        for queue in QUEUES {
            assert_eq!(cluster.drained(&format!("{prefix}{queue}")), 1, "{prefix}{queue}");
        }
        // A batch: no queue has two, and those without an error have one.
        let batch: Vec<Message> = (0..60).map(|n| marked("x").routing_key(format!("b{n}"))).collect();
        let answers = cluster.traps[0].around(ANSWER, producer.publish_all(&batch)).await;
        assert!(answers.iter().any(Result::is_err), "{prefix}");
        for (n, answer) in answers.iter().enumerate() {
            let copies = cluster.drained(&format!("{prefix}b{n}"));
            assert!(copies == 1 || (answer.is_err() && copies == 0), "{prefix}b{n}: {copies} {answer:?}");
        }
    }
}

async fn with_one_a_lost_answer_leaves_its_copy(cluster: &Trapped) {
    for prefix in LAYOUTS {
        let producer = cluster.producer(prefix, retry()).await;
        for (loses, copies) in [(ANSWER, 2), (REQUEST, 1)] {
            let one = marked("x").routing_key("q");
            let confirm = cluster.traps[0].around(loses, producer.publish(&one)).await.expect("published");
            assert_eq!(confirm.attempts, 2, "{prefix}");
            assert_eq!(cluster.drained(&format!("{prefix}q")), copies, "{prefix} {loses}");
        }
    }
    // Those that have their copy would get a second one.
    let producer = cluster.producer("", retry()).await;
    match cluster.traps[0].around(ANSWER, producer.publish(&message())).await {
        Err(ProduceError::PartlyPublished { queues, .. }) => assert!(!queues.is_empty()),
        other => panic!("{other:?}"),
    }
    for queue in QUEUES {
        assert_eq!(cluster.drained(queue), 1, "{queue}");
    }
}

async fn once_leaves_one_copy_whatever_was_lost(cluster: &Trapped) {
    for prefix in LAYOUTS {
        let producer = cluster.producer(prefix, retry().once(Duration::from_secs(60))).await;
        for loses in [ANSWER, REQUEST] {
            let confirm =
                cluster.traps[0].around(loses, producer.publish(&message())).await.expect("published");
            assert_eq!((confirm.attempts, confirm.queues.len()), (2, 3), "{prefix}");
            for queue in QUEUES {
                assert_eq!(cluster.drained(&format!("{prefix}{queue}")), 1, "{prefix}{queue} {loses}");
            }
        }
    }
}

/// A channel lies on no node, and who listens hears each message once all the same.
#[tokio::test]
async fn once_sends_one_fanout_message_whatever_was_lost() {
    let cluster = Trapped::start().await;
    let listening = connection(&cluster.nodes.each_ref().map(|node| node.port), "");
    let redis = listening.connect().await.expect("a cluster");
    let host = Host::from_tables(redis, listening.options().layout.clone(), load::Options::default());
    let mut listener = host.listen("news", "#").await.expect("a listener");
    let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
    let options =
        retry().once(Duration::from_secs(60)).tables(load::Options { kinds, ..load::Options::default() });
    let producer = cluster.producer("", options).await;
    let message = marked("x").exchange("news").routing_key("k");
    // So that every node knows the script. Between nodes that do not hear each other a message on a channel is lost.
    let (mut heard, deadline) = (0, Instant::now() + PATIENCE);
    while heard < 20 {
        assert!(Instant::now() < deadline, "{heard} were heard");
        producer.publish(&message).await.expect("published");
        heard += u32::from(is_heard(&mut listener).await);
    }
    for loses in [ANSWER, REQUEST] {
        loop {
            assert!(Instant::now() < deadline, "none was heard");
            let confirm =
                cluster.traps[0].around(loses, producer.publish(&message)).await.expect("published");
            assert_eq!(confirm.attempts, 2);
            if is_heard(&mut listener).await {
                break;
            }
        }
        assert_eq!(listener.next(Duration::from_millis(100)).await, Ok(News::Idle), "{loses}");
    }
}

async fn is_heard(listener: &mut FanoutListener) -> bool {
    matches!(listener.next(Duration::from_secs(5)).await, Ok(News::Message(_)))
}

/// A queue is unbound after the attempt that did not reach it: those that have their copy get no second one, whichever
/// of the copies they were then and are now.
#[tokio::test]
async fn once_holds_when_a_queue_is_unbound_in_between() {
    let cluster = Trapped::apart().await;
    let owner = |name: &String| cluster.nodes[0].command(&["LLEN", name]).starts_with(':');
    let lost = (0..).map(|n| format!("a{n}")).find(owner).expect("a name");
    let braced = |name: &String| !owner(&format!("{{{name}}}"));
    let tag = (0..).map(|n| format!("t{n}")).find(braced).expect("a name");
    let plain = (0..).map(|n| format!("c{n}")).find(|name| !owner(name)).expect("a name");
    // Two lists of one slot are two lists.
    let queues = [lost, format!("b{{{tag}}}"), plain, format!("d{{{tag}}}")];
    let row = |queue: &str| format!("k\x06\x16\x06\x16{queue}");
    let table = |command: &str, queue: &str| {
        let row = row(queue);
        let args = [command, "_kombu.binding.orders", &row];
        assert!(cluster.nodes.iter().any(|node| node.command(&args) == ":1\r\n"), "{command}");
    };
    for queue in &queues {
        table("SADD", queue);
    }
    let policy = RetryPolicy { interval_start: Duration::from_millis(600), ..RetryPolicy::celery() };
    let options = ProducerOptions::new().freshness(Freshness::EachPublish).once(Duration::from_secs(60));
    let producer = cluster.producer("", options.retry(policy)).await;
    let message = marked("x").exchange("orders").routing_key("k");
    producer.publish(&message).await.expect("published");
    assert_eq!(queues.each_ref().map(|queue| cluster.drained(queue)), [1; 4]);
    let unbound = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        table("SREM", &queues[0]);
    };
    let publish = async { tokio::join!(producer.publish(&message), unbound).0 };
    let confirm = cluster.traps[0].around(REQUEST, publish).await.expect("published");
    assert_eq!((confirm.attempts, &*confirm.queues), (2, &queues[1..]));
    assert_eq!(queues.each_ref().map(|queue| cluster.drained(queue)), [0, 1, 1, 1]);
}

async fn a_cut_that_nothing_was_under_way_at_is_mended_unseen(cluster: &Trapped) {
    let producer = cluster.producer("", ProducerOptions::new()).await;
    // Whoever looks speaks RESP2.
    let all_are_connected =
        || cluster.nodes.iter().all(|node| node.command(&["CLIENT", "LIST"]).contains(" resp=3"));
    assert!(all_are_connected());
    for node in &cluster.nodes {
        assert!(node.command(&["CLIENT", "KILL", "TYPE", "normal"]).starts_with(':'));
    }
    until("the producer has come back to every node", all_are_connected).await;
    for n in 0..30 {
        let confirm = producer.publish(&marked("x").routing_key(format!("cut{n}"))).await.expect("published");
        assert_eq!(confirm.attempts, 1);
    }
}

/// `ASK`, `TRYAGAIN` and `MOVED` say that nothing was executed, so they need no retry policy.
#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let nodes = cluster().await;
    single_steps_follow(&nodes).await;
    a_transaction_follows(&nodes).await;
}

async fn single_steps_follow(nodes: &[RedisServer; 3]) {
    let ports = nodes.each_ref().map(|node| node.port);
    let publish = async |producer: &Producer, message: &Message| {
        let confirm = producer.publish(message).await.expect("published");
        assert_eq!(confirm.attempts, 1);
    };
    for (prefix, tag) in LAYOUTS.into_iter().zip(["q", "{shop}."]) {
        let plain = producer(&ports, prefix, ProducerOptions::new()).await;
        let once = producer(&ports, prefix, ProducerOptions::new().once(Duration::from_secs(60))).await;
        let list = format!("{prefix}q");
        let one = Message::text("x").routing_key("q");
        publish(&once, &one).await;
        let moved = Move::begin(nodes, tag);
        // It lies there still.
        publish(&plain, &one).await;
        assert_eq!(length(nodes, &list), 2, "{prefix}");
        // A list that is there and a marker that is not: neither node can do both. It waits.
        let waiting = tokio::spawn(async move { once.publish(&Message::text("x").routing_key("q")).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished(), "{prefix}");
        moved.keys();
        // `ASK`: the slot's node has it no more.
        publish(&plain, &one).await;
        if prefix.is_empty() {
            // Of several copies one lies in that slot.
            publish(&plain, &message()).await;
        }
        assert!(!waiting.is_finished(), "{prefix}");
        moved.end();
        let waited = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic");
        assert_eq!(waited.expect("published").attempts, 1, "{prefix}");
        // `MOVED`, of several copies in one step, too.
        publish(&plain, &message()).await;
        publish(&plain, &one).await;
        let copies = if prefix.is_empty() { 7 } else { 6 };
        assert_eq!(moved.ask_new(&["LLEN", &list]), format!(":{copies}\r\n"), "{prefix}");
    }
}

/// A transaction says by the way what its commands were refused for.
async fn a_transaction_follows(nodes: &[RedisServer; 3]) {
    let ports = nodes.each_ref().map(|node| node.port);
    let connection = connection(&ports, "{news}.");
    let redis = connection.connect().await.expect("a cluster");
    let host = Host::from_tables(redis, connection.options().layout.clone(), load::Options::default());
    let news = DurableFanout::new(&host, "news", 100).expect("a fanout");
    let moved = Move::begin(nodes, "{news}.");
    // `ASK`: there is no stream yet, so it begins at the new node.
    news.publish("k", &Envelope::text("x")).await.expect("published");
    moved.end();
    for length in [":2\r\n", ":3\r\n"] {
        // `MOVED`, and then it knows.
        news.publish("k", &Envelope::text("x")).await.expect("published");
        assert_eq!(moved.ask_new(&["XLEN", "{news}.keyrail.stream.news"]), length);
    }
    let calls = nodes.iter().map(|node| node.calls(&["xadd"])[0]).sum::<u64>();
    assert_eq!(calls, 3);
}
