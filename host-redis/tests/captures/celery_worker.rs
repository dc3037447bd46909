//! What a Celery worker writes: rows, registers, results, events, answers. Its tasks and the questions it is asked are
//! the recorded ones.

use std::time::Duration;

use keyrail_core::kombu::{Envelope, Json};
use keyrail_redis::{
    Connection, Redis,
    celery::{Results, TaskFailure, TaskResult, Worker},
};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    celery_news::{Event, assert_ordered, events},
    stage::{host, in_kombus_words, register_in_kombus_words},
    support::{PATIENCE, RedisServer},
    wire::{Monitor, State, capture, effects, pushes, said, state, whole_recorded, whole_state, words},
};

/// A worker on a server of its own, seen from outside.
struct Working {
    server: RedisServer,
    monitor: Monitor,
    connection: Connection,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<()>,
}

impl Working {
    /// As recorded: a node of this name, with events, and the tasks of the recordings.
    async fn start(name: &str, told: bool) -> Self {
        let server = RedisServer::start();
        let monitor = Monitor::of(&server);
        let connection = Connection::new(&server.url()).expect("a URL");
        let host = host(&connection).await;
        let worker = tasks(Worker::new(&host, name)).concurrency(1).task_events(told);
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(async move {
            worker.run(async { drop(stopped.await) }).await.expect("worked");
        });
        let working = Working { server, monitor, connection, stop, worker };
        working.until("it listens", |server| server.command(&["PUBSUB", "NUMPAT"]) == ":1\r\n").await;
        working
    }

