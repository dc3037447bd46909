//! The handlers: JSON in, the host's answer, JSON out.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{DecodeError, Engine, engine::general_purpose::STANDARD};
use keyrail_core::{Outcome, Router, Table, Topology, kombu};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Problem, Shared};
use crate::{
    Executor, Outgoing, ReceivedMessage, json_error,
    sendable::{self, Unsendable},
    wide_number,
};

type Server<E> = State<Arc<Shared<E>>>;
type Body = Result<Bytes, BytesRejection>;

/// A message of which only the way is asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RouteRequest {
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    headers: Table,
}

/// A message to be sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PublishRequest {
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    headers: Table,
    /// A text is sent as text, anything else as JSON.
    #[serde(default)]
    body: Option<Value>,
    body_base64: Option<String>,
    content_type: Option<String>,
    /// In Kombu's sense, 0 is taken first.
    #[serde(default)]
    priority: u8,
    /// `correlation_id`, `reply_to` and others by their wire names.
    #[serde(default)]
    properties: Map<String, Value>,
    /// Answer with an error if nobody gets it.
    #[serde(default)]
    mandatory: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublishAnswer {
    outcome: &'static str,
    queues: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fanout: Vec<FanoutAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guessed: Vec<String>,
}

#[derive(Serialize)]
struct FanoutAnswer {
    exchange: String,
    receivers: i64,
}

#[derive(Serialize)]
struct QueueAnswer {
    name: String,
    messages: i64,
}

#[derive(Serialize)]
struct QueuesAnswer {
    queues: Vec<QueueAnswer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    version: &'static str,
    executor: String,
    exchanges: usize,
    queues: usize,
    bindings: usize,
    quarantine: Vec<QuarantineAnswer>,
}

#[derive(Serialize)]
struct QuarantineAnswer {
    exchange: String,
    row: String,
    code: &'static str,
    detail: String,
}

pub(super) async fn topology<E: Executor>(State(shared): Server<E>) -> Result<Response, Problem> {
    let table = shared.host.table(None).await?;
    Ok(Json(Topology::of(&table.router)).into_response())
}

pub(super) async fn status<E: Executor>(State(shared): Server<E>) -> Result<Response, Problem> {
    let table = shared.host.table(None).await?;
    let (exchanges, queues, bindings) = table.router.counts();
    // Those that everybody has are no part of the topology, here and at `/v1/topology`.
    let predeclared = table.router.exchanges().filter(|(_, name, _)| Router::is_predeclared(name)).count();
    let quarantine = table.quarantine.iter().map(|row| QuarantineAnswer {
        exchange: row.exchange.clone(),
        row: row.row.clone(),
        code: row.reason.code(),
        detail: row.reason.to_string(),
    });
    let answer = StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        executor: shared.host.executor().describe(),
        exchanges: exchanges - predeclared,
        queues,
        bindings,
        quarantine: quarantine.collect(),
    };
    Ok(Json(answer).into_response())
}

pub(super) async fn route<E: Executor>(
    State(shared): Server<E>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request: RouteRequest = json(&headers, body, shared.options.max_body)?;
    let envelope = kombu::Envelope::bytes(Vec::new());
    let outgoing = Outgoing {
        headers: request.headers,
        ..Outgoing::new(&request.exchange, &request.routing_key, envelope)
    };
    Ok(Json(shared.host.route(&outgoing).await?).into_response())
}

pub(super) async fn publish<E: Executor>(
    State(shared): Server<E>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request: PublishRequest = json(&headers, body, shared.options.max_body)?;
    let (mandatory, outgoing) = (request.mandatory, request.outgoing()?);
    let sent = shared.host.publish(&outgoing).await?;
    if mandatory && sent.outcome != Outcome::Routed {
        let detail =
            format!("no queue gets `{}` from exchange `{}`", outgoing.routing_key, outgoing.exchange);
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unroutable", detail));
    }
    let fanout = sent.fanout.into_iter().filter(|sent| sent.receivers > 0);
    let answer = PublishAnswer {
        outcome: sent.outcome.as_str(),
        queues: sent.queues,
        guessed: sent.guessed,
        fanout: fanout
            .map(|sent| FanoutAnswer { exchange: sent.exchange, receivers: sent.receivers })
            .collect(),
    };
    Ok(Json(answer).into_response())
}

