//! Commands on a cluster: sent again only if they were certainly not executed.
//!
//! The client library repeats whatever failed, a command whose answer was lost among it, so it is told to repeat
//! nothing. What remains is what a node says before it executes anything: that a slot lies elsewhere, that its keys are
//! on their way, that the cluster is not complete, that it is a primary no more.

use std::time::Duration;

use ::redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{super::Node, Link, Live, Wire, dial::node_address};

/// Between two attempts: the first comes at once, since the library reads the slots anew meanwhile.
const WAITS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];

/// What goes to one node, whole.
#[derive(Clone, Copy)]
enum Errand<'a> {
    Command(&'a Cmd),
    Transaction { pipeline: &'a Pipeline, offset: usize, count: usize },
}

/// What a node says that executed nothing.
///
/// `LOADING` and `MASTERDOWN` would be such answers, too. But the library may put what went wrong while it looked for
/// the slots in the place of an answer that it still waits for, and these two can come of that. The others cannot: they
/// are only ever said of a key.
enum Refusal {
    /// The slot lies elsewhere.
    Moved,
    /// The key is to be asked for there.
    Ask(Option<Node>),
    /// Not now.
    Later,
}

impl Link {
    /// One command, to the node that has its keys.
    pub(super) async fn on_cluster(&self, live: Live, cmd: &Cmd) -> RedisResult<Value> {
        let mut answer = self.run_errand(live, Errand::Command(cmd)).await?;
        Ok(answer.pop().unwrap_or(Value::Nil))
    }

    /// A pipeline. As a transaction it is a step on one node; else each command goes its own way, and those for one node
    /// keep their order.
    pub(super) async fn all_on_cluster(
        &self,
        live: Live,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if pipeline.is_transaction() {
            return self.run_errand(live, Errand::Transaction { pipeline, offset, count }).await;
        }
        join_all(pipeline.cmd_iter().map(|cmd| self.on_cluster(live.clone(), cmd)))
            .await
            .into_iter()
            .collect()
    }

    async fn run_errand(&self, mut live: Live, errand: Errand<'_>) -> RedisResult<Vec<Value>> {
        let deadline = Instant::now() + self.0.timeouts.response_timeout;
        let mut wait = Duration::ZERO;
        loop {
            let Wire::Cluster(cluster) = &mut live.wire else {
                let reason = "this connection is to no cluster";
                return Err(RedisError::from((ErrorKind::InvalidClientConfig, reason)));
            };
            let mut answer = errand.run(cluster).await;
            let mut refusal = Refusal::of(&answer);
            if let Some(Refusal::Ask(Some(node))) = &refusal {
                answer = self.ask_at(node, errand).await;
                refusal = Refusal::of(&answer);
            }
            let Some(refusal) = refusal else { return answer };
            if Instant::now() + wait >= deadline {
                return answer;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).clamp(WAITS[0], WAITS[1]);
            if let (Refusal::Moved, Errand::Transaction { .. }) = (refusal, errand) {
                // The library does not look into what a transaction says, and would never learn of the move.
                self.lost(live.epoch);
                live = self.live().await.map_err(|failure| failure.into_redis(self))?;
            }
        }
    }

    /// On a connection of its own: what follows `ASKING` must be the next that the node hears, and a node to which the
    /// first slots are on their way is not yet known to the library.
    async fn ask_at(&self, node: &Node, errand: Errand<'_>) -> RedisResult<Vec<Value>> {
        let client = self.client_at(node_address(node, self.0.address.tls.as_ref()));
        let client = client.map_err(|failure| failure.into_redis(self))?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        let _: Value = ::redis::cmd("ASKING").query_async(&mut connection).await?;
        errand.run(&mut connection).await
    }
}

impl Errand<'_> {
    async fn run(self, connection: &mut impl ConnectionLike) -> RedisResult<Vec<Value>> {
        match self {
            Errand::Command(cmd) => Ok(vec![connection.req_packed_command(cmd).await?]),
            Errand::Transaction { pipeline, offset, count } => {
                connection.req_packed_commands(pipeline, offset, count).await
            }
        }
    }
}

impl Refusal {
    fn of(answer: &RedisResult<Vec<Value>>) -> Option<Self> {
        let (kind, detail) = match answer {
            // A transaction that any command of was refused is discarded as a whole.
            Err(error) => match error.kind() {
                ErrorKind::Server(ServerErrorKind::ExecAbort) => {
                    return error
                        .clone()
                        .into_server_errors()?
                        .iter()
                        .find_map(|(_, error)| Refusal::read(error.kind()?, error.details()));
                }
                ErrorKind::Server(kind) => (kind, error.detail()),
                _ => return None,
            },
            Ok(values) => values.iter().find_map(|value| match value {
                Value::ServerError(error) => Some((error.kind()?, error.details())),
                _ => None,
            })?,
        };
        Refusal::read(kind, detail)
    }

    fn read(kind: ServerErrorKind, detail: Option<&str>) -> Option<Self> {
        match kind {
            ServerErrorKind::Moved | ServerErrorKind::ReadOnly => Some(Refusal::Moved),
            ServerErrorKind::Ask => Some(Refusal::Ask(detail.and_then(node_of))),
            ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown => Some(Refusal::Later),
            _ => None,
        }
    }
}

/// The node in `3999 127.0.0.1:6381`.
fn node_of(detail: &str) -> Option<Node> {
    let (host, port) = detail.split_ascii_whitespace().nth(1)?.rsplit_once(':')?;
    (!host.is_empty()).then_some(())?;
    Some(Node { host: host.trim_matches(['[', ']']).to_owned(), port: port.parse().ok()? })
}
