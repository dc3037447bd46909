//! The HTTP interface and the page, on loopback.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /v1/topology` | exchanges, queues, bindings |
//! | `GET /v1/status` | who executes, counts, rows in quarantine |
//! | `POST /v1/route` | where a message would go, and why; nothing is sent |
//! | `POST /v1/publish` | where a message went |
//! | `GET /v1/queues` | the queues and how many messages wait |
//! | `POST /v1/queues/{queue}/get` | the next message, acked; 204 if there is none |
//!
//! Errors are problem documents (RFC 9457) with a stable `code`.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{Executor, Host};

use in_time::InTime;

mod api;
mod guard;
mod in_time;
mod problem;

pub use problem::Problem;

/// How the server protects itself.
///
/// ```
/// use axum::{body::Body, http::Request};
/// use keyrail_core::{Router, kombu::Layout};
/// use keyrail_redis::{Host, Memory, serve};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let options = serve::Options { token: Some("s3cret".into()), ..serve::Options::default() };
/// let app = serve::app(Host::fixed(Memory::new(), Layout::default(), Router::new()), options);
/// let get = Request::post("/v1/queues/billing/get").header("host", "localhost");
/// let refused = app.clone().oneshot(get.body(Body::empty()).unwrap()).await.unwrap();
/// assert_eq!(refused.status(), 401);
/// let get = Request::post("/v1/queues/billing/get").header("host", "localhost");
/// let get = get.header("authorization", "Bearer s3cret").body(Body::empty()).unwrap();
/// assert_eq!(app.oneshot(get).await.unwrap().status(), 404, "let in, and there is no such queue");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// What a request to publish or to get must bear (`Authorization: Bearer …`); none asks for nothing.
    pub token: Option<String>,
    /// The largest request body in bytes.
    pub max_body: usize,
    /// The longest time for one request.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { token: None, max_body: 1 << 20, timeout: Duration::from_secs(30) }
    }
}

/// What every handler knows.
struct Shared<E> {
    host: Host<E>,
    options: Options,
}

/// The routes with all guards in front.
///
/// ```
/// use axum::{body::Body, http::{Request, header::CONTENT_TYPE}};
/// use http_body_util::BodyExt;
/// use keyrail_core::{Topology, kombu::Layout};
/// use keyrail_redis::{Host, Memory, serve};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
/// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
/// let route = Request::post("/v1/route").header("host", "localhost").header(CONTENT_TYPE, "application/json");
/// let body = Body::from(r#"{"exchange": "orders", "routingKey": "order.eu.paid"}"#);
/// let answer = serve::app(host, serve::Options::default()).oneshot(route.body(body).unwrap()).await.unwrap();
/// let answer = answer.into_body().collect().await.unwrap().to_bytes();
/// let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
/// assert_eq!(answer["queues"], serde_json::json!(["billing"]));
/// # });
/// ```
pub fn app<E: Executor>(host: Host<E>, options: Options) -> Router {
    let (limit, timeout) = (options.max_body, options.timeout);
    let shared = Arc::new(Shared { host, options });
    let writing = Router::new()
        .route("/v1/publish", post(api::publish::<E>))
        .route("/v1/queues/{queue}/get", post(api::get_message::<E>))
        .route_layer(middleware::from_fn_with_state(shared.clone(), guard::token::<E>));
    Router::new()
        .route("/v1/topology", get(api::topology::<E>))
        .route("/v1/status", get(api::status::<E>))
        .route("/v1/route", post(api::route::<E>))
        .route("/v1/queues", get(api::queues::<E>))
        .merge(writing)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(page)
        .layer(DefaultBodyLimit::max(limit))
        .layer(middleware::from_fn(guard::same_origin))
        .layer(middleware::from_fn(move |request, next| guard::in_time(timeout, request, next)))
        .layer(middleware::map_response(guard::headers))
        .with_state(shared)
}

