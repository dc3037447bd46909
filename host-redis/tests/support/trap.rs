//! A connection that is cut around a message: before the server has it, or after and before the answer.

use std::{
    future::Future,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    thread,
};

use keyrail_redis::{Connection, Message};

/// Passes bytes on, and once, when it is told to, loses some around a message and hangs up.
pub(crate) struct Trap {
    pub(crate) port: u16,
    set: Arc<AtomicU8>,
}

const OPEN: u8 = 0;
/// The command with the message is lost.
pub(crate) const REQUEST: u8 = 1;
/// What comes after the command with the message is lost: it was executed.
pub(crate) const ANSWER: u8 = 2;
/// The command with the message has passed.
const PASSED: u8 = 3;

/// A header that every message has that a trap may go off at.
const MARK: &str = "x-trap";

/// Such a message.
pub(crate) fn marked(body: &str) -> Message {
    Message::text(body).header(MARK, "x")
}

impl Trap {
    pub(crate) fn before(target: u16) -> Self {
        Trap::at(target, Arc::new(AtomicU8::new(OPEN)))
    }

    /// One more, before another server: whichever passes a message first goes off for all.
    pub(crate) fn and_before(&self, target: u16) -> Self {
        Trap::at(target, self.set.clone())
    }

    fn at(target: u16, set: Arc<AtomicU8>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = set.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
                let [from_client, from_server] =
                    [client.try_clone(), server.try_clone()].map(|end| end.expect("a socket"));
                let set = shared.clone();
                // Of this connection, since other servers answer meanwhile.
                let passed = Arc::new(AtomicU8::new(OPEN));
                let back = passed.clone();
                let lost = shared.clone();
                thread::spawn(move || {
                    pass(from_client, server, |bytes| {
                        let message = bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes());
                        if message && set.compare_exchange(ANSWER, PASSED, SeqCst, SeqCst).is_ok() {
                            passed.store(PASSED, SeqCst);
                            return true;
                        }
                        !message || set.compare_exchange(REQUEST, OPEN, SeqCst, SeqCst).is_err()
                    });
                });
                let passes = move |_: &[u8]| {
                    let lose = back.load(SeqCst) == PASSED;
                    if lose {
                        lost.store(OPEN, SeqCst);
                    }
                    !lose
                };
                thread::spawn(move || pass(from_server, client, passes));
            }
        });
        Trap { port, set }
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::new(&format!("redis://127.0.0.1:{}/0", self.port)).expect("a URL")
    }

    /// Sets it; it must have gone off when the publish is over.
    pub(crate) async fn around<T>(&self, loses: u8, publish: impl Future<Output = T>) -> T {
        self.set.store(loses, SeqCst);
        let answer = publish.await;
        assert_eq!(self.set.load(SeqCst), OPEN, "nothing was lost");
        answer
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
