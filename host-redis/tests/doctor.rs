//! What the doctor finds, each kind alone; and that looking changes nothing.

mod support;

use keyrail_core::{Dialect, lint::Severity};
use keyrail_redis::doctor::{Code, Finding, Limits};
use support::doctor::{Site, message, plain, record, topic};

const SEP: &str = "\x06\x16";

/// Examines what `write` writes, and nothing else; compares the codes, and that nothing was changed.
async fn finds(
    site: &mut Site,
    what: &str,
    expected: &[Code],
    write: impl FnOnce(&mut Site),
) -> Vec<Finding> {
    site.say("FLUSHALL");
    write(site);
    let before = site.dump();
    let report = site.examine().await;
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, expected, "{what}: {:#?}", report.findings);
    assert_eq!(site.dump(), before, "{what}");
    assert!(report.looked.left_out.is_empty(), "{what}: {:?}", report.looked.left_out);
    report.findings
}

#[tokio::test]
async fn rows_by_their_dialects() {
    let site = &mut Site::start().await;
    let [amqp, new, old] = [Dialect::Amqp, Dialect::Kombu57, Dialect::Kombu56].map(|d| topic("a.*", "q", d));
    let all =
        |rows: Vec<Vec<u8>>| move |site: &mut Site| rows.iter().for_each(|row| site.permanent("orders", row));
    finds(site, "the new one", &[], all(vec![new.clone()])).await;
    let found = finds(site, "the old one alone", &[Code::OldDialect], all(vec![old.clone()])).await;
    assert_eq!(found[0].severity, Severity::Info);
    let found = finds(site, "old and new", &[Code::StaleTwin], all(vec![old.clone(), new.clone()])).await;
    assert_eq!(found[0].culprit.to_string(), r"row a.* (^a\..*?[^\.]$) to q of exchange orders");
    finds(site, "old and AMQP's", &[Code::StaleTwin], all(vec![old.clone(), amqp.clone()])).await;
    finds(site, "new and AMQP's", &[Code::AmqpTwin], all(vec![new.clone(), amqp.clone()])).await;
    let every = all(vec![new.clone(), amqp.clone(), old.clone()]);
    finds(site, "all three", &[Code::StaleTwin, Code::AmqpTwin], every).await;
    // Another key, another queue: no twins. Without a star the Kombus agree.
    let others = vec![old, topic("b.*", "q", Dialect::Kombu57), topic("a.*", "r", Dialect::Kombu57)];
    finds(site, "others", &[Code::OldDialect], all(others)).await;
    finds(site, "no star", &[], all(vec![topic("a.#", "q", Dialect::Kombu56)])).await;
}

