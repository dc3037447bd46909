//! The HTTP interface: answers, problems and guards.

mod support;

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use http_body_util::BodyExt;
use keyrail_core::{
    ExchangeKind,
    kombu::{Command, Layout, Plan},
};
use keyrail_redis::{Executor, Host, Memory, load, serve};
use serde_json::{Value, json};
use tower::ServiceExt;

fn app_with(options: serve::Options) -> Router {
    let file = load::read(support::shop().as_ref(), None, &load::Limits::default()).expect("the shop");
    serve::app(Host::fixed(Memory::new(), Layout::default(), file.router), options)
}

fn app() -> Router {
    app_with(serve::Options::default())
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:5680")
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.expect("a response")
}

async fn body(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"))
}

async fn post(app: &Router, path: &str, json: Value) -> Response<Body> {
    let request = request("POST", path).header(header::CONTENT_TYPE, "application/json");
    send(app, request.body(Body::from(json.to_string())).expect("a request")).await
}

#[track_caller]
fn is_problem(response: &Response<Body>, status: StatusCode) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
}

async fn code(response: Response<Body>) -> String {
    body(response).await["code"].as_str().expect("a code").to_owned()
}

#[tokio::test]
async fn the_topology_is_the_files() {
    let response = send(&app(), request("GET", "/v1/topology").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let topology = body(response).await;
    assert_eq!(topology["exchanges"].as_array().expect("a list").len(), 10);
    assert_eq!(topology["queues"].as_array().expect("a list").len(), 18);
    assert_eq!(topology["bindings"].as_array().expect("a list").len(), 39);
}

/// Tables as a Kombu consumer leaves them, and what somebody told about their types.
async fn app_on_tables(kinds: &[(&str, ExchangeKind)]) -> (Router, Host<Memory>) {
    let (memory, layout) = (Memory::new(), Layout::default());
    let row = Command::SAdd { key: layout.binding_table("news"), member: b"\x06\x16\x06\x16desk".to_vec() };
    memory.run(&Plan { atomic: false, commands: vec![row] }).await.expect("a row");
    let kinds = kinds.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    let host = Host::from_tables(memory, layout, load::Options { kinds, ..load::Options::default() });
    (serve::app(host.clone(), serve::Options::default()), host)
}

#[tokio::test]
async fn a_guessed_type_is_told() {
    let (app, _) = app_on_tables(&[]).await;
    let message = json!({"exchange": "news", "body": "x"});
    for (path, asked) in [("/v1/route", json!({"exchange": "news"})), ("/v1/publish", message)] {
        let answer = body(post(&app, path, asked).await).await;
        assert_eq!((&answer["queues"], &answer["guessed"]), (&json!(["desk"]), &json!(["news"])), "{path}");
    }
    let topology = request("GET", "/v1/topology").body(Body::empty()).expect("a request");
    let exchange = &body(send(&app, topology).await).await["exchanges"][0];
    assert_eq!(exchange["arguments"], json!({"x-keyrail-type": "guessed"}));
}

#[tokio::test]
async fn how_many_listened_is_told() {
    let (app, host) = app_on_tables(&[("news", ExchangeKind::Fanout)]).await;
    let _listening = host.listen("news", "#").await.expect("a listener");
    let answer = post(&app, "/v1/publish", json!({"exchange": "news", "routingKey": "a", "body": "x"}));
    let answer = body(answer.await).await;
    assert_eq!(
        answer,
        json!({"outcome": "routed", "queues": [], "fanout": [{"exchange": "news", "receivers": 1}]})
    );
}

#[tokio::test]
async fn route_tells_where_and_why_and_sends_nothing() {
    let app = app();
    let request = json!({"exchange": "shop.orders", "routingKey": "order.uk.cancelled"});
    let answer = body(post(&app, "/v1/route", request).await).await;
    assert_eq!(answer["outcome"], "routed");
    assert_eq!(answer["queues"], json!(["unrouted.review"]));
    assert_eq!(answer["hops"][1]["via"], json!({"type": "alternate", "exchange": "shop.orders"}));
    assert_eq!(
        post(&app, "/v1/queues/unrouted.review/get", json!({})).await.status(),
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn what_is_published_can_be_got_once() {
    let app = app();
    let message = json!({
        "exchange": "shop.invoices", "headers": {"priority": 9}, "body": {"total": 42},
        "properties": {"correlation_id": "c1"},
    });
    let answer = body(post(&app, "/v1/publish", message).await).await;
    assert_eq!(answer, json!({"outcome": "routed", "queues": ["invoices.urgent"]}));
    let queues =
        body(send(&app, request("GET", "/v1/queues").body(Body::empty()).expect("a request")).await).await;
    let waiting = queues["queues"].as_array().expect("a list").iter().filter(|queue| queue["messages"] == 1);
    assert_eq!(waiting.map(|queue| &queue["name"]).collect::<Vec<_>>(), ["invoices.urgent"]);
    let got = body(post(&app, "/v1/queues/invoices.urgent/get", json!({})).await).await;
    assert_eq!(got["body"], json!({"total": 42}));
    assert_eq!(got["headers"], json!({"priority": 9}));
    assert_eq!(got["properties"]["correlation_id"], "c1");
    assert_eq!(
        post(&app, "/v1/queues/invoices.urgent/get", json!({})).await.status(),
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn typed_headers_are_told_apart() {
    let message = json!({"exchange": "shop.invoices", "headers": {"priority": "9"}});
    let answer = body(post(&app(), "/v1/publish", message).await).await;
    assert_eq!(answer["queues"], json!(["unrouted.review"]));
}

#[tokio::test]
async fn bytes_go_through() {
    let app = app();
    post(&app, "/v1/publish", json!({"routingKey": "eu.vat", "bodyBase64": "/wA="})).await;
    assert_eq!(body(post(&app, "/v1/queues/eu.vat/get", json!({})).await).await["bodyBase64"], "/wA=");
}

#[tokio::test]
async fn an_unroutable_message_says_so() {
    let app = app();
    let message = |mandatory| json!({"routingKey": "no.such.queue", "body": "x", "mandatory": mandatory});
    let answer = body(post(&app, "/v1/publish", message(false)).await).await;
    assert_eq!(answer, json!({"outcome": "unroutable", "queues": []}));
    let problem = post(&app, "/v1/publish", message(true)).await;
    is_problem(&problem, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(code(problem).await, "unroutable");
}

#[tokio::test]
async fn problems_have_codes() {
    let app = app();
    for (path, sent, status, expected) in [
        ("/v1/route", json!({"exchange": "nope"}), 404, "exchange-not-found"),
        ("/v1/publish", json!({"exchange": "nope"}), 404, "exchange-not-found"),
        ("/v1/queues/nope/get", json!({}), 404, "queue-not-found"),
        ("/v1/queues/%ff/get", json!({}), 400, "invalid-path"),
        ("/v1/route", json!({"exchange": "amq.rabbitmq.trace"}), 403, "internal-exchange"),
        ("/v1/route", json!({"exchange": 7}), 400, "invalid-request"),
        ("/v1/route", json!({"exchnage": ""}), 400, "invalid-request"),
        ("/v1/route", json!({"exchange": "shop.orders", "routingKey": "k".repeat(256)}), 422, "key-too-long"),
        ("/v1/publish", json!({"body": 1, "bodyBase64": ""}), 422, "invalid-body"),
        ("/v1/publish", json!({"bodyBase64": "%"}), 422, "invalid-body"),
        ("/v1/publish", json!({"routingKey": "eu.vat", "priority": 10}), 422, "invalid-body"),
        ("/v1/publish", json!({"routingKey": "eu.vat", "priority": 256}), 400, "invalid-request"),
        ("/v1/nope", json!({}), 404, "not-found"),
        ("/v1/topology", json!({}), 405, "method-not-allowed"),
        ("/", json!({}), 405, "method-not-allowed"),
    ] {
        let response = post(&app, path, sent.clone()).await;
        is_problem(&response, StatusCode::from_u16(status).expect("a status"));
        let problem = body(response).await;
        assert_eq!(problem["code"], expected, "{path} {sent}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:keyrail:{expected}"));
    }
    let broken = request("POST", "/v1/route").header(header::CONTENT_TYPE, "application/json");
    let broken = send(&app, broken.body(Body::from("{")).expect("a request")).await;
    is_problem(&broken, StatusCode::BAD_REQUEST);
    assert_eq!(code(broken).await, "invalid-json");
    let missing = send(&app, request("GET", "/nope.js").body(Body::empty()).expect("a request")).await;
    is_problem(&missing, StatusCode::NOT_FOUND);
    for (path, allowed) in [("/v1/topology", "GET,HEAD"), ("/v1/route", "POST"), ("/", "GET,HEAD")] {
        let method = send(&app, request("DELETE", path).body(Body::empty()).expect("a request")).await;
        is_problem(&method, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(method.headers().get(header::ALLOW).expect(path), allowed);
    }
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let app = app();
    for (sent, expected) in [
        (r#"{"exchange": 1}"#, "`exchange`: found `1`, expected a string"),
        (r#"{"priority": 256}"#, "`priority`: found `256`, expected a whole number from 0 to 255"),
        (r#"{"headers": {"a": {"b": 18446744073709551615}}}"#, "`headers"),
        (r#"{"nope": 1}"#, "unknown field `nope`"),
        (
            r#"{"body": [12345678901234567890123]}"#,
            "the whole number 12345678901234567890123 has more than 64 bits",
        ),
    ] {
        let request = request("POST", "/v1/publish").header(header::CONTENT_TYPE, "application/json");
        let response = send(&app, request.body(Body::from(sent)).expect("a request")).await;
        is_problem(&response, StatusCode::BAD_REQUEST);
        let problem = body(response).await;
        assert_eq!(problem["code"], "invalid-request", "{sent}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(expected), "{detail}");
    }
    for (base64, expected) in [("x*==", "`*` does not belong there"), ("eA=", "lacks its padding")] {
        let sent = json!({"routingKey": "eu.vat", "bodyBase64": base64});
        let problem = body(post(&app, "/v1/publish", sent).await).await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.starts_with("`bodyBase64` is no base64: ") && detail.contains(expected), "{detail}");
    }
    let priority =
        body(post(&app, "/v1/publish", json!({"routingKey": "eu.vat", "priority": 10})).await).await;
    assert_eq!(priority["detail"], "`priority` is 10, expected 0 to 9");
    assert_eq!(post(&app, "/v1/queues/eu.vat/get", json!({})).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn whole_numbers_of_64_bits_arrive_as_they_were_sent() {
    let app = app();
    let sent = json!({"routingKey": "eu.vat", "body": {"n": u64::MAX, "m": i64::MIN}});
    assert_eq!(post(&app, "/v1/publish", sent).await.status(), StatusCode::OK);
    let got = body(post(&app, "/v1/queues/eu.vat/get", json!({})).await).await;
    assert_eq!(got["body"], json!({"n": u64::MAX, "m": i64::MIN}));
}

#[tokio::test]
async fn the_status_counts_what_the_topology_holds() {
    let status = send(&app(), request("GET", "/v1/status").body(Body::empty()).expect("a request")).await;
    let status = body(status).await;
    assert_eq!([&status["exchanges"], &status["queues"], &status["bindings"]], [10, 18, 39]);
}

#[tokio::test]
async fn only_json_is_taken_so_that_no_foreign_form_can_publish() {
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let form = request("POST", "/v1/publish").header(header::CONTENT_TYPE, kind);
        let response = send(&app(), form.body(Body::from("{}")).expect("a request")).await;
        is_problem(&response, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}

#[tokio::test]
async fn foreign_names_and_origins_are_refused() {
    let app = app();
    for (name, value, expected) in [
        (header::HOST, "evil.example", "foreign-host"),
        (header::HOST, "127.0.0.1.evil.example:5680", "foreign-host"),
        (header::HOST, "", "foreign-host"),
        (header::ORIGIN, "http://evil.example", "foreign-origin"),
        (header::ORIGIN, "http://127.0.0.1:9999", "foreign-origin"),
        (header::ORIGIN, "https://127.0.0.1:5680", "foreign-origin"),
        (header::ORIGIN, "null", "foreign-origin"),
        (header::HeaderName::from_static("sec-fetch-site"), "cross-site", "foreign-origin"),
        (header::HeaderName::from_static("sec-fetch-site"), "same-site", "foreign-origin"),
    ] {
        for (method, path) in [("GET", "/"), ("GET", "/v1/topology"), ("POST", "/v1/queues/eu.vat/get")] {
            let mut request = request(method, path).body(Body::empty()).expect("a request");
            request.headers_mut().insert(&name, value.parse().expect("a value"));
            let response = send(&app, request).await;
            is_problem(&response, StatusCode::FORBIDDEN);
            assert_eq!(code(response).await, expected, "{name}: {value}");
        }
    }
    // Nobody knows which of two is meant (RFC 9112).
    for (name, expected) in [(header::HOST, "foreign-host"), (header::ORIGIN, "foreign-origin")] {
        let twice = request("GET", "/v1/topology").header(header::ORIGIN, "http://127.0.0.1:5680");
        let twice = twice.header(&name, "evil.example").body(Body::empty()).expect("a request");
        let response = send(&app, twice).await;
        is_problem(&response, StatusCode::FORBIDDEN);
        assert_eq!(code(response).await, expected);
    }
    for host in ["127.0.0.1:5680", "localhost:5680", "[::1]:5680", "LOCALHOST"] {
        let request = Request::get("/v1/topology").header(header::HOST, host);
        let origin = request.header(header::ORIGIN, format!("http://{host}")).body(Body::empty());
        assert_eq!(send(&app, origin.expect("a request")).await.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn writing_needs_the_token_where_there_is_one() {
    let app = app_with(serve::Options { token: Some("s3cret".into()), ..serve::Options::default() });
    for path in ["/v1/publish", "/v1/queues/eu.vat/get"] {
        for given in [None, Some("Bearer wrong!"), Some("s3cret"), Some("Bearer s3cre")] {
            let mut request = request("POST", path).header(header::CONTENT_TYPE, "application/json");
            if let Some(given) = given {
                request = request.header(header::AUTHORIZATION, given);
            }
            let body = Body::from(r#"{"routingKey": "eu.vat"}"#);
            let response = send(&app, request.body(body).expect("a request")).await;
            is_problem(&response, StatusCode::UNAUTHORIZED);
        }
    }
    // A scheme has no case (RFC 9110).
    let lower = request("POST", "/v1/queues/eu.vat/get").header(header::AUTHORIZATION, "bearer s3cret");
    let nothing = send(&app, lower.body(Body::empty()).expect("a request")).await;
    assert_eq!(nothing.status(), StatusCode::NO_CONTENT);
    let reading = json!({"exchange": "shop.orders"});
    assert_eq!(post(&app, "/v1/route", reading).await.status(), StatusCode::OK);
    let request = request("POST", "/v1/queues/eu.vat/get").header(header::AUTHORIZATION, "Bearer s3cret");
    let nothing_was_published = send(&app, request.body(Body::empty()).expect("a request")).await;
    assert_eq!(nothing_was_published.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let app = app_with(serve::Options { max_body: 100, ..serve::Options::default() });
    let response = post(&app, "/v1/publish", json!({"body": "x".repeat(100)})).await;
    is_problem(&response, StatusCode::PAYLOAD_TOO_LARGE);
    let problem = body(response).await;
    assert_eq!(problem["code"], "body-too-large");
    assert_eq!(problem["detail"], "the body is larger than 100 bytes; raise the limit with --max-body");
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hold_the_server() {
    let timeout = std::time::Duration::from_millis(50);
    let app = app_with(serve::Options { timeout, ..serve::Options::default() });
    let endless = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = request("POST", "/v1/publish").header(header::CONTENT_TYPE, "application/json");
    let response = send(&app, request.body(endless).expect("a request")).await;
    is_problem(&response, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn every_answer_carries_the_guards() {
    let app = app();
    for path in ["/", "/v1/topology", "/nope"] {
        let response = send(&app, request("GET", path).body(Body::empty()).expect("a request")).await;
        let headers = response.headers();
        assert_eq!(headers["content-security-policy"], keyrail_www::CONTENT_SECURITY_POLICY, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers.contains_key(header::CACHE_CONTROL), "{path}");
    }
    let page = send(&app, request("GET", "/").body(Body::empty()).expect("a request")).await;
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
}

/// What the command refuses: Kombu would raise on it, or it would vanish.
#[tokio::test]
async fn what_a_consumer_would_stumble_over_is_refused() {
    let app = app();
    for (part, value, expected) in [
        ("contentType", json!("application/json"), "not-json"),
        ("headers", json!({"compression": "gzip"}), "invalid-header"),
        ("properties", json!({"body_encoding": "utf-8"}), "invalid-property"),
        ("properties", json!({"delivery_tag": "t"}), "invalid-property"),
        ("properties", json!({"delivery_info": {}}), "invalid-property"),
        ("properties", json!({"delivery_mode": 1}), "invalid-property"),
        ("properties", json!({"priority": 3}), "invalid-property"),
        ("properties", json!({"expiration": "1000"}), "invalid-property"),
    ] {
        let mut message = json!({"routingKey": "eu.vat", "body": "hello"});
        message[part] = value.clone();
        let response = post(&app, "/v1/publish", message).await;
        is_problem(&response, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(code(response).await, expected, "{part}: {value}");
    }
    let none = post(&app, "/v1/queues/eu.vat/get", json!({})).await;
    assert_eq!(none.status(), StatusCode::NO_CONTENT);
    let json = json!({"routingKey": "eu.vat", "body": "[1]", "contentType": "application/json"});
    assert_eq!(post(&app, "/v1/publish", json).await.status(), StatusCode::OK);
    assert_eq!(body(post(&app, "/v1/queues/eu.vat/get", json!({})).await).await["body"], json!([1]));
}
