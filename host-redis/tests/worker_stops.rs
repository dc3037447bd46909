//! How `keyrail worker` ends: by signals, at once or in order, and beside a Redis that hangs. No task is lost by it.

mod support;

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use support::{
    succeed,
    worker::{Site, Worker, lives, until},
};

/// Ctrl-C goes to the whole group of the terminal.
#[test]
fn an_interrupt_is_not_for_the_programs() {
    let site = Site::new();
    let slow = site.script("slow", "echo $$ > $0.pid; sleep 1; echo slept");
    let mut worker = site.worker(&["--task", &format!("slow={slow}")]);
    site.publish("slow", "s");
    site.written_pid("slow.pid");
    kill_process_group(worker.pid(), Signal::INT).expect("it runs");
    worker.ends_well();
    site.assert_succeeds("s", "slept");
    site.all_is_acked();
}

/// By systemd without `KillMode=mixed`, for instance.
#[test]
fn a_task_that_is_killed_together_with_its_worker_goes_back() {
    let site = Site::new();
    let slow = site.script("slow", "echo $$ > $0.pid; exec sleep 300");
    let mut worker = site.worker(&["--task", &format!("slow={slow}")]);
    site.publish("slow", "s");
    let program = site.written_pid("slow.pid");
    worker.tell(Signal::TERM);
    thread::sleep(Duration::from_millis(200));
    kill_process(program, Signal::TERM).expect("it runs");
    worker.ends_well();
    assert_eq!(site.number("EXISTS unacked celery-task-meta-s"), 0, "{}", worker.log());
    assert_eq!(site.number("LLEN celery"), 1, "it runs again");
}

#[test]
fn a_second_signal_ends_at_once_and_the_task_goes_back() {
    let site = Site::new();
    let hangs = site.script("hangs", "sleep 300 & echo $! > $0.pid; wait");
    let mut worker = site.worker(&["-c", "2", "--task", &format!("hangs={hangs}")]);
    site.publish("hangs", "h1");
    let child = site.written_pid("hangs.pid");
    site.publish("hangs", "h2");
    worker.tell(Signal::TERM);
    thread::sleep(Duration::from_millis(300));
    assert!(worker.child.try_wait().expect("a child").is_none(), "it waits for what runs");
    worker.tell(Signal::INT);
    worker.ends_well();
    assert_eq!((site.number("LLEN celery"), site.number("EXISTS unacked")), (2, 0), "{}", worker.log());
    until("what the program started is dead", || !lives(child));
}

/// A terminal that is closed, and Ctrl-\\: neither leaves programs behind that nobody waits for.
#[test]
fn a_terminal_that_goes_ends_a_worker_in_order() {
    let site = Site::new();
    let slow = site.script("slow", "echo $$ > $0.pid; sleep 1; echo slept");
    let mut worker = site.worker(&["--task", &format!("slow={slow}")]);
    site.publish("slow", "s");
    site.written_pid("slow.pid");
    // Twice: of the system and of a shell. It asks for nothing more.
    for _ in 0..2 {
        worker.tell(Signal::HUP);
        thread::sleep(Duration::from_millis(100));
    }
    worker.ends_well();
    site.assert_succeeds("s", "slept");
    site.all_is_acked();

    let hangs = site.script("hangs", "echo $$ > $0.pid; exec sleep 300");
    let mut worker = site.worker(&["--task", &format!("hangs={hangs}")]);
    site.publish("hangs", "h");
    let program = site.written_pid("hangs.pid");
    worker.tell(Signal::QUIT);
    worker.ends_well();
    until("its program is dead", || !lives(program));
    assert_eq!((site.number("LLEN celery"), site.number("EXISTS unacked")), (1, 0), "{}", worker.log());
}

/// As `nohup` starts it.
#[test]
fn a_hangup_that_was_ignored_stays_so() {
    let site = Site::new();
    let worker = site.command(&["--task", "cat=/bin/cat"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(worker.get_program()).args(worker.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut worker = site.start(command);
    worker.tell(Signal::HUP);
    thread::sleep(Duration::from_millis(300));
    assert!(worker.child.try_wait().expect("a child").is_none(), "{}", worker.log());
    site.publish("cat", "c");
    site.result("c");
    worker.tell(Signal::TERM);
    worker.ends_well();
}

/// Whoever asks for an end must not wait for a server that hangs.
#[test]
fn a_redis_that_hangs_keeps_nobody_from_stopping() {
    let site = Site::new();
    let mut workers = [(); 2].map(|()| site.worker(&["--task", "cat=/bin/cat"]));
    let mut consume = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    consume.args(["consume", "--redis", &site.server.url(), "-q", "q"]).stderr(Stdio::null());
    succeed(["publish", "--redis", &site.server.url(), "-k", "q", "-b", "x"]);
    let consume = consume.stdout(Stdio::null()).spawn().expect("a consumer");
    let mut consume = Worker { child: consume, log: site.folder.path("none") };
    until("the message is printed and acked", || site.number("EXISTS q unacked") == 0);
    let redis = site.ask("INFO server");
    let redis = redis.lines().find_map(|line| line.strip_prefix("process_id:")).expect("a process");
    let redis = Pid::from_raw(redis.parse().expect("a number")).expect("a process");
    kill_process(redis, Signal::STOP).expect("it runs");
    // Past the next heartbeat, so that all of them wait for an answer.
    thread::sleep(Duration::from_millis(2500));
    let [patient, hasty] = &mut workers;
    for worker in [&*patient, &*hasty, &consume] {
        worker.tell(Signal::TERM);
    }
    thread::sleep(Duration::from_millis(200));
    hasty.tell(Signal::TERM);
    let in_haste = hasty.end().1;
    let patiently = [patient.end().1, consume.end().1];
    kill_process(redis, Signal::CONT).expect("it is there");
    assert!(in_haste < Duration::from_secs(4), "{in_haste:?}");
    assert!(patiently.iter().all(|took| *took < Duration::from_secs(15)), "{patiently:?}");
}