/// What clients may hold: connections, and each of them without saying anything.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::{Router, kombu::Layout};
/// use keyrail_redis::{Host, Memory, serve};
/// use tokio::{io::AsyncReadExt, net::{TcpListener, TcpStream}, sync::oneshot};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let address = listener.local_addr().unwrap();
/// let app = serve::app(Host::fixed(Memory::new(), Layout::default(), Router::new()), serve::Options::default());
/// let connections = serve::Connections { headers: Duration::from_millis(50), ..Default::default() };
/// let (_stop, stopped) = oneshot::channel::<()>();
/// tokio::spawn(serve::run(listener, app, connections, async { drop(stopped.await) }));
///
/// // Who says nothing is not waited for.
/// let mut silent = TcpStream::connect(address).await.unwrap();
/// let closed = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0; 64])).await;
/// assert!(closed.is_ok());
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// The most at once. Others wait until one of them ends.
    pub most: usize,
    /// The longest time for the headers of a request, from the connection or the answer before it on. Then it is closed.
    pub headers: Duration,
    /// The longest time to take an answer, from the moment on when it has to wait for its reader. Then it is closed.
    pub answers: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Connections { most: 128, headers: Duration::from_secs(30), answers: Duration::from_secs(30) }
    }
}

/// Serves until `stop`, then lets running requests end for a moment. A client that keeps a connection open does not keep
/// the server from ending.
///
/// ```
/// use keyrail_core::{Router, kombu::Layout};
/// use keyrail_redis::{Host, Memory, serve};
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let address = listener.local_addr().unwrap();
/// let app = serve::app(Host::fixed(Memory::new(), Layout::default(), Router::new()), serve::Options::default());
/// let client = async move {
///     let mut stream = TcpStream::connect(address).await.unwrap();
///     stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await.unwrap();
///     assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(r#""executor":"memory""#));
/// };
/// // Serves until the client has its answer.
/// serve::run(listener, app, serve::Connections::default(), client).await;
/// # });
/// ```
///
/// # Cost
/// A task for each connection, [`Connections::most`] at most.
pub async fn run(
    listener: TcpListener,
    app: Router,
    connections: Connections,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    const GRACE: Duration = Duration::from_secs(2);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(connections.headers);
    let slots = Arc::new(Semaphore::new(connections.most.clamp(1, Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let accept = async {
        // Whoever comes while all slots are taken waits in the system's queue, and takes no descriptor of ours.
        while let Ok(slot) = slots.clone().acquire_owned().await {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, or a client that left: neither ends a server.
                    tracing::debug!("a connection was not taken: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(app.clone());
            let stream = TokioIo::new(InTime::new(stream, connections.answers));
            let served = graceful.watch(http.serve_connection(stream, service));
            tokio::spawn(async move {
                // A client that breaks off, or that is too slow, is its own matter.
                let _ = served.await;
                drop(slot);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// Whether only this machine can reach the address.
///
/// ```
/// use keyrail_redis::serve;
///
/// assert!(serve::is_loopback(&"127.0.0.1:5680".parse().unwrap()));
/// assert!(serve::is_loopback(&"[::1]:5680".parse().unwrap()));
/// assert!(!serve::is_loopback(&"0.0.0.0:5680".parse().unwrap()));
/// ```
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}

async fn page(method: Method, uri: Uri) -> Response {
    match keyrail_www::asset(uri.path()) {
        Some(_) if method != Method::GET && method != Method::HEAD => {
            ([(header::ALLOW, "GET,HEAD")], method_not_allowed().await).into_response()
        }
        Some(asset) => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(asset.content_type));
            headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static(asset.cache));
            (headers, asset.bytes).into_response()
        }
        None => {
            let detail = format!("there is nothing at `{}`", uri.path());
            Problem::new(StatusCode::NOT_FOUND, "not-found", detail).into_response()
        }
    }
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this address takes another method")
}
