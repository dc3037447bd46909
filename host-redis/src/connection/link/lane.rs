//! A connection without a task of its own: whoever waits for an answer writes and reads for all.
//!
//! A caller appends its commands to what is to be sent, and then does what is to be done on the socket: writes what has
//! come together, reads what is there, and hands every answer to whom it belongs. Nobody wakes anybody to send one
//! command and get one answer. If several callers wait, the one that looked last leads: the socket wakes it, and when it
//! has its own answer it wakes the next.
//!
//! INVARIANT: commands are appended as a whole, together with the place of their answers in the queue, so that a caller
//! that goes away leaves neither half a command nor an answer that somebody else would take for his.
//!
//! The client library introduces us to the server, packs commands, reads whatever is no number, and has all other
//! connections: TLS, clusters, transactions that watch keys.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use ::redis::{
    Cmd, ConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike,
    io::tcp::socket2::TcpKeepalive,
};
use futures_util::FutureExt;
use tokio::{task::JoinHandle, time::timeout};

mod answers;
mod asking;
mod queue;
mod stream;

use super::{Changes, dial::pushed};
use answers::Answers;
use asking::Asking;
use queue::Queue;
use stream::Stream;

/// A larger buffer is not kept.
const KEPT: usize = 1 << 20;
/// How long at most a lane whose leader does not come to its turn stands still.
const LOOK: Duration = Duration::from_millis(10);

/// Shared by all clones, and closed with the last of them.
#[derive(Clone)]
pub(crate) struct Lane(Arc<Open>);

struct Open {
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

struct Shared {
    stream: Stream,
    /// Held by whoever is at the socket; nobody waits for it.
    socket: Mutex<Socket>,
    /// Held for moments only.
    queue: Mutex<Queue>,
    over: AtomicBool,
    /// How often something was read.
    reads: AtomicU64,
    changes: Option<Arc<dyn Changes>>,
    limit: Duration,
    db: i64,
}

/// What is on its way in either direction.
#[derive(Default)]
struct Socket {
    sending: Vec<u8>,
    sent: usize,
    answers: Answers,
    /// Who has got an answer, to be told when nothing is held any more.
    woken: Vec<Waker>,
}

impl Lane {
    /// Connects, if this is an address that it can serve.
    pub(super) async fn connect(
        info: &ConnectionInfo,
        keepalive: Option<&TcpKeepalive>,
        changes: Option<Arc<dyn Changes>>,
        limit: Duration,
    ) -> RedisResult<Option<Self>> {
        let Some(stream) = Stream::connect(info, keepalive).await? else { return Ok(None) };
        let shared = Arc::new(Shared::new(stream, changes, limit, info.redis_settings().db()));
        let listening = tokio::spawn(listen(Arc::downgrade(&shared), limit));
        Ok(Some(Lane(Arc::new(Open { shared, listening }))))
    }

    /// Whether the connection is lost.
    pub(super) fn is_over(&self) -> bool {
        self.0.shared.over.load(Relaxed)
    }

    /// Hears what the server has said of its own accord, without asking the system if there is nothing.
    pub(super) fn hear(&self) {
        if self.0.shared.stream.may_be_read() {
            self.0.shared.work(None);
        }
    }

