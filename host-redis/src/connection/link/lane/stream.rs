//! The socket below a lane, without TLS.

use std::{
    io,
    task::{Context, Poll},
};

use ::redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, RedisResult,
    aio::MultiplexedConnection,
    io::tcp::socket2::{SockRef, TcpKeepalive},
};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
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
                let stream = TcpStream::connect((&**host, *port)).await?;
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

/// The library's greeting, over a second handle of the socket that is closed afterwards. It waits for all answers, so
/// that nothing is left to be read.
async fn introduce<S>(info: &ConnectionInfo, handle: S) -> RedisResult<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let config = AsyncConnectionConfig::new();
    MultiplexedConnection::new_with_config(info.redis_settings(), handle, config).await.map(drop)
}
