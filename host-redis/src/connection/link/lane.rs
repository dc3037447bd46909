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
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use ::redis::{
    Cmd, ConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike,
    io::tcp::socket2::TcpKeepalive,
};
use futures_util::FutureExt;
use tokio::{task::JoinHandle, time::timeout};

mod answers;
mod stream;

use super::{Changes, dial::pushed};
use answers::Answers;
use stream::Stream;

/// From so many bytes on, what waits to be sent is worth a system call at once.
const WORTH_SENDING: usize = 16 << 10;
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

#[derive(Default)]
struct Queue {
    /// Commands that nobody has begun to send.
    out: Vec<u8>,
    /// Whose answers come next.
    expected: VecDeque<usize>,
    requests: Vec<Request>,
    free: Vec<usize>,
    /// Whom the socket wakes.
    leader: Option<usize>,
    /// Who lets others add to what is to be sent before sending it.
    gathering: Option<usize>,
    failed: Option<RedisError>,
}

#[derive(Default)]
struct Request {
    /// Answers that nobody asked for.
    skip: usize,
    lacks: usize,
    values: Vec<Value>,
    error: Option<RedisError>,
    waker: Option<Waker>,
    /// Nobody waits for it any more.
    left: bool,
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
        let shared = Arc::new(Shared {
            stream,
            socket: Mutex::default(),
            queue: Mutex::default(),
            over: AtomicBool::new(false),
            changes,
            limit,
            db: info.redis_settings().db(),
        });
        let listening = tokio::spawn(listen(Arc::downgrade(&shared)));
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
    pub(super) async fn ask(&self, packed: &[u8], skip: usize, count: usize) -> RedisResult<Vec<Value>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let asking = Asking { lane: &self.0.shared, packed, skip, count, place: None };
        match timeout(self.0.shared.limit, asking).await {
            Ok(answers) => answers,
            Err(_) => Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
}

/// Hears what the server says while nobody asks anything, and looks after callers whose leader is not polled.
async fn listen(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_idle() && !shared.over.load(Relaxed) {
            // The task ends with the lane, which holds it.
            let _ = shared.stream.readable().await;
        }
        shared.work(None);
        if shared.over.load(Relaxed) {
            return;
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        let queue = self.queue();
        queue.expected.is_empty() && queue.out.is_empty()
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
            if !full && !queue.out.is_empty() && queue.gathering.is_none() {
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
                    self.deliver(socket)?;
                    let mut queue = self.queue();
                    match caller {
                        // What else is there is for the next leader: nobody works for others without end.
                        Some((place, _)) if queue.requests[*place].lacks == 0 => return Ok(()),
                        Some(_) => {}
                        // The socket woke the leader, who has not come yet: another is to be woken for the rest.
                        None => queue.leader = None,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Some((place, context)) = caller else { return Ok(()) };
                    if self.queue().expected.is_empty() {
                        return Ok(());
                    }
                    match self.stream.poll_read_ready(context) {
                        Poll::Ready(ready) => ready?,
                        Poll::Pending => {
                            self.queue().leader = Some(*place);
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
    fn deliver(&self, socket: &mut Socket) -> RedisResult<()> {
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
            queue.answered(value, &mut socket.woken);
        }
        Ok(())
    }

    /// The connection is lost, and with it all answers that are not there yet.
    fn fail(&self, error: &RedisError) {
        self.over.store(true, Relaxed);
        let mut woken = Vec::new();
        let mut queue = self.queue();
        queue.failed.get_or_insert_with(|| error.clone());
        queue.out = Vec::new();
        while let Some(place) = queue.expected.pop_front() {
            queue.requests[place].error = Some(error.clone());
            woken.extend(queue.ended(place));
        }
        drop(queue);
        if let Some(changes) = &self.changes {
            changes.changed(None);
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Queue {
    /// Takes a request in.
    fn add(&mut self, packed: &[u8], skip: usize, count: usize, waker: Waker) -> usize {
        self.out.extend_from_slice(packed);
        let request = Request {
            skip,
            lacks: count,
            values: Vec::with_capacity(count),
            waker: Some(waker),
            ..Request::default()
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.requests[place] = request;
                place
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.expected.push_back(place);
        place
    }

    fn answered(&mut self, value: Value, woken: &mut Vec<Waker>) {
        // An answer to nothing belongs to nobody.
        let Some(place) = self.expected.front().copied() else { return };
        let request = &mut self.requests[place];
        if request.skip > 0 {
            request.skip -= 1;
            // What is refused while a transaction is put together keeps it from being executed.
            if let Value::ServerError(error) = value {
                request.error.get_or_insert_with(|| error.into());
            }
            return;
        }
        request.lacks -= 1;
        if !request.left {
            request.values.push(value);
        }
        if request.lacks == 0 {
            self.expected.pop_front();
            woken.extend(self.ended(place));
        }
    }

    /// Nothing more is expected for it.
    fn ended(&mut self, place: usize) -> Option<Waker> {
        let request = &mut self.requests[place];
        request.lacks = 0;
        if request.left {
            self.free.push(place);
        }
        request.waker.take()
    }

    /// The answers, if all of them are there.
    fn collect(&mut self, place: usize) -> Option<RedisResult<Vec<Value>>> {
        let request = &mut self.requests[place];
        if request.lacks > 0 {
            return None;
        }
        let request = std::mem::take(request);
        self.free.push(place);
        Some(request.error.map_or(Ok(request.values), Err))
    }

    /// Somebody stops waiting: who is to lead in his place.
    fn leaves(&mut self, place: usize) -> Option<Waker> {
        if self.leader == Some(place) {
            self.leader = None;
        }
        self.next_leader()
    }

    fn next_leader(&self) -> Option<Waker> {
        if self.leader.is_some() {
            return None;
        }
        self.expected.iter().find_map(|place| self.requests[*place].waker.clone())
    }
}

/// Commands on their way.
struct Asking<'l> {
    lane: &'l Shared,
    packed: &'l [u8],
    skip: usize,
    count: usize,
    /// The place of the request once it is taken in.
    place: Option<usize>,
}

impl Future for Asking<'_> {
    type Output = RedisResult<Vec<Value>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let lane = self.lane;
        let mut queue = lane.queue();
        let place = match self.place {
            None => {
                if let Some(error) = &queue.failed {
                    // Nothing was sent.
                    return Poll::Ready(Err(error.clone()));
                }
                let under_way = !queue.expected.is_empty();
                let place = queue.add(self.packed, self.skip, self.count, context.waker().clone());
                self.place = Some(place);
                // Those who wait already will add to what is to be sent, as soon as their answers are there.
                if under_way && queue.out.len() < WORTH_SENDING {
                    let first = queue.gathering.is_none();
                    queue.gathering = queue.gathering.or(Some(place));
                    drop(queue);
                    if first {
                        // Polled again behind those who can run now.
                        context.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                place
            }
            Some(place) => {
                if queue.gathering == Some(place) {
                    queue.gathering = None;
                }
                if let Some(answers) = self.collect(&mut queue) {
                    let next = queue.leaves(place);
                    drop(queue);
                    wake(next);
                    return Poll::Ready(answers);
                }
                match &mut queue.requests[place].waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                place
            }
        };
        drop(queue);
        lane.work(Some((place, context)));
        let mut queue = lane.queue();
        let Some(answers) = self.collect(&mut queue) else { return Poll::Pending };
        let next = queue.leaves(place);
        drop(queue);
        wake(next);
        Poll::Ready(answers)
    }
}

impl Asking<'_> {
    fn collect(&mut self, queue: &mut Queue) -> Option<RedisResult<Vec<Value>>> {
        let answers = queue.collect(self.place?)?;
        self.place = None;
        Some(answers)
    }
}

/// Nobody waits for the answers any more. What was taken in is sent all the same, whole: others may follow it already.
impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut queue = self.lane.queue();
        let gathering = queue.gathering == Some(place);
        if gathering {
            queue.gathering = None;
        }
        let request = &mut queue.requests[place];
        request.waker = None;
        request.values = Vec::new();
        if request.lacks == 0 {
            queue.free.push(place);
        } else {
            request.left = true;
        }
        let next = queue.leaves(place);
        drop(queue);
        if gathering {
            self.lane.work(None);
        }
        wake(next);
    }
}

impl ConnectionLike for Lane {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let mut answers = self.ask(&cmd.get_packed_command(), 0, 1).await?;
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
        async move { self.ask(&pipeline.get_packed_pipeline(), offset, count).await }.boxed()
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

fn closed() -> RedisError {
    RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::atomic::AtomicUsize, task::Wake};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;

    /// A lane without anybody who looks after it, and the other end.
    fn lane() -> (Shared, UnixStream) {
        let (stream, server) = UnixStream::pair().unwrap();
        let shared = Shared {
            stream: Stream::Unix(stream),
            socket: Mutex::default(),
            queue: Mutex::default(),
            over: AtomicBool::new(false),
            changes: None,
            limit: Duration::from_secs(60),
            db: 0,
        };
        (shared, server)
    }

    fn ask(lane: &Shared) -> Asking<'_> {
        Asking { lane, packed: b"*1\r\n$4\r\nPING\r\n", skip: 0, count: 1, place: None }
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Relaxed)
        }
    }

    /// What the server says is there, as far as the runtime knows.
    async fn say(lane: &Shared, server: &mut UnixStream, bytes: &[u8]) {
        server.write_all(bytes).await.unwrap();
        lane.stream.readable().await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_at_the_socket_ends_the_lane() {
        let (lane, _server) = lane();
        let mut asking = pin!(ask(&lane));
        let woken = Arc::new(Woken::default());
        assert!(asking.as_mut().poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _socket = lane.socket.lock();
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
        });
        lane.work(None);
        assert!(lane.over.load(Relaxed) && woken.times() == 1);
        let failed = timeout(Duration::from_secs(20), asking).await.expect("no standstill");
        assert!(failed.unwrap_err().is_io_error());
        assert!(ask(&lane).await.is_err());
    }

    /// He may be busy with something else: who still waits for an answer leads in his place, and is woken for it once.
    #[tokio::test]
    async fn a_leader_who_does_not_come_is_replaced_by_whoever_does_his_work() {
        let (lane, mut server) = lane();
        let (one, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let (mut first, mut second) = (pin!(ask(&lane)), pin!(ask(&lane)));
        let (to_one, to_other) = (one.clone().into(), other.clone().into());
        let (to_one, to_other) = (&mut Context::from_waker(&to_one), &mut Context::from_waker(&to_other));
        // The second gathers first, so both look at the socket, and the first looks last.
        assert!(first.as_mut().poll(to_one).is_pending());
        assert!(second.as_mut().poll(to_other).is_pending());
        assert!(second.as_mut().poll(to_other).is_pending());
        assert!(first.as_mut().poll(to_one).is_pending());
        server.read_exact(&mut [0; 28]).await.unwrap();
        let before = other.times();
        say(&lane, &mut server, b"+PONG\r\n").await;
        lane.work(None);
        assert_eq!(other.times(), before + 1, "woken to lead");
        assert!(second.as_mut().poll(to_other).is_pending());
        lane.work(None);
        assert_eq!(other.times(), before + 1, "not again while nothing comes");
        say(&lane, &mut server, b"+PONG\r\n").await;
        assert!(other.times() > before + 1, "the socket wakes it");
        assert!(second.as_mut().poll(to_other).is_ready());
        assert!(first.as_mut().poll(to_one).is_ready());
    }

    /// Whoever has his answer goes, and the next one reads what else there is.
    #[tokio::test]
    async fn nobody_works_for_others_when_he_has_his_answer() {
        let (lane, mut server) = lane();
        let (one, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let (mut first, mut second) = (pin!(ask(&lane)), pin!(ask(&lane)));
        let (to_one, to_other) = (one.clone().into(), other.clone().into());
        let (to_one, to_other) = (&mut Context::from_waker(&to_one), &mut Context::from_waker(&to_other));
        assert!(first.as_mut().poll(to_one).is_pending());
        assert!(second.as_mut().poll(to_other).is_pending());
        assert!(second.as_mut().poll(to_other).is_pending());
        assert!(first.as_mut().poll(to_one).is_pending());
        server.read_exact(&mut [0; 28]).await.unwrap();
        // More than one read takes in.
        let room = lane.socket.lock().unwrap().answers.room().capacity();
        let large = [format!("+PONG\r\n${}\r\n", 4 * room).into_bytes(), vec![b'x'; 4 * room]].concat();
        say(&lane, &mut server, &large).await;
        let before = other.times();
        assert!(first.as_mut().poll(to_one).is_ready());
        assert!(lane.stream.may_be_read(), "it is left to the next");
        assert_eq!(other.times(), before + 1, "who is woken for it");
        server.write_all(b"\r\n").await.unwrap();
        let answers = timeout(Duration::from_secs(20), second).await.expect("no standstill").unwrap();
        assert!(matches!(&answers[..], [Value::BulkString(bytes)] if bytes.len() == 4 * room));
    }
}
