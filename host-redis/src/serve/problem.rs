use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{ExecuteError, HostError};

/// An error as RFC 9457 has it, with the stable code of the error behind it.
///
/// ```
/// use axum::response::IntoResponse;
/// use keyrail_redis::{HostError, serve::Problem};
///
/// let problem = Problem::from(HostError::QueueNotFound { queue: "biling".into() });
/// let json = serde_json::to_value(&problem).unwrap();
/// assert_eq!((&json["code"], &json["type"]), (&"queue-not-found".into(), &"urn:keyrail:queue-not-found".into()));
/// let response = problem.into_response();
/// assert_eq!(response.status(), 404);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Debug, Serialize)]
pub struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    /// Stable, kebab-case; the same word as in Rust and JavaScript.
    code: &'static str,
    detail: String,
}

impl Problem {
    /// A problem with its own words.
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use keyrail_redis::serve::Problem;
    ///
    /// let problem = Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at `/v2`");
    /// let json = serde_json::to_value(&problem).unwrap();
    /// assert_eq!((&json["title"], &json["status"]), (&"Not Found".into(), &404.into()));
    /// ```
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            r#type: format!("urn:keyrail:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
        }
    }
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        let status = match &error {
            HostError::QueueNotFound { .. } => StatusCode::NOT_FOUND,
            HostError::Publish(error) => match error.code() {
                "exchange-not-found" => StatusCode::NOT_FOUND,
                "internal-exchange" => StatusCode::FORBIDDEN,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            },
            HostError::Execute(ExecuteError::Timeout { .. }) => StatusCode::GATEWAY_TIMEOUT,
            HostError::Execute(ExecuteError::Unreachable { .. } | ExecuteError::Disconnected { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            HostError::Execute(_) | HostError::Load(_) | HostError::PartlyPublished { .. } => {
                StatusCode::BAD_GATEWAY
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Problem::new(status, error.code(), error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
