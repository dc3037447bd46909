//! Remote control: `celery inspect` and `celery control` ask on a fanout exchange, and each worker answers by itself.

use keyrail_core::kombu::{Json, Member, glob_matches, plan};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};
use uuid::Uuid;

use super::{PREFETCH_MULTIPLIER, node::Node, node::envelope, python, time};
use crate::{Body, ExecuteError, Executor, HostError, ReceivedMessage, Reply};

/// Where the questions come from.
pub(super) const EXCHANGE: &str = "celery.pidbox";

/// What a worker tells of its set-up.
pub(super) struct Facts<'a> {
    pub(super) tasks: Vec<&'a str>,
    pub(super) queues: &'a [String],
    pub(super) concurrency: usize,
    pub(super) prefetch: usize,
    pub(super) result_expires: Duration,
}

/// Answers a question, if it is one and meant for this node.
pub(super) async fn answer<E: Executor>(node: &Node<E>, facts: &Facts<'_>, message: &ReceivedMessage) {
    let Body::Json(question) = &message.body else { return };
    let clock = message.headers.get("clock").and_then(Value::as_u64).unwrap_or_default();
    let expires = message.headers.get("expires").and_then(Value::as_f64).unwrap_or_default();
    if !is_for(&node.name, question) || (expires > 0.0 && expires < time::now()) {
        return;
    }
    node.heard(clock);
    let method = question["method"].as_str().unwrap_or_default();
    let reply = match method {
        "active_queues" => {
            let queues = facts.queues.iter().map(|queue| queue_of(queue)).collect();
            return send(node, question, method, queues).await;
        }
        "ping" => json!({"ok": "pong"}),
        "hello" => json!({"revoked": {}, "clock": node.news.tick()}),
        "registered" => json!(facts.tasks),
        "active" => node.held.active(&node.name, question["arguments"]["safe"] == true),
        "reserved" => node.held.reserved(&node.name),
        "scheduled" => node.held.scheduled(&node.name),
        // Nothing can be revoked here.
        "revoked" => json!([]),
        "stats" => stats(node, facts),
        "conf" => conf(node, facts),
        "heartbeat" => {
            node.sign_of_life().await;
            return;
        }
        "enable_events" => events(node, true),
        "disable_events" => events(node, false),
        _ => json!({"error": format!("keyrail has no remote control `{method}`")}),
    };
    send(node, question, method, python::json(&reply)).await;
}

fn stats<E: Executor>(node: &Node<E>, facts: &Facts<'_>) -> Value {
    json!({
        "pid": std::process::id(), "clock": node.news.time().to_string(), "uptime": node.uptime().as_secs(),
        "prefetch_count": facts.prefetch, "total": node.held.begun(), "broker": {"transport": "redis"},
        "pool": {
            "implementation": "keyrail", "max-concurrency": facts.concurrency, "active": node.held.count_active(),
        },
    })
}

/// Celery's settings, as far as there is something here that they name.
fn conf<E: Executor>(node: &Node<E>, facts: &Facts<'_>) -> Value {
    json!({
        "accept_content": ["json"], "result_serializer": "json", "enable_utc": true, "timezone": "UTC",
        "task_acks_late": true, "task_reject_on_worker_lost": true, "worker_concurrency": facts.concurrency,
        "worker_prefetch_multiplier": PREFETCH_MULTIPLIER, "result_expires": facts.result_expires.as_secs(),
        "worker_send_task_events": node.events.load(Ordering::Relaxed),
    })
}

fn events<E: Executor>(node: &Node<E>, on: bool) -> Value {
    let word = if on { "enabled" } else { "disabled" };
    match node.events.swap(on, Ordering::Relaxed) == on {
        true => json!({"ok": format!("task events already {word}")}),
        false => json!({"ok": format!("task events {word}")}),
    }
}

/// A question without a destination is for everyone.
fn is_for(name: &str, question: &Value) -> bool {
    if let Value::Array(destination) = &question["destination"]
        && !destination.iter().any(|wanted| wanted == name)
    {
        return false;
    }
    match (question["matcher"].as_str(), question["pattern"].as_str()) {
        (Some("glob"), Some(pattern)) => glob_matches(pattern.as_bytes(), name.as_bytes()),
        // Other matchers need Python.
        (Some(_), Some(_)) => false,
        _ => true,
    }
}

