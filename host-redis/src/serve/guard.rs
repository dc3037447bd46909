//! What a request must pass before a handler sees it.
//!
//! Listening on loopback keeps other machines out, but not other pages in this machine's browser. Two checks do:
//! the name in `Host` must be a loopback name, so that a hostile name which resolves to 127.0.0.1 (DNS rebinding) gets
//! nothing; and a request that a browser marks as coming from another origin is refused.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Problem, Shared};
use crate::Executor;

/// Refuses foreign names and foreign origins.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let forbidden = |code, detail: String| Err(Problem::new(StatusCode::FORBIDDEN, code, detail));
    let text = |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = text(header::HOST).unwrap_or_default();
    let local = host.parse::<Authority>().is_ok_and(|authority| is_loopback_name(authority.host()));
    if !local {
        return forbidden(
            "foreign-host",
            format!("the host `{host}` is not this machine, expected 127.0.0.1, [::1] or localhost"),
        );
    }
    for (name, code) in [(header::HOST, "foreign-host"), (header::ORIGIN, "foreign-origin")] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return forbidden(code, format!("the header `{name}` is given twice"));
        }
    }
    if let Some(origin) = text(header::ORIGIN)
        && origin.strip_prefix("http://") != Some(&host)
    {
        return forbidden("foreign-origin", format!("pages of `{origin}` may not use this server"));
    }
    match text(HeaderName::from_static("sec-fetch-site")).as_deref() {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => forbidden("foreign-origin", "pages of other sites may not use this server".into()),
    }
}

fn is_loopback_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Asks for the token, where there is one.
pub(super) async fn token<E: Executor>(
    State(shared): State<Arc<Shared<E>>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &shared.options.token else { return next.run(request).await };
    let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    // A scheme has no case (RFC 9110).
    let given = given.and_then(|value| value.split_at_checked(b"Bearer ".len()));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer ")).map(|(_, given)| given);
    if given.is_some_and(|given| same(given, token.as_bytes())) {
        return next.run(request).await;
    }
    let detail =
        "publishing and getting need the token that `keyrail serve` printed, as `Authorization: Bearer …`";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "token-required", detail);
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

/// Compares without telling by its time how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// Ends a request that takes too long, reading its body included.
pub(super) async fn in_time(limit: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request took longer than {} s", limit.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", detail).into_response()
        }
    }
}

/// The headers of every answer, errors included.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", keyrail_www::CONTENT_SECURITY_POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