    async fn until(&self, what: &str, holds: impl Fn(&RedisServer) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(&self.server) {
            assert!(tokio::time::Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn send(&self, command: &[Vec<u8>]) {
        let client = redis::Client::open(self.server.url()).expect("a URL");
        let mut raw = client.get_multiplexed_async_connection().await.expect("Redis");
        let mut sent = redis::cmd(std::str::from_utf8(&command[0]).expect("a name"));
        let _: i64 = sent.arg(&command[1..]).query_async(&mut raw).await.expect("done");
    }

    async fn stop(self) -> (RedisServer, Monitor, Connection) {
        self.stop.send(()).expect("it runs");
        self.worker.await.expect("it ends");
        (self.server, self.monitor, self.connection)
    }
}

fn tasks(worker: Worker<Redis>) -> Worker<Redis> {
    worker
        .task("capp.add", async |call| Ok(call.args.iter().filter_map(Value::as_i64).sum::<i64>().into()))
        .task("capp.boom", async |_| {
            let failure = TaskFailure::new("ValueError", "nope");
            Err(TaskFailure { traceback: Some("<text omitted>".into()), ..failure })
        })
        .task("capp.late", async |_| std::future::pending().await)
}

/// Rows of what keyrail's worker does not take part in: gossip between workers, and their greeting at the start.
fn is_of_others(effect: &str) -> bool {
    effect.contains("celeryev\"") || effect.contains("\"celeryev.") || effect.contains("reply.celery.pidbox")
}

/// Effects but for events, which are compared by themselves, questions of others, and subscriptions.
fn written(commands: &[String]) -> Vec<String> {
    let written = effects(commands, Vec::new()).into_iter().filter(|effect| {
        let spoken = effect.starts_with("PUBLISH \"/0.celery") || effect.contains("SUBSCRIBE");
        !spoken && !is_of_others(effect) && !effect.starts_with("SET \"unacked_mutex\"")
    });
    // When it was done is not what was done.
    written
        .filter(|effect| !effect.starts_with("DEL \"unacked_mutex\""))
        .map(|effect| undated(&effect))
        .collect()
}

/// A result without its date, which has Celery's form.
fn undated(effect: &str) -> String {
    let mark = r#"\"date_done\": \""#;
    let Some((before, rest)) = effect.split_once(mark) else { return effect.to_owned() };
    let (date, after) = rest.split_once("\\\"").expect("a date ends");
    let form: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000000+00:00", "{effect}");
    format!("{before}{mark}DATE{after}")
}

/// The same, as often; else what is on one side alone.
fn assert_same(mut ours: Vec<String>, theirs: Vec<String>) {
    let mut missing = Vec::new();
    for effect in theirs {
        match ours.iter().position(|known| *known == effect) {
            Some(place) => drop(ours.remove(place)),
            None => missing.push(effect),
        }
    }
    assert_eq!(ours, missing);
}

fn texts(events: &[Event], kind: &str) -> Vec<(String, String, String)> {
    let of_kind = events.iter().filter(|event| event.text.contains(&format!(r#""type": "{kind}"#)));
    of_kind.map(|event| (event.channel.clone(), event.envelope.clone(), event.text.clone())).collect()
}

/// A life: what is declared, two tasks taken, done and acked, their results, and every event.
#[tokio::test]
async fn a_worker_from_start_to_end() {
    let (running, shutdown) = (capture("celery_worker_running"), capture("celery_worker_shutdown"));
    let mut working = Working::start("w1@h", true).await;
    let mut commands = working.monitor.commands(&working.server);
    for push in pushes(&running) {
        working.send(&words(&push)).await;
        commands.extend(working.monitor.commands(&working.server));
        working.until("it is done", |server| server.command(&["EXISTS", "unacked"]) == ":0\r\n").await;
        working.until("it is taken", |server| server.command(&["LLEN", "celery"]) == ":0\r\n").await;
        // The result comes before the ack, and the last event behind both.
        loop {
            commands.extend(working.monitor.commands(&working.server));
            let ended =
                |event: &Event| event.text.contains("task-succeeded") || event.text.contains("task-failed");
            let id = &String::from_utf8_lossy(&words(&push)[2]).into_owned();
            let id = id.split(r#""id": ""#).nth(1).expect("an id")[..36].to_owned();
            if events(&commands).iter().any(|event| ended(event) && event.text.contains(&id)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let ours = state(&working.connection).await;
    let theirs = said(&running);
    assert_same(in_kombus_words(written(&commands)), in_kombus_words(written(&theirs)));

    // The state is that of the messages; results lie in another database there.
    let rows = |mut state: State| {
        state.retain(|key, _| !key.starts_with("celery-task-meta-") && !key.contains("binding.celeryev"));
        let deadlines = state.get_mut("_kombu.binding_deadlines").expect("deadlines");
        deadlines.retain(|exchange| exchange == "celery.pidbox");
        state
    };
    assert_eq!(rows(ours), rows(crate::wire::recorded(&running)));

    let (ours, theirs) = (events(&commands), events(&theirs));
    assert_ordered(&ours);
    for kind in ["worker-online", "task-received", "task-started", "task-succeeded"] {
        assert!(!texts(&theirs, kind).is_empty(), "{kind}");
        assert_eq!(texts(&ours, kind), texts(&theirs, kind));
    }
    // The traceback is Python's.
    let failed = |events: &[Event]| -> Vec<String> {
        let texts = texts(events, "task-failed").into_iter();
        texts
            .map(|(_, _, text)| text.split(r#""traceback": "#).next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(failed(&ours), failed(&theirs));
    assert_eq!(failed(&ours).len(), 1);

    let (server, mut monitor, connection) = working.stop().await;
    let last = monitor.commands(&server);
    let left = |commands: &[String]| -> Vec<String> {
        // The rows of its life are there from before.
        let rows = ["_kombu.binding.celery.pidbox", "_kombu.binding_permanent.celery.pidbox"];
        let rows = rows.map(|table| format!(r#""{table}" "\x06\x16\x06\x16w1@h.celery.pidbox""#));
        let effects = effects(commands, rows.into()).into_iter();
        effects.filter(|effect| effect.contains("pidbox") && !effect.contains("SUBSCRIBE")).collect()
    };
    assert_eq!(left(&last), left(&said(&shutdown)));
    let offline = |commands: &[String]| texts(&events(commands), "worker-offline");
    let processed = |text: &str| text.replace(r#""processed": 7"#, r#""processed": 2"#);
    let theirs = offline(&said(&shutdown))
        .into_iter()
        .map(|(channel, envelope, text)| (channel, envelope, processed(&text)));
    assert_eq!(offline(&last), theirs.collect::<Vec<_>>());
    let mut theirs = whole_recorded(&shutdown);
    theirs.remove("_kombu.binding.celeryev");
    assert_eq!(rows(state(&connection).await), rows(theirs));
}

/// A question with its answer, as recorded; only the moment until which it holds is moved.
#[tokio::test]
async fn remote_control() {
    let recorded = capture("celery_pidbox_ping");
    let mut working = Working::start("w1@h", false).await;
    working.monitor.commands(&working.server);
    let mut answers = 0;
    for command in said(&recorded) {
        let mut words = words(&command);
        let name = String::from_utf8_lossy(&words[0]).to_uppercase();
        let of_answers = words.get(1).is_some_and(|key| key.ends_with(b"reply.celery.pidbox"));
        if name == "SADD" && of_answers {
            words[0] = b"SADD".to_vec();
            working.send(&words).await;
        }
        if name == "PUBLISH" && words[1] == b"/0.celery.pidbox" {
            let question = String::from_utf8(words[2].clone()).expect("text");
            let (before, rest) = question.split_once(r#""expires": "#).expect("a header");
            let (_, after) = rest.split_once('}').expect("the headers end");
            words[2] = format!(r#"{before}"expires": 9999999999.5}}{after}"#).into_bytes();
            working.send(&words).await;
        }
        if name == "LPUSH" && of_answers {
            let list = String::from_utf8(words[1].clone()).expect("text");
            working.until("it answers", |server| server.command(&["LLEN", &list]) == ":1\r\n").await;
            let ours = effects(&working.monitor.commands(&working.server), Vec::new());
            let ours: Vec<&String> = ours.iter().filter(|effect| effect.starts_with("LPUSH")).collect();
            let theirs = effects(&[command], Vec::new());
            assert_eq!(ours, theirs.iter().collect::<Vec<_>>());
            answers += 1;
        }
    }
    assert_eq!(answers, 2);
    working.stop().await;
}

/// The beats of a worker, by itself and when it is asked.
#[tokio::test]
async fn signs_of_life() {
    let recorded = capture("celery_events_receiver");
    let mut working = Working::start("w1@h", false).await;
    let asked =
        said(&recorded).into_iter().find(|command| command.contains("celery.pidbox")).expect("a question");
    let mut words = words(&asked);
    let question = String::from_utf8(words[2].clone()).expect("text");
    words[2] = question.replace("1795357013.0422168", "9999999999.5").into_bytes();
    working.send(&words).await;
    let theirs = events(&said(&recorded));
    let theirs = texts(&theirs, "worker-heartbeat");
    let (asked, own) = (&theirs[0], &theirs[1]);
    assert!(asked.2.contains(r#""freq": 5, "#) && own.2.contains(r#""freq": 2.0, "#), "{theirs:?}");
    let idle = own.2.replace(r#""processed": 2"#, r#""processed": 0"#);
    let mut commands = Vec::new();
    loop {
        commands.extend(working.monitor.commands(&working.server));
        let ours = texts(&events(&commands), "worker-heartbeat");
        if let [first, second, ..] = &ours[..] {
            assert_eq!(first, asked);
            assert_eq!(second, &(own.0.clone(), own.1.clone(), idle));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    working.stop().await;
}

/// A task in hand stays registered until it is acked, and stays so if its worker is killed.
#[tokio::test]
async fn a_task_in_hand() {
    let recorded = capture("celery_acks_late_inflight");
    let working = Working::start("w3@h", false).await;
    working.send(&words(&pushes(&recorded)[0])).await;
    working.until("it is held", |server| server.command(&["HLEN", "unacked"]) == ":1\r\n").await;
    let ours = register_in_kombus_words(whole_state(&working.connection).await);
    assert_eq!(ours, register_in_kombus_words(whole_recorded(&recorded)));
    let killed = capture("celery_acks_late_after_kill9");
    assert_eq!(ours, register_in_kombus_words(whole_recorded(&killed)));
    working.worker.abort();
}

/// Results of the tasks of a chord, in Celery's text, under their keys for a day, and told to whoever waits.
#[tokio::test]
async fn results() {
    let recorded = capture("celery_chord_backend_keys");
    let stored: Vec<String> =
        said(&recorded).into_iter().filter(|command| command.contains("\"celery-task-meta-")).collect();
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    let results = Results::new(&host(&connection).await);
    let mut count = 0;
    for command in stored.iter().filter(|command| command.starts_with("\"SETEX\"")) {
        let text = String::from_utf8(words(command)[3].clone()).expect("text");
        let value: Json = serde_json::from_str(&text).expect("JSON");
        let field = |name: &str| value.member(name).and_then(Json::as_str);
        let Some(Json::Int(number)) = value.member("result") else { panic!("{text}") };
        let result = TaskResult::success(field("task_id").expect("an id"), (*number).into());
        let result = result.with("group_id", field("group_id")).with("parent_id", field("parent_id"));
        assert!(results.store(&result).await.expect("stored"));
        // With its date it is the text itself.
        let dated = TaskResult { date_done: field("date_done").map(str::to_owned), ..result };
        assert_eq!(dated.to_text(), text);
        count += 1;
    }
    assert_eq!(count, 3);
    let undated = |commands: &[String]| -> Vec<String> {
        effects(commands, Vec::new()).iter().map(|effect| undated(effect)).collect()
    };
    assert_eq!(undated(&monitor.commands(&server)), undated(&stored));
}

impl Working {
    /// Sends a task as another writer would, and waits for its result.
    async fn result_of(&self, task: Envelope, id: &str) -> TaskResult {
        let message = task.to_bytes("", "celery", id);
        self.send(&[b"LPUSH".to_vec(), b"celery".to_vec(), message]).await;
        self.until("it is taken", |server| server.command(&["EXISTS", "celery"]) == ":0\r\n").await;
        self.until("it is done", |server| server.command(&["EXISTS", "unacked"]) == ":0\r\n").await;
        let results = Results::new(&host(&self.connection).await);
        results.wait(id, PATIENCE).await.expect("read").expect("a result")
    }
}

fn called(name: &str, id: &str, embed: Json) -> Envelope {
    let args = [2, 3].map(Json::from).into_iter().collect();
    let body = Json::from_iter([args, Json::Object(Vec::new()), embed]);
    Envelope::json(&body).header("task", name).header("id", id)
}

/// The least that a Celery worker takes for a task is a task here.
#[tokio::test]
async fn tasks_of_other_writers() {
    let recorded = capture("foreign_writer");
    let working = Working::start("w1@h", false).await;
    let mut forms = 0;
    for (form, found) in recorded.as_object().expect("forms") {
        let Some(form) = form.strip_prefix("celery: ") else { continue };
        forms += 1;
        let (id, embed) = (format!("t{forms}"), Json::Object(Vec::new()));
        let plain = called("capp.add", &id, embed);
        let task = match form {
            "headers {task,id} only" => plain,
            "+ lang" => plain.header("lang", "py"),
            "lang js + argsrepr" => plain.header("lang", "js").header("argsrepr", "[2, 3]"),
            "full + correlation_id" => plain.correlation_id(&id).header("lang", "py").header("retries", 0),
            "body embed null" => called("capp.add", &id, Json::Null),
            other => panic!("{other}"),
        };
        let result = working.result_of(task, &id).await;
        assert_eq!((&*result.status, &result.result), ("SUCCESS", &found["result"]), "{form}");
    }
    assert_eq!(forms, 5);
    working.stop().await;
}

/// As in Celery, a second run of a task does not undo the success of the first. What is no result is replaced by one.
#[tokio::test]
async fn a_result_that_is_there() {
    let working = Working::start("w1@h", false).await;
    let results = Results::new(&host(&working.connection).await);
    assert!(results.store(&TaskResult::success("t1", 7.into())).await.expect("stored"));
    let boom = |id: &str| called("capp.boom", id, Json::Null);
    assert_eq!(working.result_of(boom("t1"), "t1").await.result, 7);
    working.server.command(&["SET", "celery-task-meta-t2", "(pickle)"]);
    assert_eq!(working.result_of(boom("t2"), "t2").await.status, "FAILURE");
    working.stop().await;
}
