//! Each request that the bench makes is answered: what it measures is measured rarely, and what it is made of changes.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Stopped with the test, however that ends.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let mut command = Command::new(&program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        let child = command.stdout(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!("cannot start `{program}`: {error}; install redis-server or set REDIS_SERVER")
        });
        let server = Server { child, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "`{program}` does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_request_is_answered() {
    let server = Server::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail-side"));
    command.arg(format!("redis://127.0.0.1:{}/0", server.port));
    let mut side = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the side");
    let mut requests = side.stdin.take().expect("its input");
    let mut answers = BufReader::new(side.stdout.take().expect("its output")).lines();
    for (request, figures) in [
        ("bind e 10", &[][..]),
        ("publish e 10 20 text", &["per_second"]),
        ("tasks e 10 100 text", &["per_second"]),
        ("batches e 10 130 64 text", &["per_second"]),
        ("latency e 10 20 text", &["keyrail_us", "bare_us"]),
        ("fill ours 200 text", &[]),
        ("consume ours 200", &["per_second"]),
        ("fill bare 200 text", &[]),
        ("consume-bare bare 200", &["per_second"]),
    ] {
        writeln!(requests, "{request}").expect("asked");
        let answer = answers.next().unwrap_or_else(|| panic!("no answer to `{request}`")).expect("text");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer.as_object().expect("figures").len(), figures.len(), "{request}: {answer}");
        for figure in figures {
            assert!(answer[figure].as_f64().is_some_and(|figure| figure > 0.0), "{request}: {answer}");
        }
    }
    drop(requests);
    assert!(side.wait().expect("its end").success());
}
