//! Celery's tasks as they travel: the message, its list, the row of its queue. Ids and the sender's name are the recorded
//! ones; delivery tags are the producer's own.

use keyrail_core::{
    ExchangeKind, Topology,
    kombu::{Json, Layout, Received, Task, plan},
};
use keyrail_redis::{Message, celery::Events};
use serde_json::Value;

use crate::{
    celery_news::{Event, events},
    stage::{connect, host, topology},
    support::RedisServer,
    wire::{Monitor, capture, effects, pushes, recorded, said, state, words},
};

/// The producer of the recordings.
fn sent(name: &str, id: &str, args: [i64; 2]) -> Task {
    Task {
        args: args.map(Json::from).into(),
        origin: Some("gen20643@vm".into()),
        reply_to: Some("50b96c12-0ed1-3360-b1aa-1706973f85e5".into()),
        ..Task::new(name, id)
    }
}

/// The id of the n-th task that was pushed, where Celery made one up.
fn id(capture: &Value, n: usize) -> String {
    let payload: Value = serde_json::from_slice(&words(&pushes(capture)[n])[2]).expect("JSON");
    payload["headers"]["id"].as_str().expect("an id").to_owned()
}

fn signature(args: Json, options: Json) -> Json {
    Json::from_iter([
        ("task", Json::from("capp.add")),
        ("args", args),
        ("kwargs", Json::Object(Vec::new())),
        ("options", options),
        ("subtask_type", Json::Null),
        ("immutable", Json::from(false)),
    ])
}

/// Sends the tasks, tells of each, and compares what lies in Redis then, and what Redis was told.
async fn check(name: &str, declared: Option<Topology>, exchange: &str, key: &str, tasks: &[Task]) {
    let capture = capture(name);
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let (connection, producer) = connect(&server, "{}", declared).await;
    let news = Events::new(&host(&connection).await, "gen20643@vm");
    for task in tasks {
        let message = Message::task(task).exchange(exchange).routing_key(key);
        let confirm = producer.publish(&message).await.expect("published");
        news.task_sent(task, &confirm.queues[0], exchange, key).await.expect("told");
    }
    let (ours, theirs) = (monitor.commands(&server), said(&capture));
    assert_eq!(without_news(&ours), without_news(&theirs), "{name}");
    assert_eq!(events(&ours), events_from(&theirs, 1), "{name}");
    assert_eq!(state(&connection).await, recorded(&capture), "{name}");
}

fn without_news(commands: &[String]) -> Vec<String> {
    effects(commands, Vec::new()).into_iter().filter(|effect| !effect.starts_with("PUBLISH")).collect()
}

/// The recorded ones, their clock set so that it begins here.
fn events_from(commands: &[String], clock: i64) -> Vec<Event> {
    let events = events(commands);
    let first = events.first().map_or(0, |event| event.clock);
    events.into_iter().map(|event| Event { clock: event.clock - first + clock, ..event }).collect()
}

#[tokio::test]
async fn a_task() {
    let celery = topology("celery", ExchangeKind::Direct, &[("celery", "celery")]);
    let task = sent("capp.add", "11111111-2222-3333-4444-555555555555", [2, 3]);
    check("celery_task_v2", Some(celery), "", "celery", &[task]).await;
    let task = sent("capp.add", &id(&capture("celery_task_sent_event"), 0), [2, 3]);
    check("celery_task_sent_event", None, "", "celery", &[task]).await;
}

/// A countdown, an expiry, a priority, a header, limits, a callback, no result.
#[tokio::test]
async fn a_task_with_options() {
    let ten = Json::from_iter([Json::from(10)]);
    let task = Task {
        args: vec![Json::from(2)],
        kwargs: vec![("y".into(), Json::from(3))],
        eta: Some("2026-11-22T14:17:41.424804+00:00".into()),
        expires: Some("2026-11-22T14:18:41.424804+00:00".into()),
        expires_ms: Some(120_000),
        time_limit: Some(30.0),
        soft_time_limit: Some(20.0),
        ignore_result: true,
        priority: Json::from(7),
        headers: vec![("tenant".into(), Json::from("t1"))],
        callbacks: Json::from_iter([signature(ten, Json::Object(Vec::new()))]),
        ..sent("capp.add", "aaaaaaaa-0000-0000-0000-000000000001", [0, 0])
    };
    check("celery_task_v2_options", None, "", "celery", &[task]).await;
}

