//! What repairs do, that they can be taken back, and that they touch nothing that is no longer as it was read.

mod support;

use keyrail_core::Dialect;
use keyrail_redis::{
    Connection,
    doctor::{Code, Doctor, Limits, Repair},
};
use redis::Value;
use support::doctor::{Site, message, plain, record, repairable, topic};

const SEP: &str = "\x06\x16";

/// A database in which something of each kind is wrong that can be repaired, and much that is right.
fn everything(site: &mut Site) {
    let [amqp, new, old] = [Dialect::Amqp, Dialect::Kombu57, Dialect::Kombu56].map(|d| topic("a.*", "q", d));
    site.permanent("orders", &new);
    site.row("orders", &old);
    site.permanent("audit", &amqp);
    site.permanent("audit", &new);
    site.permanent("audit", &topic("b.#", "nobody", Dialect::Amqp));
    site.permanent("broken", b"no row");
    site.row("broken", b"*a\x06\x16^*a$\x06\x16q");
    site.row("broken", &plain("k", "q"));
    site.row("expiring", &plain("k", "q"));
    site.row("perhaps", &plain("k", "other"));
    for exchange in ["expiring", "perhaps", "gone"] {
        site.run(&[b"ZADD", b"_kombu.binding_deadlines", b"99999999999999.5", exchange.as_bytes()]);
    }
    site.run(&[
        b"SADD",
        b"_kombu.binding_permanent.lost",
        &plain("k", "q"),
        &topic("a.#", "q", Dialect::Kombu57),
    ]);
    site.run(&[b"SADD", b"_kombu.binding_permanent.orders", &plain("k", "gone")]);
    for (list, payloads) in [("q", vec!["a", "{}", "b", "\u{fffd}", "{}", "c"]), ("q\x06\x163", vec!["[]"])] {
        for payload in payloads {
            let good = message(payload);
            let payload = if payload.len() == 1 { &*good } else { payload.as_bytes() };
            site.run(&[b"LPUSH", list.as_bytes(), payload]);
        }
    }
    site.run(&[b"PEXPIRE", format!("q{SEP}3").as_bytes(), b"3600000"]);
    site.run(&[b"LPUSH", b"id.reply.celery.pidbox", &message("x")]);
    site.row("reply.celery.pidbox", &plain("id", "gone.reply.celery.pidbox"));
    site.row("celery.pidbox", &plain("", "w@h.celery.pidbox"));
    site.say("SET unacked_mutex x");
    for (name, held, score) in [
        ("whole", Some(record("x", "q")), Some("9999999999.123456")),
        ("no time", Some(record("y", "q")), None),
        ("no record", None, Some("9999999999.654321")),
        ("bad", Some(b"\xff[".to_vec()), Some("9999999999")),
        ("bad without a time", Some(b"{".to_vec()), None),
    ] {
        if let Some(held) = held {
            site.run(&[b"HSET", b"unacked", name.as_bytes(), &held]);
        }
        if let Some(score) = score {
            site.run(&[b"ZADD", b"unacked_index", score.as_bytes(), name.as_bytes()]);
        }
    }
    site.say("HSET keyrail.exchange bad {");
    site.say("SADD keyrail.binding {");
    let binding = r#"{"source":"h","destination":{"queue":"q"},"routingKey":"1"}"#;
    site.run(&[b"HSET", b"keyrail.bucket", binding.as_bytes(), b"1"]);
}

/// Every payload, wherever it is, sorted.
fn payloads(site: &mut Site) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let Value::Array(keys) = site.say("KEYS *") else { panic!("keys") };
    for key in keys {
        let Value::BulkString(key) = key else { panic!("a key") };
        let (kind, name) = (site.run(&[b"TYPE", &key]), String::from_utf8_lossy(&key).into_owned());
        let found = match kind {
            Value::SimpleString(kind) if kind == "list" && !name.starts_with("keyrail.doctor.") => {
                site.run(&[b"LRANGE", &key, b"0", b"-1"])
            }
            _ if name == "unacked" => site.run(&[b"HVALS", &key]),
            _ => continue,
        };
        let Value::Array(found) = found else { panic!("payloads") };
        payloads.extend(found.into_iter().map(|payload| match payload {
            Value::BulkString(payload) => payload,
            other => panic!("{other:?}"),
        }));
    }
    payloads.sort_unstable();
    payloads
}

