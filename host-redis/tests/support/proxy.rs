//! A connection that can be cut: a small TCP proxy on loopback.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// Forwards to one port until the process ends.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    target: Arc<AtomicU16>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    silent: Arc<AtomicBool>,
    generation: Arc<AtomicU64>,
    milliseconds: Arc<AtomicU64>,
    held: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let target = Arc::new(AtomicU16::new(target));
        let leads_to = target.clone();
        let open = Arc::new(Mutex::new(Vec::new()));
        let kept = open.clone();
        let silent = Arc::new(AtomicBool::new(false));
        let swallow = silent.clone();
        let generation = Arc::new(AtomicU64::new(0));
        let current = generation.clone();
        let milliseconds = Arc::new(AtomicU64::new(0));
        let slow = milliseconds.clone();
        let held = Arc::new(AtomicBool::new(false));
        let hold = held.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // As a server that is not there, it hangs up.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, leads_to.load(SeqCst))) else {
                    continue;
                };
                let ends = [client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone()];
                let [Ok(from), Ok(to), Ok(one), Ok(other)] = ends else { continue };
                kept.lock().expect("no panic").extend([one, other]);
                let (swallow, mine) = (swallow.clone(), current.load(SeqCst));
                let (one, other, slow) = (current.clone(), current.clone(), slow.clone());
                let hold = hold.clone();
                let is_frozen = move |now: &AtomicU64| now.load(SeqCst) != mine;
                thread::spawn(move || {
                    forward(from, server, || {
                        while hold.load(SeqCst) {
                            thread::sleep(Duration::from_millis(2));
                        }
                        is_frozen(&one)
                    })
                });
                thread::spawn(move || {
                    forward(to, client, || {
                        thread::sleep(Duration::from_millis(slow.load(SeqCst)));
                        swallow.load(SeqCst) || is_frozen(&other)
                    })
                });
            }
        });
        Proxy { port, target, open, silent, generation, milliseconds, held }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Leads new connections to this port. Those that there are stay, as with an address that was moved.
    pub(crate) fn lead_to(&self, target: u16) {
        self.target.store(target, SeqCst);
    }

    /// Whether what the server answers gets lost. What it is asked arrives all the same.
    pub(crate) fn swallow_answers(&self, swallow: bool) {
        self.silent.store(swallow, SeqCst);
    }

    /// Whether what the server is asked waits here. What it says by itself arrives all the same.
    pub(crate) fn hold_requests(&self, hold: bool) {
        self.held.store(hold, SeqCst);
    }

    /// Leaves every connection half-open: nothing arrives any more, in either direction, and nobody hears of an end. New
    /// ones are served.
    pub(crate) fn freeze(&self) {
        self.generation.fetch_add(1, SeqCst);
    }

    /// Lets every answer take so long.
    pub(crate) fn slow_answers(&self, milliseconds: u64) {
        self.milliseconds.store(milliseconds, SeqCst);
    }

    /// Cuts every connection, whatever is on its way; how many there were.
    pub(crate) fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.open.lock().expect("no panic"));
        open.iter().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, swallow: impl Fn() -> bool) {
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !swallow() && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