/// Kombu's `Queue.as_dict`, whole and in its order: Flower's page of a worker fails if a member is missing.
fn queue_of(queue: &str) -> Json {
    let (yes, no, none) = (Json::Bool(true), Json::Bool(false), Json::Null);
    let exchange = Json::from_iter([
        ("name", Json::from(queue)),
        ("type", Json::from("direct")),
        ("arguments", none.clone()),
        ("durable", yes.clone()),
        ("passive", no.clone()),
        ("auto_delete", no.clone()),
        ("delivery_mode", none.clone()),
        ("no_declare", no.clone()),
    ]);
    Json::from_iter([
        ("name", Json::from(queue)),
        ("exchange", exchange),
        ("routing_key", Json::from(queue)),
        ("queue_arguments", none.clone()),
        ("binding_arguments", none.clone()),
        ("consumer_arguments", none.clone()),
        ("durable", yes),
        ("exclusive", no.clone()),
        ("auto_delete", no.clone()),
        ("no_ack", no),
        ("alias", none.clone()),
        ("bindings", Json::Array(Vec::new())),
        ("no_declare", none.clone()),
        ("expires", none.clone()),
        ("message_ttl", none.clone()),
        ("max_length", none.clone()),
        ("max_length_bytes", none.clone()),
        ("max_priority", none),
    ])
}

fn reply_to(question: &Value) -> Option<(&str, &str)> {
    let reply_to = &question["reply_to"];
    Some((reply_to["exchange"].as_str()?, reply_to["routing_key"].as_str()?))
}

/// Sends an answer, if one is wanted.
async fn send<E: Executor>(node: &Node<E>, question: &Value, method: &str, reply: Json) {
    let Some((exchange, key)) = reply_to(question) else { return };
    if let Err(error) = publish(node, exchange, key, &question["ticket"], reply).await {
        tracing::warn!("the answer to `{method}` is lost: {error}");
    }
}

/// Whoever asked has bound a queue to the direct exchange of answers; without it the answer is for nobody.
async fn publish<E: Executor>(
    node: &Node<E>,
    exchange: &str,
    key: &str,
    ticket: &Value,
    reply: Json,
) -> Result<(), ExecuteError> {
    let layout = node.host.layout();
    let rows = node.host.executor().run(&plan::table(layout, exchange)).await?;
    let rows = rows.iter().flat_map(|reply| match reply {
        Reply::Members(rows) => &rows[..],
        _ => &[],
    });
    let members: Vec<Member> = rows
        .filter_map(|row| Member::parse(row, &layout.sep).ok())
        .filter(|member| member.routing_key == key)
        .collect();
    let body = Json::from_iter([(&*node.name, reply)]);
    let ticket = ticket.as_str().unwrap_or_default();
    let clock = i64::try_from(node.answered()).unwrap_or(i64::MAX);
    let envelope = envelope(&body).header("ticket", ticket).header("clock", clock);
    let publish = plan::Publish::new(exchange, key, &envelope);
    let queues = members.iter().map(|member| member.queue.as_str());
    let plan = plan::publish(layout, &publish, queues, || Uuid::new_v4().to_string());
    if plan.commands.is_empty() { Ok(()) } else { node.send(&plan).await }
}

/// The queue of a node's questions lives as long as the node; Kombu's row of it is swept otherwise.
const EXPIRES_MS: u64 = 10_000;

/// Three times in the life of a table of expiring rows, as Kombu refreshes them.
pub(super) const REFRESH: Duration = Duration::from_secs(20 * 60);

fn queue(node: &str) -> String {
    format!("{node}.{EXCHANGE}")
}

/// Writes, or writes again, the row that tells who may be asked. On Redis questions come by subscription, and nobody
/// routes by it.
pub(super) async fn bind<E: Executor>(node: &Node<E>) -> Result<(), HostError> {
    let now_ms = (node.host.executor().now().await? * 1000.0) as u64;
    let member = Member::plain("", &queue(&node.name));
    node.send(&plan::bind_expiring(node.host.layout(), EXCHANGE, &member, EXPIRES_MS, now_ms)?).await?;
    Ok(())
}

/// Takes it away, and the lists that the queue does not have.
pub(super) async fn unbind<E: Executor>(node: &Node<E>) -> Result<(), HostError> {
    let queue = queue(&node.name);
    let member = Member::plain("", &queue);
    node.send(&plan::delete_queue(node.host.layout(), &queue, [(EXCHANGE, &member)])?).await?;
    Ok(())
}
