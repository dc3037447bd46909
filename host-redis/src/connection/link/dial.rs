//! Who to connect to, and what is said first.

use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, Value,
    aio::ConnectionLike,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::time::timeout;

use super::{
    super::{Node, Place, address::Tls, tls},
    Changes, Failure, Link, Tracking, Wire,
    lane::Lane,
};
use crate::{ExecuteError, executor::errors::is_not_permitted};

impl Link {
    pub(super) async fn connect(&self) -> Result<Wire, Failure> {
        if let Place::Cluster(nodes) = &self.0.address.place {
            return self.cluster(nodes).await.map(Wire::Cluster);
        }
        let client = self.client().await?;
        let changes = self.0.settings.changes.clone().filter(|_| self.speaks_resp3());
        // What watches keys has a connection of the library's, and so has TLS.
        if self.takes_bytes() {
            let info = client.get_connection_info();
            let limit = self.0.timeouts.response_timeout;
            let lane = Lane::connect(info, self.keepalive().as_ref(), changes.clone(), limit).await?;
            if let Some(mut lane) = lane {
                self.prepare(&mut lane).await?;
                return Ok(Wire::Lane(lane));
            }
        }
        let mut config = self.config();
        if let Some(changes) = changes {
            config = config.set_push_sender(move |push: PushInfo| {
                pushed(&*changes, &push.kind, &push.data);
                Ok::<(), ()>(())
            });
        }
        let mut one = client.get_multiplexed_async_connection_with_config(&config).await?;
        self.prepare(&mut one).await?;
        Ok(Wire::One(one))
    }

