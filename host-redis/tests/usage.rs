//! What flags, variables, signals and errors of the command are to people who know other commands.

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::{PATIENCE, RedisServer, fail, keyrail_with, shop, succeed, text};

/// keyrail as a child on whose first line one may wait.
struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["KEYRAIL_REDIS", "KEYRAIL_TOKEN", "KEYRAIL_LOG"] {
            command.env_remove(name);
        }
        let mut child = command.envs(env.iter().copied()).spawn().expect("keyrail starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let err = BufReader::new(child.stderr.take().expect("piped"));
        Running { child, out, err }
    }

    /// Reads lines up to one with this in it.
    fn until(reader: &mut impl BufRead, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(reader.read_line(&mut line).expect("a line") > 0, "it ends without `{part}`");
        }
        line
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("sh").args(["-c", "kill -$1 \"$0\"", &pid, name]).status();
        assert!(kill.expect("sh").success());
    }

    /// The exit status, and what else came on standard error.
    fn wait(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("child") {
                break status.code();
            }
            assert!(Instant::now() < deadline, "keyrail hangs");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut rest = String::new();
        self.err.read_to_string(&mut rest).expect("standard error");
        (status, rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const VERBS: [&[&str]; 12] = [
    &["serve"],
    &["route"],
    &["explain"],
    &["lint"],
    &["bind"],
    &["publish"],
    &["consume"],
    &["worker"],
    &["result"],
    &["convert"],
    &["topology", "print"],
    &["topology", "import"],
];

#[test]
fn no_help_shows_what_a_variable_holds() {
    let env = [
        ("KEYRAIL_REDIS", "redis://:hidden@h"),
        ("KEYRAIL_TOKEN", "hidden"),
        ("KEYRAIL_TRANSPORT_OPTIONS", r#"{"sentinel_kwargs": {"password": "hidden"}}"#),
    ];
    for verb in VERBS {
        let output = keyrail_with(&env, Stdio::null(), verb.iter().copied().chain(["--help"]));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(!text(&output.stdout).contains("hidden"), "{verb:?}");
    }
}

#[test]
fn errors_point_to_the_help_of_their_command_and_to_what_was_meant() {
    for (args, expected) in [
        (&["bench", "route"][..], "see `keyrail bench route --help`"),
        (&["topology", "print", "--nope"], "see `keyrail topology print --help`"),
        (&["publsh"], "did you mean `publish`?; see `keyrail --help`"),
        (&["route", "--topolgy", "x"], "did you mean `--topology`?; see `keyrail route --help`"),
        (&["bind", "-x", "e"], "<--queue <NAME>|--to-exchange <NAME>>"),
        (&["consume"], "--fanout <EXCHANGE>"),
        (&["consume", "-q", "q", "--fanout", "f"], "cannot be used with"),
        (&["publish", "--task", ""], "--task"),
        (
            &["route", "--redis", "unix:///x", "--transport-options", " "],
            "there are none; expected a JSON object",
        ),
        (
            &["route", "--redis", "unix:///x", "--transport-options", "[]"],
            "expected a JSON object of Kombu's options",
        ),
        (
            &["route", "--redis", "unix:///x", "--transport-options", r#"{"visibility_timeout": "x"}"#],
            "`visibility_timeout`: found \"x\", expected a number",
        ),
        (&["publish", "-k", "k", "--redis", "unix:///x", "--json-body", ""], "`` is no JSON: it is empty"),
        (
            &["publish", "-k", "k", "--redis", "unix:///x", "-H", "n:=nope"],
            "`nope` is no JSON: expected a JSON value",
        ),
        (
            &["convert", "x", "--dialect", "x"],
            "`x` for `--dialect <DIALECT>` [possible values: kombu57, kombu56, amqp]",
        ),
        (&["bench", "route", "--type", "x"], "`x` for `--type <TYPE>` [possible values: topic,"),
        (
            &["consume", "-q", "q", "-n", "abc"],
            "`abc` for `--count <N>`: expected a whole number in digits alone; see",
        ),
        (
            &["consume", "-q", "q", "--count=-1"],
            "`-1` for `--count <N>`: expected a whole number in digits alone",
        ),
        (&["consume", "-q", "q", "--prefetch", "x"], "`x` for `--prefetch <N>`: expected a whole number"),
        (&["consume", "-q", "q", "-n", "99999999999999999999"], "expected a smaller number"),
        (&["bench", "route", "--runs", "0"], "`0` for `--runs <N>`: expected a whole number above 0; see"),
        (
            &["consume", "-q", "q", "--timeout", "x"],
            "`x` for `--timeout <SECONDS>`: expected a number of seconds",
        ),
        (&["publish", "--task", "t", "--wait", "1", "--dry-run"], "cannot be used with"),
    ] {
        let line = {
            let output = support::keyrail(args);
            assert_eq!(output.status.code(), Some(2), "{args:?}");
            text(&output.stderr)
        };
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    let line = fail(2, ["publish", "--topology", &shop(), "--task", "t", "--wait", "1"]);
    assert!(line.contains("--wait") && line.contains("--redis"), "{line}");
}

#[test]
fn a_url_is_told_what_is_wrong_with_it_alone() {
    let line = fail(2, ["route", "--redis", "http://h", "-k", "q"]);
    for scheme in ["redis://", "rediss://", "unix://", "sentinel://", "redis+cluster://"] {
        assert!(line.contains(scheme), "`{scheme}` is not in: {line}");
    }
    let line = fail(2, ["route", "--redis", "sentinel://127.0.0.1:1", "-k", "q"]);
    assert!(line.ends_with("sentinels need the transport option `master_name`"), "{line}");
}

/// Cut at the wrong place, a part of it stands where host, database or parameter are read.
#[test]
fn no_error_about_a_url_tells_a_part_of_its_password() {
    for url in [
        "redis://user:/s3cret@h/0",
        "redis://user:12/s3cret@h/0",
        "redis://h/0?password=abc&s3cret",
        "redis://u:12?s3cret@h/0",
        "u:s3cret@redis://h",
        "redis://s3cret#x@127.0.0.1:7391",
    ] {
        let line = fail(2, ["publish", "--redis", url, "-k", "q", "-b", "x"]);
        assert!(line.starts_with("the Redis URL cannot be used: ") && !line.contains("s3cret"), "{line}");
    }
}

/// Whatever is logged: the login, and what every library says on the way, TLS, HTTP and the client of Redis among them.
#[test]
fn no_log_tells_the_password() {
    let redis = RedisServer::start();
    redis.command(&["ACL", "SETUSER", "user", "on", ">s3cret/p@ss", "~*", "&*", "+@all"]);
    let url = format!("redis://user:s3cret%2Fp%40ss@127.0.0.1:{}/0", redis.port);
    let wrong = url.replace("s3cret", "wr0ng-s3cret");
    let is_silent = |what: &str, logged: &str| {
        assert!(!logged.contains("s3cret") && !logged.contains("p@ss"), "{what}: {logged}");
    };
    let trace = [("KEYRAIL_LOG", "trace")];
    for (url, status) in [(&url, 0), (&wrong, 1)] {
        for command in [
            &["bind", "-x", "e", "-q", "q", "--type", "topic"][..],
            &["publish", "-k", "q", "-b", "x"],
            &["consume", "-q", "q", "-n", "1"],
            &["doctor"],
        ] {
            let output = keyrail_with(&trace, Stdio::null(), [command, &["--redis", url]].concat());
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert_eq!(output.status.code(), Some(status), "{command:?}: {err}");
            is_silent(command[0], &(out + &err));
        }
    }
    succeed(["publish", "--redis", &url, "--task", "t", "--args", "[1]"]);
    let mut worker =
        Running::start(&["worker", "--redis", &url, "--task", "t=/bin/cat", "-n", "w@h"], &trace);
    let mut logged = String::new();
    while !logged.contains("succeeded") {
        assert!(worker.err.read_line(&mut logged).expect("a line") > 0, "{logged}");
    }
    worker.signal("TERM");
    let (status, rest) = worker.wait();
    assert_eq!(status, Some(0), "{logged}{rest}");
    assert!(logged.contains("keyrail: debug: task `t` starts"), "{logged}");
    is_silent("worker", &(logged + &rest));
}

#[test]
fn a_socket_and_valkeys_name_are_as_good_as_an_address() {
    let folder = support::Folder::new();
    let socket = folder.path("r.sock");
    let redis = RedisServer::start_on(support::free_port(), &["--unixsocket", &socket]);
    let valkey = redis.url().replace("redis://", "valkey://");
    let message = ["-q", "q", "-n", "1", "--timeout", "60"];
    for (to, from) in
        [(format!("unix://{socket}"), &valkey), (valkey.clone(), &format!("redis+socket://{socket}"))]
    {
        succeed(["publish", "--redis", &to, "-k", "q", "-b", &to]);
        let out = keyrail_with(&[], Stdio::null(), [&["consume", "--redis", from][..], &message].concat());
        assert!(text(&out.stdout).contains(&to), "{out:?}");
    }
    let database = format!("redis+socket://{socket}?virtual_host=3");
    succeed(["publish", "--redis", &database, "-k", "q", "-b", "x"]);
    assert_eq!(redis.command(&["INFO", "keyspace"]).matches("db3:keys=1").count(), 1);
    // Two slashes make the folder a host, and another path would be left.
    let two = fail(2, ["publish", "--redis", &format!("unix:/{socket}"), "-k", "q", "-b", "x"]);
    assert!(two.contains("unix:///path"), "{two}");
}

#[test]
fn a_user_who_may_not_ping_is_no_wrong_login() {
    let redis = RedisServer::start();
    redis.command(&["ACL", "SETUSER", "reader", "on", ">right", "~*", "+@read"]);
    let url = |password: &str| format!("redis://reader:{password}@127.0.0.1:{}/0", redis.port);
    // All that it needs it may.
    assert!(succeed(["route", "--redis", &url("right"), "-k", "q"]).starts_with("q\n"));
    let line = fail(1, ["publish", "--redis", &url("right"), "-k", "q", "-b", "x"]);
    // Redis 6.2 adds its subcommand, which this one has none of; Valkey 8.1 names the user.
    let line = line.to_lowercase();
    let refused = ["this user", "user reader"]
        .map(|who| format!("redis answers: noperm {who} has no permissions to run the 'lpush' command"));
    let said = line.strip_suffix(" or its subcommand").unwrap_or(&line);
    assert!(refused.iter().any(|refused| refused == said), "{line}");
    let line = fail(1, ["route", "--redis", &url("wrong"), "-k", "q"]);
    assert!(line.contains("it does not know this user and password; give"), "{line}");
}

#[test]
fn a_servers_words_are_its_own() {
    let redis = RedisServer::start();
    let url = redis.url();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = "Redis answers: OOM command not allowed when used memory > 'maxmemory'";
    assert_eq!(fail(1, ["publish", "--redis", &url, "-k", "q", "-b", "x"]), full);
    assert_eq!(fail(1, ["bind", "--redis", &url, "-x", "e", "--type", "topic", "-q", "q"]), full);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let line = fail(1, ["publish", "--redis", &url, "-k", "q", "-b", "x"]);
    assert!(
        line.ends_with("does not serve now: READONLY You can't write against a read only replica"),
        "{line}"
    );
}

#[test]
fn a_key_of_another_type_is_named_with_what_it_is() {
    let redis = RedisServer::start();
    redis.command(&["SET", "q", "a string"]);
    redis.command(&["SADD", "s", "a member"]);
    for (key, found) in [("q", "string"), ("s", "set")] {
        let line = fail(1, ["publish", "--redis", &redis.url(), "-k", key, "-b", "x"]);
        assert_eq!(
            line,
            format!("`{key}` holds another type than LPUSH needs: it is a {found}, expected a list")
        );
    }
}

/// Warnings begin as errors do, and control characters of a row do not reach the terminal.
#[test]
fn what_is_logged_begins_with_the_programs_name() {
    let redis = RedisServer::start();
    succeed(["bind", "--redis", &redis.url(), "-x", "e", "--type", "topic", "-q", "q", "-k", "k"]);
    redis.command(&["SADD", "_kombu.binding.e", "no \u{1b}[31mrow"]);
    let output = support::keyrail(["route", "--redis", &redis.url(), "-x", "e", "-k", "k"]);
    let err = text(&output.stderr);
    assert!(err.starts_with("keyrail: warning: row `no "), "{err:?}");
    assert!(!err.contains('\u{1b}'), "{err:?}");
}

#[test]
fn a_body_that_is_not_decoded_says_why() {
    let redis = RedisServer::start();
    let url = redis.url();
    let payload = r#"{"body": "hello", "headers": {"compression": "rot13"}, "content-type": "text/plain",
        "properties": {"delivery_tag": "t"}}"#;
    for (json, out) in [(&[][..], "hello\n"), (&["--json"], r#""undecoded":{"code":"unknown-compression","#)]
    {
        redis.command(&["LPUSH", "q", payload]);
        let args = ["consume", "--redis", &url, "-q", "q", "-n", "1"];
        let output = support::keyrail([&args, json].concat());
        assert!(text(&output.stdout).contains(out), "{output:?}");
        let warning = "keyrail: warning: a body out of `q` is shown as it was sent: there is no compression `rot13` here";
        assert!(text(&output.stderr).starts_with(warning), "{output:?}");
    }
}

/// Kombu's options that mean nothing here are named; one that peers of another time need is refused.
#[test]
fn transport_options_without_effect_are_named() {
    let redis = RedisServer::start();
    let route = |options: &str| {
        keyrail_with(
            &[],
            Stdio::null(),
            ["route", "-k", "q", "--redis", &redis.url(), "--transport-options", options],
        )
    };
    let output = route(r#"{"body_encoding": "base64", "reauth_check_interval": 10, "max_connections": 5}"#);
    let err = text(&output.stderr);
    for name in ["body_encoding", "reauth_check_interval"] {
        assert!(err.contains(&format!("warning: transport option `{name}` has no effect here")), "{err}");
    }
    assert!(!err.contains("max_connections") && output.status.success(), "{err}");
    let output = route(r#"{"sentinel_fanout_compat": true}"#);
    let err = text(&output.stderr);
    assert!(!output.status.success() && err.contains("`sentinel_fanout_compat`: it wants"), "{err}");
}

#[test]
fn a_hangup_does_not_end_a_server_that_has_no_file() {
    let redis = RedisServer::start();
    let url = redis.url();
    for args in [&["--redis", &url][..], &[]] {
        let args = [&["serve", "--listen", "127.0.0.1:0"], args].concat();
        let mut server = Running::start(&args, &[("KEYRAIL_LOG", "keyrail=info")]);
        Running::until(&mut server.out, "Ctrl-C ends it");
        server.signal("HUP");
        let line = Running::until(&mut server.err, "no file to read again");
        assert!(line.starts_with("keyrail: info: "), "{line}");
        server.signal("TERM");
        assert_eq!(server.wait().0, Some(0), "{args:?}");
    }
}

#[test]
fn an_interrupt_before_the_count_is_a_failure() {
    let redis = RedisServer::start();
    let url = redis.url();
    for (count, status, said) in
        [(&["-n", "3"][..], 1, "keyrail: interrupted before 3 messages came\n"), (&[], 0, "")]
    {
        let args = [&["consume", "--redis", &url, "-q", "q"], count].concat();
        // A terminal that is closed, too.
        for signal in ["INT", "TERM", "HUP"] {
            succeed(["publish", "--redis", &url, "-k", "q", "-b", "x"]);
            let mut consumer = Running::start(&args, &[]);
            Running::until(&mut consumer.out, "x");
            consumer.signal(signal);
            assert_eq!(consumer.wait(), (Some(status), said.to_owned()), "{args:?} {signal}");
        }
    }
}

/// What came off a channel was in no queue.
#[test]
fn a_listener_tells_the_channel() {
    let redis = RedisServer::start();
    let url = redis.url();
    for (more, expected) in
        [(&["--json"][..], "{\"channel\":\"/0.news/a.b\",\"exchange\":\"news\","), (&[], "/0.news/a.b a.b f")]
    {
        let args = ["consume", "--redis", &url, "--fanout", "news", "-k", "a.#", "--count", "1"];
        let mut listener = Running::start(&[&args[..], more].concat(), &[]);
        Running::until(&mut listener.err, "listening to");
        let args = ["publish", "--redis", &url, "-x", "news", "--type", "fanout", "-k", "a.b", "-b", "f"];
        assert_eq!(succeed(args), "1 receiver\n");
        let mut line = String::new();
        listener.out.read_line(&mut line).expect("a line");
        assert!(line.starts_with(expected), "{line}");
        assert!(!line.contains("\"queue\""), "{line}");
        assert_eq!(listener.wait().0, Some(0));
    }
}

/// What it prints is read by nobody, who keeps it from printing and not from ending.
#[test]
fn a_listener_that_cannot_print_can_be_stopped() {
    let redis = RedisServer::start();
    let url = redis.url();
    let args = ["consume", "--redis", &url, "--fanout", "news"];
    let mut listener = Running::start(&args, &[]);
    Running::until(&mut listener.err, "listening to");
    let body = "x".repeat(100_000);
    for _ in 0..3 {
        assert_eq!(redis.command(&["PUBLISH", "/0.news", &body]), ":1\r\n");
    }
    std::thread::sleep(Duration::from_millis(300));
    listener.signal("TERM");
    let (status, said) = listener.wait();
    assert!(status == Some(0) && said.contains("a body out of `/0.news` is shown as it was sent"), "{said}");
}

/// Its warnings are read by nobody: a pager that nobody turns. It goes on, and what it holds goes back at a signal.
#[test]
fn a_consumer_that_cannot_warn_goes_on() {
    let redis = RedisServer::start();
    let url = redis.url();
    let (_reader, full) = support::full_pipe();
    for _ in 0..2 {
        succeed(["publish", "--redis", &url, "-k", "q", "-b", "x", "--content-type", "a/b"]);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    command.args(["consume", "--redis", &url, "-q", "q", "-n", "2", "--timeout", "60"]);
    let mut child = command.stdout(Stdio::piped()).stderr(full).spawn().expect("keyrail starts");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it ended");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "q q x\n".repeat(2)));
}