    /// Sends packed commands, passes over so many answers, and returns so many.
    pub(super) async fn ask(&self, packed: Vec<u8>, skip: usize, count: usize) -> RedisResult<Vec<Value>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let asking = Asking::new(&self.0.shared, packed, skip, count);
        match timeout(self.0.shared.limit, asking).await {
            Ok(answers) => answers,
            Err(_) => Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
}

/// Hears what the server says while nobody asks anything, and looks after callers whose leader is not polled.
///
/// Also ends a lane on which answers are due and nothing was read for as long as an answer may take: callers with less
/// patience than that go away before they find out.
async fn listen(shared: Weak<Shared>, limit: Duration) {
    let mut silence: Option<(u64, Instant)> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_idle() && !shared.over.load(Relaxed) {
            // The task ends with the lane, which holds it. It comes back to look for answers that are due.
            let _ = timeout(limit / 4, shared.stream.readable()).await;
        }
        shared.work(None);
        if shared.over.load(Relaxed) {
            return;
        }
        let reads = shared.reads.load(Relaxed);
        silence = match silence {
            _ if shared.queue().expects_nothing() => None,
            Some((then, since)) if then == reads && since.elapsed() > limit => {
                return shared.fail(&RedisError::from(io::Error::from(io::ErrorKind::TimedOut)));
            }
            Some((then, since)) if then == reads => Some((then, since)),
            _ => Some((reads, Instant::now())),
        };
    }
}

impl Shared {
    fn new(stream: Stream, changes: Option<Arc<dyn Changes>>, limit: Duration, db: i64) -> Self {
        Shared {
            stream,
            socket: Mutex::default(),
            queue: Mutex::default(),
            over: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            changes,
            limit,
            db,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.queue().is_idle()
    }

    /// Does what can be done on the socket now. With a caller, the socket wakes it when there is more to do.
    fn work(&self, mut caller: Option<(usize, &mut Context<'_>)>) {
        loop {
            let mut socket = match self.socket.try_lock() {
                Ok(socket) => socket,
                Err(TryLockError::WouldBlock) => return,
                // Somebody panicked at the socket: nobody knows what was sent and read.
                Err(TryLockError::Poisoned(_)) => return self.fail(&closed()),
            };
            let done = self.turn(&mut socket, &mut caller);
            let mut woken = std::mem::take(&mut socket.woken);
            let full = socket.sent < socket.sending.len();
            drop(socket);
            woken.drain(..).for_each(Waker::wake);
            if let Err(error) = done {
                return self.fail(&error);
            }
            let queue = self.queue();
            // Whoever found the socket taken has left his commands to us.
            if !full && !queue.out.is_empty() && !queue.is_gathering() {
                continue;
            }
            let next = if caller.is_none() { queue.next_leader() } else { None };
            drop(queue);
            return wake(next);
        }
    }

    fn turn(&self, socket: &mut Socket, caller: &mut Option<(usize, &mut Context<'_>)>) -> RedisResult<()> {
        if self.over.load(Relaxed) {
            return Ok(());
        }
        self.send(socket, caller)?;
        loop {
            match self.stream.read(socket.answers.room()) {
                Ok(0) => return Err(closed()),
                Ok(_) => {
                    // Only who holds the socket writes it.
                    self.reads.store(self.reads.load(Relaxed) + 1, Relaxed);
                    self.deliver(socket, caller.as_ref().map(|(place, _)| *place))?;
                    let mut queue = self.queue();
                    match caller {
                        // What else is there is for the next leader: nobody works for others without end.
                        Some((place, _)) if queue.has_all(*place) => return Ok(()),
                        Some(_) => {}
                        // The socket woke the leader, who has not come yet: another is to be woken for the rest.
                        None => queue.leader_was_absent(),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some((place, context)) = caller else { return Ok(()) };
                    if self.queue().expects_nothing() {
                        return Ok(());
                    }
                    match self.stream.poll_read_ready(context) {
                        Poll::Ready(ready) => ready?,
                        Poll::Pending => {
                            self.queue().leads(*place);
                            return Ok(());
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn send(&self, socket: &mut Socket, caller: &mut Option<(usize, &mut Context<'_>)>) -> RedisResult<()> {
        if socket.sent == socket.sending.len() {
            socket.sent = 0;
            socket.sending.clear();
            if socket.sending.capacity() > KEPT {
                socket.sending = Vec::new();
            }
            std::mem::swap(&mut socket.sending, &mut self.queue().out);
        }
        while socket.sent < socket.sending.len() {
            match self.stream.write(&socket.sending[socket.sent..]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(count) => socket.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some((_, context)) = caller else { return Ok(()) };
                    match self.stream.poll_write_ready(context) {
                        Poll::Ready(ready) => ready?,
                        Poll::Pending => return Ok(()),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Hands answers to those who wait for them, in order; what is pushed between them is told before the next.
    fn deliver(&self, socket: &mut Socket, caller: Option<usize>) -> RedisResult<()> {
        let mut queue = None;
        while let Some(value) = socket.answers.next()? {
            if let Value::Push { kind, data } = value {
                queue = None;
                if let Some(changes) = &self.changes {
                    pushed(&**changes, &kind, &data);
                }
                continue;
            }
            let queue = queue.get_or_insert_with(|| self.queue());
            // Who reads has its answer now; woken, it would be run once more for nothing.
            if let Some((place, waker)) = queue.answered(value)
                && caller != Some(place)
            {
                socket.woken.push(waker);
            }
        }
        Ok(())
    }

    /// The connection is lost, and with it all answers that are not there yet.
    fn fail(&self, error: &RedisError) {
        self.over.store(true, Relaxed);
        let woken = self.queue().fail(error);
        if let Some(changes) = &self.changes {
            changes.changed(None);
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

impl ConnectionLike for Lane {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let mut answers = self.ask(cmd.get_packed_command(), 0, 1).await?;
            Ok(answers.pop().unwrap_or(Value::Nil))
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move { self.ask(pipeline.get_packed_pipeline(), offset, count).await }.boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.shared.db
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
impl Shared {
    /// A lane that nobody looks after, and the other end.
    fn pair() -> (Self, tokio::net::UnixStream) {
        let (stream, server) = tokio::net::UnixStream::pair().unwrap();
        (Shared::new(Stream::Unix(stream), None, Duration::from_secs(60), 0), server)
    }
}

fn closed() -> RedisError {
    RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe))
}
