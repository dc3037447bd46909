//! Consumers that are killed under load lose nothing, and the harness that says so can tell.
//!
//! Workers are processes of this program. What counts as processed is what a worker has written before its ack; a kill
//! counts if the worker held a delivery. `KEYRAIL_KILLS` sets the number of kills, `KEYRAIL_CLUSTER_KILLS` that on a
//! cluster, `KEYRAIL_KILL_REPORT` a file for the figures, and `KEYRAIL_KILL_PEERS` a Python that has Kombu and Celery, whose
//! workers are killed alike and compared.

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod publisher;
mod server;
mod worker;

use std::{io::Write, sync::Mutex, time::Duration};

use harness::{Figures, Harness};
use server::Place;

const QUEUE: &str = "work";

/// Long enough for a busy machine to keep a living worker's deliveries alive.
const VISIBILITY: Duration = Duration::from_secs(4);

/// How a worker takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Taking {
    /// As keyrail's consumer does.
    Atomic,
    /// As Kombu does: it pops, and then registers.
    Split,
    /// Kombu's own consumer, acking after the work.
    Kombu,
    /// A real Celery worker with late acks.
    Celery,
}

#[test]
fn twenty_kills_lose_nothing() {
    let kills = wanted("KEYRAIL_KILLS", 20);
    let figures = Harness { taking: Taking::Atomic, kills, place: Place::BehindProxy }.run();
    report("keyrail", &figures);
    assert_eq!(figures.lost, 0, "{figures:?}");
    assert_eq!(figures.unexplained, 0, "{figures:?}");
    assert_eq!(figures.kills, kills, "{figures:?}");
    assert!(figures.terminated > 0 && figures.restarts > 0 && figures.cuts > 0, "{figures:?}");
    assert!(figures.client_kills > 0, "{figures:?}");
}

/// Three nodes, all keys on one of them by a hash tag; its replica takes over from it and it from its replica.
#[test]
fn kills_on_a_cluster_lose_nothing() {
    let kills = wanted("KEYRAIL_CLUSTER_KILLS", 5);
    let figures = Harness { taking: Taking::Atomic, kills, place: Place::Cluster }.run();
    report("keyrail, on a cluster", &figures);
    assert_eq!(figures.lost, 0, "{figures:?}");
    assert_eq!(figures.unexplained, 0, "{figures:?}");
    assert_eq!(figures.kills, kills, "{figures:?}");
    assert!(figures.terminated > 0 && figures.failovers > 0 && figures.client_kills > 0, "{figures:?}");
}

fn wanted(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |kills| kills.parse().expect("a number"))
}

/// The same harness finds what is lost between popping and registering.
#[test]
fn without_the_atomic_take_the_harness_reports_a_loss() {
    let mut tried = 0;
    while tried < 100 {
        let figures = Harness { taking: Taking::Split, kills: 20, place: Place::Alone }.run();
        tried += figures.kills;
        report("keyrail, taking in two steps", &figures);
        if figures.lost > 0 {
            return;
        }
    }
    panic!("{tried} kills lost nothing");
}

/// Runs only where `KEYRAIL_KILL_PEERS` names the peers' interpreter: the comparison is no test.
#[test]
fn peers_beside_it() {
    if std::env::var_os("KEYRAIL_KILL_PEERS").is_none() {
        return;
    }
    for (name, taking) in [("Kombu 5.7.0", Taking::Kombu), ("Celery 5.7.0, acks_late", Taking::Celery)] {
        report(name, &Harness { taking, kills: 20, place: Place::Alone }.run());
    }
}

/// Adds a line to the report, if one is wanted.
fn report(name: &str, figures: &Figures) {
    println!("{name}: {figures:?}");
    let Some(path) = std::env::var_os("KEYRAIL_KILL_REPORT") else { return };
    static LOCK: Mutex<()> = Mutex::new(());
    let _lock = LOCK.lock();
    let line = serde_json::json!({
        "consumer": name, "kills": figures.kills, "kills that found nothing held": figures.uncounted,
        "SIGTERM": figures.terminated, "Redis restarts": figures.restarts, "connection cuts": figures.cuts,
        "CLIENT KILL": figures.client_kills, "failovers": figures.failovers, "published": figures.published, "processed": figures.processed,
        "duplicates": figures.duplicates, "duplicates that no kill explains": figures.unexplained,
        "lost": figures.lost,
    });
    let mut file = std::fs::File::options().create(true).append(true).open(path).expect("a report");
    writeln!(file, "{line}").expect("written");
}
