//! A connection that can be cut: a small TCP proxy on loopback.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// Forwards to one port until the process ends.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    silent: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let kept = open.clone();
        let silent = Arc::new(AtomicBool::new(false));
        let swallow = silent.clone();
        let held = Arc::new(AtomicBool::new(false));
        let hold = held.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // As a server that is not there, it hangs up.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
                let ends = [client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone()];
                let [Ok(from), Ok(to), Ok(one), Ok(other)] = ends else { continue };
                kept.lock().expect("no panic").extend([one, other]);
                let (swallow, hold) = (swallow.clone(), hold.clone());
                thread::spawn(move || forward(from, server, &AtomicBool::new(false), &hold));
                thread::spawn(move || forward(to, client, &swallow, &AtomicBool::new(false)));
            }
        });
        Proxy { port, open, silent, held }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Whether what the server answers gets lost. What it is asked arrives all the same.
    pub(crate) fn swallow_answers(&self, swallow: bool) {
        self.silent.store(swallow, SeqCst);
    }

    /// Whether what the server is asked waits here. What it says by itself arrives all the same.
    pub(crate) fn hold_requests(&self, hold: bool) {
        self.held.store(hold, SeqCst);
    }

    /// Cuts every connection, whatever is on its way; how many there were.
    pub(crate) fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.open.lock().expect("no panic"));
        open.iter().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, swallow: &AtomicBool, hold: &AtomicBool) {
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while hold.load(SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
        if !swallow.load(SeqCst) && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
