//! A caller of a lane: waits for its answers, and meanwhile works for all.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use ::redis::{RedisResult, Value};
use tokio::task::yield_now;

use super::{
    Shared,
    queue::{Next, Queue},
    wake,
};

/// Commands on their way.
pub(super) struct Asking<'l> {
    lane: &'l Shared,
    packed: Vec<u8>,
    skip: usize,
    count: usize,
    /// The place of the request once it is taken in.
    place: Option<usize>,
}

impl<'l> Asking<'l> {
    /// Packed commands, after so many answers that nobody asked for so many.
    pub(super) fn new(lane: &'l Shared, packed: Vec<u8>, skip: usize, count: usize) -> Self {
        Asking { lane, packed, skip, count, place: None }
    }

    fn collect(&mut self, queue: &mut Queue) -> Option<RedisResult<Vec<Value>>> {
        let answers = queue.collect(self.place?)?;
        self.place = None;
        Some(answers)
    }
}

impl Future for Asking<'_> {
    type Output = RedisResult<Vec<Value>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let lane = self.lane;
        let mut queue = lane.queue();
        let place = match self.place {
            None => {
                let Asking { packed, skip, count, .. } = &mut *self;
                let (place, next) = queue.add(packed, *skip, *count, context.waker())?;
                self.place = Some(place);
                match next {
                    Next::Work => place,
                    Next::Wait => return Poll::Pending,
                    Next::Gather => {
                        drop(queue);
                        // Not a wake: that would call another thread of the runtime to the task.
                        let _ = pin!(yield_now()).poll(context);
                        return Poll::Pending;
                    }
                }
            }
            Some(place) => {
                queue.has_gathered(place);
                if let Some(answers) = self.collect(&mut queue) {
                    let next = queue.leaves(place);
                    drop(queue);
                    wake(next);
                    return Poll::Ready(answers);
                }
                queue.waits(place, context.waker());
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

/// Nobody waits for the answers any more. What was taken in is sent all the same, whole: others may follow it already.
impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut queue = self.lane.queue();
        let gathered = queue.has_gathered(place);
        queue.abandon(place);
        let next = queue.leaves(place);
        drop(queue);
        if gathered {
            self.lane.work(None);
        }
        wake(next);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        task::Wake,
        time::Duration,
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
        time::timeout,
    };

    use super::*;

    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
    const PONG: &[u8] = b"+PONG\r\n";

    /// Asks, and counts how often it is woken.
    struct Caller<'l> {
        asking: Pin<Box<Asking<'l>>>,
        woken: Arc<Woken>,
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    impl<'l> Caller<'l> {
        fn of(lane: &'l Shared) -> Self {
            Caller { asking: Box::pin(Asking::new(lane, PING.into(), 0, 1)), woken: Arc::default() }
        }

        fn poll(&mut self) -> Poll<RedisResult<Vec<Value>>> {
            self.asking.as_mut().poll(&mut Context::from_waker(&self.woken.clone().into()))
        }

        fn times_woken(&self) -> usize {
            self.woken.0.load(Relaxed)
        }

        async fn answers(self) -> RedisResult<Vec<Value>> {
            timeout(Duration::from_secs(20), self.asking).await.expect("no standstill")
        }
    }

    /// What the server says is there, as far as the runtime knows.
    async fn say(lane: &Shared, server: &mut UnixStream, bytes: &[u8]) {
        server.write_all(bytes).await.unwrap();
        lane.stream.readable().await.unwrap();
    }

    /// Callers whose commands have reached the server; the socket wakes the first of them.
    async fn asked<'l, const COUNT: usize>(lane: &'l Shared, server: &mut UnixStream) -> [Caller<'l>; COUNT] {
        let mut callers = [(); COUNT].map(|()| Caller::of(lane));
        for caller in &mut callers {
            assert!(caller.poll().is_pending());
        }
        // The second gathers what the others ask, and the first looks at the socket last.
        for caller in callers.iter_mut().rev() {
            assert!(caller.poll().is_pending());
        }
        server.read_exact(&mut vec![0; COUNT * PING.len()]).await.unwrap();
        // Whoever gathered is woken now and not while somebody counts.
        yield_now().await;
        callers
    }

    #[tokio::test]
    async fn a_panic_at_the_socket_ends_the_lane() {
        let (lane, _server) = Shared::pair();
        let mut caller = Caller::of(&lane);
        assert!(caller.poll().is_pending());
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _socket = lane.socket.lock();
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
        });
        lane.work(None);
        assert!(lane.over.load(Relaxed) && caller.times_woken() == 1);
        assert!(caller.answers().await.unwrap_err().is_io_error());
        assert!(Caller::of(&lane).answers().await.is_err());
    }

    /// A task that is woken while it runs is run once more, and for that the runtime wakes another thread.
    #[tokio::test]
    async fn who_reads_its_own_answer_is_not_woken_for_it() {
        let (lane, mut server) = Shared::pair();
        let [mut first, mut second] = asked(&lane, &mut server).await;
        say(&lane, &mut server, &PONG.repeat(2)).await;
        let (before, of_other) = (first.times_woken(), second.times_woken());
        assert!(first.poll().is_ready());
        assert_eq!(first.times_woken(), before);
        assert_eq!(second.times_woken(), of_other + 1, "its answer was read for it");
        assert!(second.poll().is_ready());
    }

    /// He may be busy with something else: who still waits for an answer leads in his place, and is woken for it once.
    #[tokio::test]
    async fn a_leader_who_does_not_come_is_replaced_by_whoever_does_his_work() {
        let (lane, mut server) = Shared::pair();
        let [mut first, mut second] = asked(&lane, &mut server).await;
        let before = second.times_woken();
        say(&lane, &mut server, PONG).await;
        lane.work(None);
        assert_eq!(second.times_woken(), before + 1, "woken to lead");
        assert!(second.poll().is_pending());
        lane.work(None);
        assert_eq!(second.times_woken(), before + 1, "not again while nothing comes");
        say(&lane, &mut server, PONG).await;
        assert!(second.times_woken() > before + 1, "the socket wakes it");
        assert!(second.poll().is_ready());
        assert!(first.poll().is_ready());
    }

    /// Not even if the next answers are his own: whoever is there leads before him.
    #[tokio::test]
    async fn a_leader_who_does_not_come_is_not_asked_again() {
        let (lane, mut server) = Shared::pair();
        let [mut first, mut second, mut third] = asked(&lane, &mut server).await;
        // An answer in two pieces, so that the first one still expects it.
        say(&lane, &mut server, &PONG[..3]).await;
        let (before, of_other) = (first.times_woken(), second.times_woken());
        lane.work(None);
        assert_eq!(first.times_woken(), before);
        assert_eq!(second.times_woken(), of_other + 1, "woken to lead");
        assert!(second.poll().is_pending());
        say(&lane, &mut server, &[&PONG[3..], PONG, PONG].concat()).await;
        assert!(second.poll().is_ready(), "without the first");
        assert!(first.poll().is_ready() && third.poll().is_ready());
    }

    /// Whoever has his answer goes, and the next one reads what else there is.
    #[tokio::test]
    async fn nobody_works_for_others_when_he_has_his_answer() {
        let (lane, mut server) = Shared::pair();
        let [mut first, second] = asked(&lane, &mut server).await;
        // More than one read takes in.
        let room = lane.socket.lock().unwrap().answers.room().capacity();
        let large = [format!("+PONG\r\n${}\r\n", 4 * room).into_bytes(), vec![b'x'; 4 * room]].concat();
        say(&lane, &mut server, &large).await;
        let before = second.times_woken();
        assert!(first.poll().is_ready());
        assert!(lane.stream.may_be_read(), "it is left to the next");
        assert_eq!(second.times_woken(), before + 1, "who is woken for it");
        server.write_all(b"\r\n").await.unwrap();
        let answers = second.answers().await.unwrap();
        assert!(matches!(&answers[..], [Value::BulkString(bytes)] if bytes.len() == 4 * room));
    }
}