pub(super) async fn queues<E: Executor>(State(shared): Server<E>) -> Result<Response, Problem> {
    let table = shared.host.table(None).await?;
    let names: Vec<&str> = table.router.queues().map(|(_, name, _)| name).collect();
    let counts = shared.host.counts(&names).await?;
    let queues = names.into_iter().zip(counts);
    let queues = queues.map(|(name, messages)| QueueAnswer { name: name.into(), messages }).collect();
    Ok(Json(QueuesAnswer { queues }).into_response())
}

pub(super) async fn get_message<E: Executor>(
    State(shared): Server<E>,
    queue: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(queue) =
        queue.map_err(|rejection| Problem::new(rejection.status(), "invalid-path", rejection.body_text()))?;
    let message: Option<ReceivedMessage> = shared.host.get(&queue).await?;
    Ok(match message {
        Some(message) => Json(message).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

impl PublishRequest {
    fn outgoing(self) -> Result<Outgoing, Problem> {
        let unprocessable =
            |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", detail);
        if self.priority > kombu::Priority::LAST.get() {
            return Err(unprocessable(format!("`priority` is {}, expected 0 to 9", self.priority)));
        }
        let mut envelope = match (self.body, self.body_base64) {
            (Some(_), Some(_)) => {
                return Err(unprocessable("`body` and `bodyBase64` exclude each other".into()));
            }
            (Some(Value::String(text)), None) => kombu::Envelope::text(&text),
            (Some(value), None) => kombu::Envelope::json(&python(&value)?),
            (None, Some(text)) => kombu::Envelope::bytes(base64(&text).map_err(unprocessable)?),
            (None, None) => kombu::Envelope::bytes(Vec::new()),
        };
        let unsendable = |error: Unsendable| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string())
        };
        if let Some(content_type) = &self.content_type {
            sendable::body(content_type, envelope.body()).map_err(unsendable)?;
            envelope = envelope.content_type(content_type);
        }
        for (name, _) in self.headers.iter() {
            sendable::header(&String::from_utf8_lossy(name)).map_err(unsendable)?;
        }
        for (name, value) in &self.properties {
            sendable::property(name).map_err(unsendable)?;
            envelope = envelope.property(name, python(value)?);
        }
        let envelope = envelope.priority(kombu::Priority::new(self.priority));
        let headers = self.headers;
        Ok(Outgoing { headers, ..Outgoing::new(&self.exchange, &self.routing_key, envelope) })
    }
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| {
        let wrong = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => text.get(at..),
            _ => None,
        };
        match wrong.and_then(|rest| rest.chars().next()) {
            Some(wrong) => format!("`bodyBase64` is no base64: `{wrong}` does not belong there"),
            None => "`bodyBase64` is no base64: it has the wrong length, or lacks its padding `=`".into(),
        }
    })
}

fn python(value: &Value) -> Result<kombu::Json, Problem> {
    kombu::Json::deserialize(value)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", error.to_string()))
}

/// The request's JSON. It must be declared as JSON: a form of a foreign page cannot declare that.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body, limit: usize) -> Result<T, Problem> {
    let declared =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = format!("the content type is `{declared}`, expected `application/json`");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail));
    }
    let body = body.map_err(|rejection| {
        let status = rejection.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("the body is larger than {limit} bytes; raise the limit with --max-body");
            return Problem::new(status, "body-too-large", detail);
        }
        Problem::new(status, "body-unreadable", rejection.body_text())
    })?;
    let refused = |code, detail: String| Problem::new(StatusCode::BAD_REQUEST, code, detail);
    // By way of an object, because serde would take a list for a request's fields in their order.
    let fields: Map<String, Value> = serde_json::from_slice(&body).map_err(|error| {
        let code = if error.is_data() { "invalid-request" } else { "invalid-json" };
        refused(code, json_error(&error))
    })?;
    if let Some(wide) = std::str::from_utf8(&body).ok().and_then(wide_number) {
        let detail = format!(
            "the whole number {wide} has more than 64 bits; in a `body`, send it as text, with `contentType`"
        );
        return Err(refused("invalid-request", detail));
    }
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!("`{path}`: ") };
        refused("invalid-request", format!("{field}{}", json_error(error.inner())))
    })
}