#[tokio::test]
async fn a_row_with_amqps_text_that_nothing_else_knows() {
    let site = &mut Site::start().await;
    let row = &*topic("a.#", "q", Dialect::Amqp);
    let found = finds(site, "alone", &[Code::AmqpOrphan], |site| site.permanent("orders", row)).await;
    assert_eq!(found[0].severity, Severity::Info);
    assert!(found[0].sentence.contains("Who consumes is not written in Redis"), "{}", found[0].sentence);
    finds(site, "declared", &[], |site| {
        site.permanent("orders", row);
        site.run(&[b"HSET", b"keyrail.queue", b"q", br#"{"name": "q"}"#]);
    })
    .await;
    finds(site, "another row", &[], |site| {
        site.permanent("orders", row);
        site.permanent("other", &plain("k", "q"));
    })
    .await;
    finds(site, "a message", &[], |site| {
        site.permanent("orders", row);
        site.run(&[b"LPUSH", format!("q{SEP}3").as_bytes(), &message("x")]);
    })
    .await;
}

#[tokio::test]
async fn rows_that_are_none() {
    let site = &mut Site::start().await;
    for (row, code) in [
        (&b"no row"[..], Code::MalformedRow),
        (b"a\x06\x16b\x06\x16c\x06\x16d", Code::MalformedRow),
        (b"\xff\x06\x16\x06\x16q", Code::MalformedRow),
        (b"k\x06\x16\x06\x16", Code::MalformedRow),
        (b"k::q", Code::OtherSeparator),
        (br"a.*|^a\.[^\.]+$|q", Code::OtherSeparator),
        (b"*a\x06\x16^*a$\x06\x16q", Code::UnexecutableRow),
        (b"k\x06\x16^(a|b)\\d$\x06\x16q", Code::ForeignText),
    ] {
        let what = row.escape_ascii().to_string();
        let found = finds(site, &what, &[code], |site| site.permanent("orders", row)).await;
        let expected = if code == Code::ForeignText { Severity::Warning } else { Severity::Error };
        assert_eq!(found[0].severity, expected, "{what}");
    }
    finds(site, "foreign and harmless", &[], |site| {
        site.permanent("orders", b"k\x06\x16^(?:a|b)$\x06\x16q");
    })
    .await;
}

#[tokio::test]
async fn permanent_rows_and_deadlines() {
    let site = &mut Site::start().await;
    let deadline = |site: &mut Site, exchange: &str| {
        site.run(&[b"ZADD", b"_kombu.binding_deadlines", b"99999999999999", exchange.as_bytes()]);
    };
    let row = &*plain("k", "q");
    let found = finds(site, "who knows", &[Code::PerhapsPermanent], |site| {
        site.row("orders", row);
        deadline(site, "orders");
    })
    .await;
    assert!(found[0].sentence.contains("Redis does not say which"), "{}", found[0].sentence);
    finds(site, "declared to stay", &[Code::MissingPermanent], |site| {
        site.row("orders", row);
        deadline(site, "orders");
        site.run(&[b"HSET", b"keyrail.queue", b"q", br#"{"name": "q"}"#]);
    })
    .await;
    finds(site, "declared to expire", &[Code::PerhapsPermanent], |site| {
        site.row("orders", row);
        deadline(site, "orders");
        site.run(&[b"HSET", b"keyrail.queue", b"q", br#"{"name": "q", "arguments": {"x-expires": 9}}"#]);
    })
    .await;
    finds(site, "permanent elsewhere", &[Code::MissingPermanent], |site| {
        site.row("orders", row);
        deadline(site, "orders");
        site.permanent("other", row);
    })
    .await;
    finds(site, "Kombu 5.6 knows no deadlines", &[Code::MissingPermanent, Code::OldDialect], |site| {
        site.row("orders", &topic("a.*", "q", Dialect::Kombu56));
        deadline(site, "orders");
    })
    .await;
    finds(site, "another row keeps the table", &[], |site| {
        site.row("orders", row);
        site.permanent("orders", &plain("k", "r"));
        deadline(site, "orders");
    })
    .await;
    finds(site, "no deadline, no sweep", &[], |site| site.row("orders", row)).await;
    finds(site, "Celery's own expire", &[], |site| {
        site.row("celeryev", row);
        deadline(site, "celeryev");
    })
    .await;
    finds(site, "a row less", &[Code::StrayPermanent], |site| {
        site.permanent("orders", row);
        site.run(&[b"SADD", b"_kombu.binding_permanent.orders", &plain("k", "gone")]);
    })
    .await;
    finds(site, "no table", &[Code::LostTable], |site| {
        site.run(&[b"SADD", b"_kombu.binding_permanent.orders", row]);
    })
    .await;
    finds(site, "no table, no row", &[Code::StrayPermanent], |site| {
        site.run(&[b"SADD", b"_kombu.binding_permanent.orders", b"no row"]);
    })
    .await;
    finds(site, "a deadline of nothing", &[Code::StaleDeadline], |site| deadline(site, "orders")).await;
}

#[tokio::test]
async fn lists() {
    let site = &mut Site::start().await;
    let good = message("x");
    finds(site, "a queue", &[], |site| {
        site.permanent("direct", &plain("q", "q"));
        site.run(&[b"LPUSH", b"q", &good]);
        site.run(&[b"LPUSH", format!("q{SEP}9").as_bytes(), &good]);
    })
    .await;
    let found = finds(site, "poison", &[Code::Poison], |site| {
        site.permanent("direct", &plain("q", "q"));
        site.run(&[b"LPUSH", b"q", b"no JSON", &good, b"{}", &good]);
    })
    .await;
    let sentence = &found[0].sentence;
    assert!(sentence.starts_with("2 payloads of the 4 looked at (of 4) cannot be read"), "{sentence}");
    finds(site, "less strict than JSON", &[], |site| {
        site.permanent("direct", &plain("q", "q"));
        let text = String::from_utf8(good.clone()).expect("text");
        site.run(&[b"LPUSH", b"q", text.replace("\"headers\": {}", "\"headers\": {\"n\": NaN}").as_bytes()]);
        site.run(&[
            b"LPUSH",
            b"q",
            text.replace("\"headers\": {}", r#""headers": {"n": "\udcff"}"#).as_bytes(),
        ]);
    })
    .await;
    finds(site, "nobody's", &[Code::OrphanList], |site| {
        site.run(&[b"LPUSH", b"q", &good]);
    })
    .await;
    finds(site, "nobody's, and poison", &[Code::Poison, Code::OrphanList], |site| {
        site.run(&[b"LPUSH", b"q", &good, b"{}"]);
    })
    .await;
    finds(site, "a stranger's", &[], |site| {
        site.run(&[b"LPUSH", b"jobs", b"{}", b"1"]);
        site.say("SET some value");
        site.say("XADD stream * a b");
    })
    .await;
    finds(site, "another step", &[Code::StrandedStep], |site| {
        site.permanent("direct", &plain("q", "q"));
        site.run(&[b"LPUSH", format!("q{SEP}5").as_bytes(), &good]);
    })
    .await;
    finds(site, "a queue with that name", &[], |site| {
        site.permanent("direct", &plain("q", "q"));
        site.run(&[b"HSET", b"keyrail.queue", b"q5", br#"{"name": "q\u0006\u00165"}"#]);
        site.run(&[b"LPUSH", format!("q{SEP}5").as_bytes(), &good]);
    })
    .await;
    finds(site, "quarantine", &[Code::Quarantined], |site| {
        site.run(&[b"LPUSH", b"keyrail.quarantine.q", b"no JSON"]);
    })
    .await;
}

#[tokio::test]
async fn replies_and_workers() {
    let site = &mut Site::start().await;
    let row = &*plain("id", "id.reply.celery.pidbox");
    let found = finds(site, "a row", &[Code::ReplyRows], |site| site.row("reply.celery.pidbox", row)).await;
    assert_eq!(found[0].severity, Severity::Info);
    // Whoever asked a moment ago still waits.
    finds(site, "a reply", &[], |site| {
        site.row("reply.celery.pidbox", row);
        site.run(&[b"LPUSH", b"id.reply.celery.pidbox", &message("x")]);
    })
    .await;
    finds(site, "a reply that expires", &[], |site| {
        site.run(&[b"RPUSH", b"id.reply.celery.pidbox", &message("x")]);
        site.say("EXPIRE id.reply.celery.pidbox 100");
    })
    .await;
    finds(site, "workers and no subscription", &[Code::FanoutRows], |site| {
        site.row("celery.pidbox", &plain("", "w@h.celery.pidbox"));
    })
    .await;
    let listener = redis::Client::open(site.server.url()).expect("a URL");
    let mut listener = listener.get_connection().expect("Redis");
    let mut listener = listener.as_pubsub();
    listener.psubscribe("/0.celery.pidbox").expect("subscribed");
    finds(site, "workers", &[], |site| site.row("celery.pidbox", &plain("", "w@h.celery.pidbox"))).await;
}

#[tokio::test]
async fn peers_and_strangers() {
    let site = &mut Site::start().await;
    let row = &*plain("k", "q");
    let found = finds(site, "another prefix", &[Code::OtherPrefix], |site| {
        site.run(&[b"SADD", b"shop:_kombu.binding.a", row]);
        site.run(&[b"SADD", b"shop:_kombu.binding.b", row]);
    })
    .await;
    assert!(found[0].sentence.starts_with("2 binding tables under this prefix"), "{}", found[0].sentence);
    for (write, key) in [
        ("ZADD _kombu.binding.orders 1 x", "_kombu.binding.orders"),
        ("SET _kombu.binding_permanent.orders x", "_kombu.binding_permanent.orders"),
        ("SET _kombu.binding_deadlines x", "_kombu.binding_deadlines"),
        ("SET unacked x", "unacked"),
        ("SET unacked_index x", "unacked_index"),
        ("HSET unacked_mutex a b", "unacked_mutex"),
        ("SET keyrail.exchange x", "keyrail.exchange"),
        ("SET keyrail.binding x", "keyrail.binding"),
        ("SET keyrail.bucket x", "keyrail.bucket"),
        ("SET keyrail.quarantine.q x", "keyrail.quarantine.q"),
    ] {
        let found = finds(site, write, &[Code::WrongType], |site| drop(site.say(write))).await;
        assert_eq!(found[0].culprit.to_string(), format!("key {key}"));
    }
    finds(site, "a queue's list", &[Code::WrongType], |site| {
        site.permanent("direct", row);
        site.say("SET q x");
    })
    .await;
}

#[tokio::test]
async fn the_register() {
    let site = &mut Site::start().await;
    let register = |site: &mut Site, name: &str, record: &[u8], score: &str| {
        site.run(&[b"HSET", b"unacked", name.as_bytes(), record]);
        site.run(&[b"ZADD", b"unacked_index", score.as_bytes(), name.as_bytes()]);
    };
    let now = "9999999999.5";
    let held = &*record("x", "q");
    finds(site, "held", &[], |site| register(site, "t", held, now)).await;
    finds(site, "no time", &[Code::Unindexed], |site| {
        site.run(&[b"HSET", b"unacked", b"t", held]);
    })
    .await;
    finds(site, "no record", &[Code::Unrecorded], |site| {
        site.run(&[b"ZADD", b"unacked_index", now.as_bytes(), b"t"]);
    })
    .await;
    finds(site, "for ages", &[Code::Overdue], |site| {
        register(site, "t", held, "1000");
        register(site, "u", held, "2000");
    })
    .await;
    for bad in [&b"no record"[..], b"[]", b"[1, 2, 3]", br#"[{"a": }, "", "q"]"#, b"\xff"] {
        let what = bad.escape_ascii().to_string();
        finds(site, &what, &[Code::UnreadableRecord], |site| register(site, "t", bad, now)).await;
    }
    let number = br#"[{"properties": {"n": NaN}}, "", "q"]"#;
    finds(site, "less strict than JSON", &[], |site| register(site, "t", number, now)).await;
    finds(site, "a lock for ever", &[Code::EternalLock], |site| drop(site.say("SET unacked_mutex x"))).await;
    finds(site, "a lock", &[], |site| drop(site.say("SET unacked_mutex x PX 300000"))).await;
}

#[tokio::test]
async fn keyrails_own_entries() {
    let site = &mut Site::start().await;
    for key in ["keyrail.exchange", "keyrail.queue", "keyrail.policy", "keyrail.bucket"] {
        let found = finds(site, key, &[Code::UnreadableEntry], |site| {
            drop(site.say(&format!("HSET {key} name {{")));
        })
        .await;
        assert_eq!(found[0].culprit.to_string(), format!("entry name of {key}"));
    }
    finds(site, "a binding", &[Code::UnreadableEntry], |site| drop(site.say("SADD keyrail.binding {"))).await;
    let binding = r#"{"source":"h","destination":{"queue":"q"},"routingKey":"1"}"#;
    finds(site, "buckets", &[Code::StrayBucket], |site| {
        site.run(&[b"HSET", b"keyrail.bucket", binding.as_bytes(), b"1"]);
    })
    .await;
    finds(site, "buckets of a binding", &[], |site| {
        site.run(&[b"HSET", b"keyrail.bucket", binding.as_bytes(), b"1"]);
        site.run(&[b"SADD", b"keyrail.binding", binding.as_bytes()]);
    })
    .await;
}

#[tokio::test]
async fn what_is_beyond_the_limits_is_said() {
    let limits =
        Limits { keys: 5, rows: 3, payloads: 2, deliveries: 2, findings: 2, lists: 1, ..Limits::default() };
    let mut site = Site::with(limits).await;
    for n in 0..4 {
        site.row("large", &plain(&n.to_string(), "q"));
        site.run(&[b"HSET", b"unacked", n.to_string().as_bytes(), &record("x", "q")]);
    }
    let report = site.examine().await;
    assert_eq!(report.looked.left_out.len(), 1, "{:?}", report.looked);
    assert!(report.looked.left_out[0].contains("--max-deliveries"), "{:?}", report.looked);
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!((codes, report.unnamed), (vec![Code::Unindexed, Code::Unindexed], 1));
    for n in 0..9 {
        site.run(&[b"LPUSH", format!("list{n}").as_bytes(), &message("x"), &message("y"), &message("z")]);
    }
    let report = site.examine().await;
    let left_out = report.looked.left_out.join("; ");
    assert!(left_out.contains("--max-keys"), "{left_out}");
    assert_eq!(report.looked.keys, 5);
    assert!(report.looked.payloads <= 2, "{:?}", report.looked);
    // A list may be named in a table that was not seen.
    assert!(report.findings.iter().all(|finding| finding.code != Code::OrphanList));
}