    /// What is said first on a connection.
    async fn prepare(&self, one: &mut impl ConnectionLike) -> Result<(), Failure> {
        // Whoever answers PING with PONG speaks the protocol, and so does who says that this user may not send it.
        match ::redis::cmd("PING").query_async(one).await {
            Ok(Value::SimpleString(pong)) if pong == "PONG" => {}
            Ok(_) => return Err(Failure::NoPong),
            Err(error) if is_not_permitted(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(name) = &self.0.options.client_name {
            let _: Value = ::redis::cmd("CLIENT").arg("SETNAME").arg(name).query_async(one).await?;
        }
        let mut track = ::redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON");
        match &self.0.settings.tracking {
            Tracking::Off => return Ok(()),
            Tracking::KeysRead => {}
            Tracking::Prefixes(prefixes) => {
                track.arg("BCAST");
                for prefix in prefixes {
                    track.arg("PREFIX").arg(prefix);
                }
            }
        }
        let _: Value = track.query_async(one).await?;
        Ok(())
    }

    async fn cluster(&self, nodes: &[Node]) -> Result<ClusterConnection, Failure> {
        let infos = nodes.iter().map(|node| self.info(node_address(node, self.0.address.tls.as_ref())));
        let mut builder = ClusterClient::builder(infos.collect::<Result<Vec<_>, _>>()?)
            // See `link/cluster.rs`.
            .retries(0)
            // Told that a connection is lost, the library mends it before the next command needs it.
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(self.0.timeouts.connect_timeout)
            .response_timeout(self.0.timeouts.response_timeout)
            .tcp_settings(self.tcp());
        if let Some(tls) = &self.0.address.tls {
            builder = builder.certs(tls::certificates(tls).map_err(Failure::Told)?);
        }
        let client = builder.build()?;
        Ok(client.get_async_connection().await?)
    }

    /// Who to connect to: of sentinels, the primary that they know of now.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let tls = self.0.address.tls.as_ref();
        match &self.0.address.place {
            Place::Tcp(node) => self.client_at(node_address(node, tls)),
            Place::Unix(path) => self.client_at(ConnectionAddr::Unix(path.clone())),
            Place::Cluster(nodes) => match nodes.first() {
                Some(node) => self.client_at(node_address(node, tls)),
                None => Err(Failure::Mute),
            },
            Place::Sentinels(sentinels) => {
                let node = self.primary(sentinels).await?;
                self.client_at(node_address(&node, tls))
            }
        }
    }

    pub(super) fn client_at(&self, address: ConnectionAddr) -> Result<Client, Failure> {
        tls::client(self.info(address)?, self.0.address.tls.as_ref()).map_err(Failure::Told)
    }

    /// The same client, to whom the server may speak of its own accord.
    pub(super) fn in_resp3(&self, client: &Client) -> Result<Client, Failure> {
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        tls::client(info.set_redis_settings(settings), self.0.address.tls.as_ref()).map_err(Failure::Told)
    }

    fn info(&self, address: ConnectionAddr) -> Result<ConnectionInfo, Failure> {
        let login = &self.0.address.login;
        let mut settings = RedisConnectionInfo::default().set_db(self.0.address.db.into());
        if let Some(username) = &login.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        if self.speaks_resp3() {
            settings = settings.set_protocol(ProtocolVersion::RESP3);
        }
        Ok(address.into_connection_info()?.set_redis_settings(settings).set_tcp_settings(self.tcp()))
    }

    /// Only there a server can tell of changes between answers.
    fn speaks_resp3(&self) -> bool {
        self.0.settings.tracking != Tracking::Off && !self.is_cluster()
    }

    fn tcp(&self) -> TcpSettings {
        let settings = TcpSettings::default().set_nodelay(true);
        match self.keepalive() {
            Some(keepalive) => settings.set_keepalive(keepalive),
            None => settings,
        }
    }

    fn keepalive(&self) -> Option<TcpKeepalive> {
        self.0.options.socket_keepalive.then(|| TcpKeepalive::new().with_time(Duration::from_secs(60)))
    }

    pub(super) fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.0.timeouts.connect_timeout))
            .set_response_timeout(Some(self.0.timeouts.response_timeout))
    }

    /// Asks one sentinel after the other. Whom they name must call itself a primary: a sentinel may not know yet that
    /// it was deposed.
    async fn primary(&self, sentinels: &[Node]) -> Result<Node, Failure> {
        let Some(name) = &self.0.options.master_name else {
            let reason = "sentinels need the transport option `master_name`";
            return Err(Failure::Told(ExecuteError::Url { reason: reason.into() }));
        };
        let patience = self.0.timeouts.connect_timeout / u32::try_from(sentinels.len() + 1).unwrap_or(1);
        let mut failure = Failure::Mute;
        for sentinel in sentinels {
            match timeout(patience, self.ask(sentinel, name)).await {
                Ok(Ok(node)) => return Ok(node),
                Ok(Err(error)) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    async fn ask(&self, sentinel: &Node, name: &str) -> Result<Node, Failure> {
        let kwargs = &self.0.options.sentinel_kwargs;
        let mut settings = RedisConnectionInfo::default();
        if let Some(username) = &kwargs.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &kwargs.password {
            settings = settings.set_password(password);
        }
        let tls = self.0.address.tls.as_ref();
        let info = node_address(sentinel, tls).into_connection_info()?.set_redis_settings(settings);
        let client = tls::client(info, tls).map_err(Failure::Told)?;
        let mut asked = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        let mut query = ::redis::cmd("SENTINEL");
        query.arg("MASTER").arg(name);
        let facts: std::collections::HashMap<String, String> = query.query_async(&mut asked).await?;
        let fact = |name: &str| facts.get(name).map(String::as_str);
        let others: u32 = fact("num-other-sentinels").and_then(|number| number.parse().ok()).unwrap_or(0);
        let port = fact("port").and_then(|port| port.parse().ok());
        let (Some(host), Some(port)) = (fact("ip"), port) else { return Err(Failure::NoPrimary) };
        if others < self.0.options.min_other_sentinels {
            return Err(Failure::NoPrimary);
        }
        let node = Node { host: host.into(), port };
        let client = self.client_at(node_address(&node, tls))?;
        let mut primary = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        let role: Value = ::redis::cmd("ROLE").query_async(&mut primary).await?;
        match role {
            Value::Array(parts) if parts.first() == Some(&Value::BulkString(b"master".into())) => Ok(node),
            _ => Err(Failure::NoPrimary),
        }
    }
}

pub(super) fn node_address(node: &Node, tls: Option<&Tls>) -> ConnectionAddr {
    tls::address(&node.host, node.port, tls)
}

/// Passes on what the server pushed.
pub(super) fn pushed(changes: &dyn Changes, kind: &PushKind, data: &[Value]) {
    match (kind, data.first()) {
        (PushKind::Invalidate, Some(Value::Array(keys))) => {
            let text = |key: &_| match key {
                Value::BulkString(bytes) => std::str::from_utf8(bytes).map(str::to_owned).ok(),
                _ => None,
            };
            let keys: Vec<String> = keys.iter().filter_map(text).collect();
            changes.changed(Some(&keys.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        // Nothing instead of keys: the database was emptied.
        (PushKind::Invalidate | PushKind::Disconnection, _) => changes.changed(None),
        _ => {}
    }
}