/// A chain's first task carries the rest; the tasks of a group carry its id and their place.
#[tokio::test]
async fn a_chain_and_a_group() {
    let recording = capture("celery_task_v2_chain_chord");
    let first = sent("capp.add", &id(&recording, 0), [1, 2]);
    let options = Json::from_iter([
        ("task_id", Json::from("aaaaaaaa-0000-0000-0000-000000000002")),
        ("reply_to", Json::from(first.reply_to.as_deref())),
    ]);
    let rest = signature(Json::from_iter([Json::from(3)]), options);
    let chain = Task { chain: Json::from_iter([rest]), ..first };
    let member = |place: u32, args| Task {
        group: Some("210f8f2e-a2db-4029-a579-a822b630e653".into()),
        group_index: Some(place),
        ..sent("capp.add", &id(&recording, 1 + place as usize), args)
    };
    let tasks = [chain, member(0, [1, 1]), member(1, [2, 2])];
    check("celery_task_v2_chain_chord", None, "", "celery", &tasks).await;
}

#[tokio::test]
async fn a_task_through_a_topic_exchange() {
    let media = topology("media", ExchangeKind::Topic, &[("media.#", "media")]);
    let task = sent("capp.add", &id(&capture("celery_task_routed_topic"), 0), [1, 2]);
    check("celery_task_routed_topic", Some(media), "media", "media.video", &[task]).await;
}

/// Every task of every recording is written again from what it says: only what keyrail adds by itself (order, blanks,
/// names without a value, the arguments as people read them, base64) can make a difference.
#[test]
fn every_recorded_task() {
    let recordings = [
        "celery_task_v2",
        "celery_task_v2_options",
        "celery_task_v2_chain_chord",
        "celery_task_routed_topic",
        "celery_task_sent_event",
        "celery_worker_running",
        "celery_events_receiver",
        "celery_prefetch_solo",
        "celery_acks_late_inflight",
    ];
    let mut tasks = 0;
    for name in recordings {
        for push in pushes(&capture(name)) {
            let payload = &words(&push)[2];
            let received = Received::read(serde_json::from_slice(payload).expect("JSON")).expect("a message");
            let task = read(&received);
            let (exchange, key) = (&*received.exchange, &*received.routing_key);
            let written = task.envelope().to_bytes(exchange, key, &received.delivery_tag);
            assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(payload), "{name}");
            if exchange.is_empty() {
                let key = std::str::from_utf8(key).expect("text");
                let plan =
                    plan::publish_default(&Layout::default(), key, &task.envelope(), &received.delivery_tag);
                assert_eq!(words(&plan.to_string()), words(&push)[1..], "{name}");
            }
            tasks += 1;
        }
    }
    assert_eq!(tasks, 15);
}

/// What a recorded message says, as a task.
fn read(received: &Received) -> Task {
    let header = |name: &str| received.headers.member(name).cloned().unwrap_or_default();
    let text = |name: &str| header(name).as_str().map(str::to_owned);
    let property = |name: &str| received.properties.member(name).cloned().unwrap_or_default();
    let number = |value: &Json| match value {
        Json::Int(number) => Some(*number),
        _ => None,
    };
    let body: Json = serde_json::from_slice(&received.body).expect("JSON");
    let Json::Array(parts) = body else { panic!("a body is a list") };
    let [Json::Array(args), Json::Object(kwargs), embed] = &parts[..] else { panic!("{parts:?}") };
    let Json::Array(limits) = header("timelimit") else { panic!("limits") };
    let limit = |place: usize| number(&limits[place]).map(|seconds| seconds as f64);
    let embedded = |name: &str| embed.member(name).cloned().unwrap_or_default();
    let Json::Object(headers) = &received.headers else { panic!("headers") };
    let own = headers.iter().position(|(name, _)| name == "stamps").expect("Celery's last header") + 1;
    Task {
        args: args.clone(),
        kwargs: kwargs.clone(),
        eta: text("eta"),
        expires: text("expires"),
        expires_ms: property("expiration").as_str().map(|text| text.parse().expect("milliseconds")),
        retries: number(&header("retries")).and_then(|retries| retries.try_into().ok()).expect("a number"),
        time_limit: limit(0),
        soft_time_limit: limit(1),
        root_id: text("root_id"),
        parent_id: text("parent_id"),
        group: text("group"),
        group_index: number(&header("group_index")).map(|place| place.try_into().expect("a place")),
        shadow: text("shadow"),
        origin: text("origin"),
        reply_to: property("reply_to").as_str().map(str::to_owned),
        ignore_result: header("ignore_result") == Json::Bool(true),
        priority: property("priority"),
        headers: headers[own..].to_vec(),
        callbacks: embedded("callbacks"),
        errbacks: embedded("errbacks"),
        chain: embedded("chain"),
        chord: embedded("chord"),
        ..Task::new(&text("task").expect("a name"), &text("id").expect("an id"))
    }
}