#[tokio::test]
async fn each_repair_mends_what_it_says_and_is_taken_back_to_the_letter() {
    let mut site = Site::start().await;
    let mut unseen = repairable();
    for code in repairable() {
        site.say("FLUSHALL");
        everything(&mut site);
        let (before, all) = (site.dump(), payloads(&mut site));
        let report = site.examine().await;
        let wanted: usize = report.findings.iter().filter(|finding| finding.code == code).count();
        // Replies are left alone as long as somebody may wait for them: that has a test of its own.
        assert_eq!(wanted == 0, code == Code::ReplyList, "{code}: {:#?}", report.findings);
        let repaired = site.doctor.repair(&report, &[code]).await.expect("repaired");
        assert_eq!(repaired.stopped, None);
        assert!(
            repaired.findings.iter().all(|mended| mended.done > 0 && mended.changed == 0),
            "{repaired:?}"
        );
        let Some(name) = repaired.record else {
            assert_eq!(site.dump(), before, "{code}");
            continue;
        };
        unseen.retain(|other| *other != code);
        assert_ne!(site.dump(), before, "{code}");
        assert_eq!(payloads(&mut site), all, "{code} loses a payload");
        assert!(!site.codes().await.contains(&code), "{code} is still there");
        let key = format!("keyrail.doctor.{name}");
        let Value::Int(left) = site.run(&[b"PTTL", key.as_bytes()]) else { panic!("a time") };
        assert!((1..=30 * 24 * 3_600_000).contains(&left), "{left}");
        if [Code::LostTable, Code::MissingPermanent, Code::PerhapsPermanent].contains(&code) {
            // Rows that were added may be a peer's by now.
            let (mended, undone) = (site.dump(), site.doctor.undo(&name).await.expect("looked at"));
            assert_eq!((undone.undone, site.dump()), (0, mended), "{code}");
            assert!(undone.left.iter().all(|left| left.contains("peers may have declared the same since")));
            assert!(!undone.left.is_empty(), "{code}");
        }
        let undone = site.doctor.undo_rows(&name).await.expect("taken back");
        assert!(undone.undone > 0 && undone.left.is_empty(), "{code}: {undone:?}");
        assert_eq!(site.dump(), before, "{code}");
        assert_eq!(site.run(&[b"EXISTS", key.as_bytes()]), Value::Int(0));
    }
    assert_eq!(unseen, [Code::ReplyList]);
}

#[tokio::test]
async fn all_at_once_and_back() {
    let mut site = Site::start().await;
    everything(&mut site);
    let (before, all) = (site.dump(), payloads(&mut site));
    let report = site.examine().await;
    let repaired = site.doctor.repair(&report, &repairable()).await.expect("repaired");
    let record = repaired.record.expect("a record");
    assert_eq!(payloads(&mut site), all);
    let left = site.codes().await;
    assert!(left.iter().all(|code| code.repair() == Repair::Never), "{left:?}");
    site.doctor.undo_rows(&record).await.expect("taken back");
    assert_eq!(site.dump(), before);
    let error = site.doctor.undo(&record).await.expect_err("it is taken back");
    assert_eq!(error.code(), "record-not-found");
}

/// What the repair changes is changed by somebody else between the examination and the repair.
#[tokio::test]
async fn what_changed_meanwhile_is_left_alone() {
    let mut site = Site::start().await;
    let cases: [(Code, &[&str]); 11] = [
        (Code::StaleTwin, &["DEL _kombu.binding.orders"]),
        (Code::MalformedRow, &["DEL _kombu.binding.broken"]),
        (Code::LostTable, &["DEL _kombu.binding_permanent.lost"]),
        (Code::StaleDeadline, &["SADD _kombu.binding.gone x"]),
        (Code::StaleDeadline, &["ZADD _kombu.binding_deadlines 1 gone"]),
        (Code::Poison, &["DEL q", "DEL q\x06\x163"]),
        (Code::AmqpOrphan, &["LPUSH nobody x"]),
        (Code::EternalLock, &["PEXPIRE unacked_mutex 100000"]),
        (Code::Unrecorded, &["DEL unacked_index"]),
        (Code::UnreadableEntry, &["DEL keyrail.exchange", "DEL keyrail.binding"]),
        (Code::StrayBucket, &["HSET keyrail.bucket x y", "DEL keyrail.bucket"]),
    ];
    for (code, changes) in cases {
        site.say("FLUSHALL");
        everything(&mut site);
        let report = site.examine().await;
        changes.iter().for_each(|change| drop(site.say(change)));
        let before = site.dump();
        let repaired = site.doctor.repair(&report, &[code]).await.expect("tried");
        assert!(!repaired.findings.is_empty(), "{code}");
        assert!(
            repaired.findings.iter().all(|mended| mended.done == 0 && mended.changed > 0),
            "{repaired:?}"
        );
        assert_eq!((site.dump(), repaired.record), (before, None), "{code}");
    }
    site.say("FLUSHALL");
    everything(&mut site);
    let report = site.examine().await;
    site.run(&[b"HSET", b"unacked", b"bad", b"[{}, \"\", \"q\"]"]);
    site.run(&[b"ZADD", b"unacked_index", b"5", b"no time"]);
    site.run(&[b"HDEL", b"unacked", b"bad without a time"]);
    let before = site.dump();
    let codes = [Code::UnreadableRecord, Code::Unindexed];
    let repaired = site.doctor.repair(&report, &codes).await.expect("tried");
    assert_eq!(repaired.findings.iter().map(|mended| mended.changed).sum::<usize>(), 3);
    assert_eq!((site.dump(), repaired.record), (before, None));
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_named_and_stays_in_the_record() {
    let mut site = Site::start().await;
    everything(&mut site);
    let report = site.examine().await;
    let codes = [Code::StaleTwin, Code::MalformedRow, Code::Poison];
    let name = site.doctor.repair(&report, &codes).await.expect("repaired").record.expect("a record");
    // The row is there again, and somebody has looked after the quarantine.
    site.row("orders", &topic("a.*", "q", Dialect::Kombu56));
    site.say("DEL keyrail.quarantine.q");
    let before = site.dump();
    let undone = site.doctor.undo(&name).await.expect("as far as it goes");
    assert_eq!(undone.undone, 1);
    let left = undone.left.join("\n");
    assert_eq!(undone.left.len(), 5, "{left}");
    assert!(left.contains("the payload is no longer in `keyrail.quarantine.q`"), "{left}");
    assert!(left.contains("is in `_kombu.binding.orders` again"), "{left}");
    assert_ne!(site.dump(), before, "the malformed row is back");
    // Once the way is free it goes on.
    site.run(&[b"SREM", b"_kombu.binding.orders", &topic("a.*", "q", Dialect::Kombu56)]);
    let undone = site.doctor.undo(&name).await.expect("as far as it goes");
    assert_eq!((undone.undone, undone.left.len()), (1, 4));
}

#[tokio::test]
async fn replies_that_nobody_fetches_are_put_aside_and_come_back() {
    let mut site = Site::start().await;
    // No clock of the server can be turned: a dump is restored with the idle time that it is to have.
    site.run(&[b"LPUSH", b"seed", &message("x")]);
    let Value::BulkString(dumped) = site.run(&[b"DUMP", b"seed"]) else { panic!("a dump") };
    site.say("DEL seed");
    site.run(&[b"RESTORE", b"id.reply.celery.pidbox", b"0", &dumped, b"IDLETIME", b"1000"]);
    let report = site.examine().await;
    assert_eq!(report.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::ReplyList]);
    // Looking at it twice makes it no younger.
    assert_eq!(site.codes().await, [Code::ReplyList]);
    let repaired = site.doctor.repair(&report, &[Code::ReplyList]).await.expect("repaired");
    assert_eq!(site.codes().await, [Code::Quarantined]);
    let undone = site.doctor.undo(&repaired.record.expect("a record")).await.expect("taken back");
    assert_eq!((undone.undone, undone.left.len()), (1, 0));
    assert_eq!(site.run(&[b"LLEN", b"id.reply.celery.pidbox"]), Value::Int(1));
}

