//! The socket below a lane, without TLS.

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

use ::redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, RedisResult,
    aio::MultiplexedConnection,
    io::tcp::socket2::{SockRef, TcpKeepalive},
};
use futures_util::future::{FutureExt, select_ok};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream, lookup_host},
};

/// Read and written by whoever is at hand, hence without `&mut`.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Does the same with either.
macro_rules! either {
    ($stream:expr, $inner:ident => $what:expr) => {
        match $stream {
            Stream::Tcp($inner) => $what,
            Stream::Unix($inner) => $what,
        }
    };
}

impl Stream {
    /// Connects, and lets the client library introduce itself: protocol, login, database.
    pub(super) async fn connect(
        info: &ConnectionInfo,
        keepalive: Option<&TcpKeepalive>,
    ) -> RedisResult<Option<Self>> {
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = first_of(lookup_host((&**host, *port)).await?).await?;
                stream.set_nodelay(true)?;
                if let Some(keepalive) = keepalive {
                    SockRef::from(&stream).set_tcp_keepalive(keepalive)?;
                }
                let stream = stream.into_std()?;
                introduce(info, TcpStream::from_std(stream.try_clone()?)?).await?;
                Ok(Some(Stream::Tcp(TcpStream::from_std(stream)?)))
            }
            ConnectionAddr::Unix(path) => {
                let stream = UnixStream::connect(path).await?.into_std()?;
                introduce(info, UnixStream::from_std(stream.try_clone()?)?).await?;
                Ok(Some(Stream::Unix(UnixStream::from_std(stream)?)))
            }
            _ => Ok(None),
        }
    }

    /// Reads behind what is there; zero at the end of the stream.
    pub(super) fn read(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let (room, mut read) = (bytes.capacity() - bytes.len(), Err(io::ErrorKind::WouldBlock.into()));
        let _ = either!(self, stream => stream.try_io(Interest::READABLE, || {
            read = stream.try_read_buf(bytes);
            match read {
                // Less than there was room for: nothing is left, and asking again would be one system call more.
                Ok(count) if 0 < count && count < room => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        }));
        read
    }

    /// Whether something came in since all was read, as far as the runtime has noticed. No system call.
    pub(super) fn may_be_read(&self) -> bool {
        either!(self, stream => stream.try_io(Interest::READABLE, || Ok(())).is_ok())
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_write(bytes))
    }

    /// Whether it can be read; one waker only, the last.
    pub(super) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(context))
    }

    /// Whether it can be written; one waker only, the last.
    pub(super) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(context))
    }

    /// Waits until it can be read, beside whoever polls.
    pub(super) async fn readable(&self) -> io::Result<()> {
        either!(self, stream => stream.readable().await)
    }
}

/// Connects to whichever of the addresses answers first, as the client library does: one of them may lead nowhere.
async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = addresses.map(|address| TcpStream::connect(address).boxed()).peekable();
    if attempts.peek().is_none() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host name has no address"));
    }
    Ok(select_ok(attempts).await?.0)
}

/// The library's greeting, over a second handle of the socket that is closed afterwards. It waits for all answers, so
/// that nothing is left to be read.
async fn introduce<S>(info: &ConnectionInfo, handle: S) -> RedisResult<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let config = AsyncConnectionConfig::new();
    MultiplexedConnection::new_with_config(info.redis_settings(), handle, config).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::redis::io::tcp::socket2::{Domain, Socket, Type};
    use tokio::{net::TcpListener, time::timeout};

    use super::*;

    const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

    /// Listens, and has no room for anybody: whoever connects waits for minutes.
    async fn full() -> (SocketAddr, Socket, Vec<TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(LOOPBACK).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut inside = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            inside.push(stream.unwrap());
        }
        (address, socket, inside)
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_holds_nobody_up() {
        let (nowhere, _socket, _inside) = full().await;
        let closed = TcpListener::bind(SocketAddr::from(LOOPBACK)).await.unwrap().local_addr().unwrap();
        let server = TcpListener::bind(SocketAddr::from(LOOPBACK)).await.unwrap();
        let there = server.local_addr().unwrap();
        for addresses in [[nowhere, closed, there], [there, nowhere, closed]] {
            let stream = timeout(Duration::from_secs(20), first_of(addresses.into_iter())).await;
            assert_eq!(stream.expect("no standstill").unwrap().peer_addr().unwrap(), there);
        }
        let refused = first_of([closed].into_iter()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let error = first_of(std::iter::empty()).await.unwrap_err();
        assert_eq!(error.to_string(), "the host name has no address");
    }
}