#[tokio::test]
async fn a_login_that_may_not_is_refused_before_anything_is_done() {
    let mut site = Site::start().await;
    everything(&mut site);
    let may = "+@read +@connection +@scripting +@transaction +select +info +time +pubsub";
    site.say(&format!("ACL SETUSER reader on >secret ~* &* {may}"));
    let url = site.server.url().replace("redis://", "redis://reader:secret@");
    let connection = Connection::new(&url).expect("a URL");
    let reader = Doctor::connect(&connection, Limits::default()).await.expect("Redis");
    let before = site.dump();
    let report = reader.examine().await.expect("it may read");
    assert_eq!(report.findings.len(), site.examine().await.findings.len());
    let error = reader.repair(&report, &[Code::StaleTwin]).await.expect_err("it may not write").to_string();
    // A server before 7.0 cannot be asked what a login may do, and refuses in its own words.
    let asked = site.server.version() >= (7, 0);
    let words = if asked {
        "NOPERM this user may not SREM `_kombu.binding.orders`"
    } else {
        "can't run this command"
    };
    assert!(error.contains(words), "{error}");
    assert_eq!(site.dump(), before);
    site.say("ACL SETUSER reader resetkeys ~_kombu.*");
    let error = reader.examine().await.expect_err("it may not read all");
    assert!(error.to_string().contains("NOPERM") || error.to_string().contains("permission"), "{error}");
    assert!(error.to_string().contains("asked for `TYPE "), "{error}");
}

/// A peer has declared its queue since: the row that was added is the peer's, too, and messages come by it.
#[tokio::test]
async fn a_row_that_a_peer_has_declared_since_is_not_taken_back() {
    let mut site = Site::start().await;
    let row = topic("a.*", "q", Dialect::Kombu57);
    site.permanent("orders", &row);
    site.say("DEL _kombu.binding.orders");
    let report = site.examine().await;
    let repaired = site.doctor.repair(&report, &[Code::LostTable]).await.expect("repaired");
    let record = repaired.record.expect("a record");
    // As Kombu declares again: the row is there.
    site.permanent("orders", &row);
    let there = site.dump();
    let undone = site.doctor.undo(&record).await.expect("looked at");
    assert_eq!((undone.undone, undone.left.len()), (0, 1));
    assert_eq!(site.dump(), there);
    // It stays in the record, for who knows better.
    let undone = site.doctor.undo_rows(&record).await.expect("taken back");
    assert_eq!((undone.undone, undone.left.len()), (1, 0));
    assert_eq!(site.say("EXISTS _kombu.binding.orders"), Value::Int(0));
}
