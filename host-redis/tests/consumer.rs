//! What a consumer promises, in memory and on a real Redis.

mod support;

use std::time::Duration;

use keyrail_core::kombu::{Command, Envelope, Layout, Priority, plan};
use keyrail_redis::{
    ConsumerOptions, ExecuteError, Executor, Memory, Next, Overdue, QueueOrder, Redis, RedisOptions, Reply,
    Requeue, Take, Taken, quarantine_list,
};
use support::{
    PATIENCE, RedisServer,
    consuming::{consumer, drain, held, is_idle, keys, next, prefetch, put, run, text, until_held},
    host, on_both,
};

on_both!(
    taking_registers_and_acking_forgets,
    several_queues_take_turns,
    queues_come_by_name_or_as_given,
    an_urgent_step_of_any_queue_comes_first,
    no_more_is_held_than_prefetch_says,
    no_more_is_taken_ahead_than_is_read,
    an_ack_that_nobody_awaits_does_not_wait_for_the_rest,
    a_large_batch_is_registered_as_a_whole_and_in_order,
    requeued_messages_come_last_or_first,
    deliveries_are_counted,
    recover_returns_everything_and_goes_on,
    without_acks_nothing_is_registered,
    a_delivery_that_was_restored_is_not_settled_twice,
    a_late_ack_cannot_touch_the_next_delivery,
    tags_may_be_reused,
    a_queue_that_is_named_twice_is_one,
    waiting_ends_with_a_push,
    what_was_left_behind_is_restored_in_order,
    what_is_held_by_the_living_is_not_restored,
    poison_is_put_aside_and_the_others_flow,
    a_list_of_another_type_is_named_once_and_the_others_flow,
    a_quarantine_of_another_type_is_named_once_whoever_comes_first,
    without_acks_no_more_is_put_aside_than_goes_there,
    a_lost_answer_is_found_again,
);

/// What a consumer that died held: registered so long ago, as keyrail does it.
async fn leave_behind(executor: &impl Executor, queue: &str, tag: &str, seconds: f64) {
    let payload = Envelope::text(tag).to_bytes("", queue, tag);
    let since = executor.now().await.expect("now") - seconds;
    let delivery = plan::delivery(tag, "dead.0.0", queue);
    run(executor, plan::register(&Layout::default(), &delivery, queue, &payload, since).commands).await;
}

async fn taking_registers_and_acking_forgets(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["one"], 0).await;
    let mut consumer = consumer(&host, &["q"], ConsumerOptions::default());
    let delivery = next(&mut consumer).await;
    assert_eq!((text(&delivery), delivery.queue(), delivery.redelivered()), ("one".into(), "q", false));
    assert_eq!(held(host.executor()).await, 1);
    assert_eq!(host.count("q").await.expect("count"), 0);
    assert!(delivery.ack().await.expect("acked"));
    assert_eq!(keys(host.executor()).await, Vec::<String>::new());
    assert!(!delivery.ack().await.expect("acked twice"));
    assert!(is_idle(&mut consumer).await);
    assert_eq!(consumer.close().await, Ok(0));
    assert_eq!(delivery.ack().await, Err(ExecuteError::Closed));
}

async fn several_queues_take_turns(executor: impl Executor) {
    let host = host(executor);
    put(&host, "a", &["a1", "a2", "a3"], 0).await;
    put(&host, "b", &["b1", "b2", "b3"], 0).await;
    for size in [1, 64] {
        let mut consumer = consumer(&host, &["a", "b"], prefetch(size));
        let order = ["a1", "b1", "a2", "b2", "a3", "b3"];
        let mut held = Vec::new();
        for body in order {
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), body, "prefetch {size}");
            // The last round shows that nothing was acked before.
            if size == 1 {
                delivery.ack().await.expect("acked");
            } else {
                held.push(delivery);
            }
        }
        consumer.close().await.expect("closed");
        if size == 1 {
            put(&host, "a", &["a1", "a2", "a3"], 0).await;
            put(&host, "b", &["b1", "b2", "b3"], 0).await;
        }
    }
    assert_eq!(host.counts(&["a", "b"]).await.expect("counts"), [3, 3]);
}

async fn queues_come_by_name_or_as_given(executor: impl Executor) {
    let host = host(executor);
    for (strategy, order) in
        [(QueueOrder::Sorted, ["a1", "a2", "c1", "c2"]), (QueueOrder::Priority, ["c1", "c2", "a1", "a2"])]
    {
        // One by one, and all in one batch.
        for size in [1, 64] {
            put(&host, "a", &["a1", "a2"], 0).await;
            put(&host, "c", &["c1", "c2"], 0).await;
            let options = ConsumerOptions { queue_order_strategy: strategy, ..prefetch(size) };
            let mut consumer = consumer(&host, &["c", "a"], options);
            assert_eq!(drain(&mut consumer, 4).await, order, "{strategy:?} {size}");
            consumer.close().await.expect("closed");
        }
    }
}

async fn an_urgent_step_of_any_queue_comes_first(executor: impl Executor) {
    let host = host(executor);
    put(&host, "a", &["a9"], 9).await;
    put(&host, "b", &["b3"], 3).await;
    put(&host, "a", &["a6"], 6).await;
    put(&host, "b", &["b0"], 0).await;
    let options =
        ConsumerOptions { queue_order_strategy: QueueOrder::Priority, ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["a", "b"], options);
    assert_eq!(drain(&mut consumer, 4).await, ["b0", "b3", "a6", "a9"]);
}

async fn no_more_is_held_than_prefetch_says(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3", "4", "5"], 0).await;
    let mut consumer = consumer(&host, &["q"], prefetch(2));
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    assert!(is_idle(&mut consumer).await);
    assert_eq!((held(host.executor()).await, host.count("q").await.expect("count")), (2, 3));
    first.ack().await.expect("acked");
    let third = next(&mut consumer).await;
    assert!(is_idle(&mut consumer).await);
    assert_eq!(held(host.executor()).await, 2);
    second.ack().await.expect("acked");
    third.ack().await.expect("acked");
    assert_eq!(drain(&mut consumer, 2).await, ["4", "5"]);
    assert_eq!(keys(host.executor()).await, Vec::<String>::new());
}

/// Without acks nothing is held, and without a limit anything may be: what waits to be read is bounded all the same.
async fn no_more_is_taken_ahead_than_is_read(executor: impl Executor) {
    let host = host(executor);
    let payload = |n: usize| Envelope::text("x").to_bytes("", "q", &n.to_string());
    let pushes = (0..300).map(|n| Command::LPush { key: "q".into(), value: payload(n) });
    run(host.executor(), pushes.collect()).await;
    for (no_ack, limit, waits) in [(false, 0, 44), (true, 8, 292)] {
        let consumer = consumer(&host, &["q"], ConsumerOptions { no_ack, ..prefetch(limit) });
        for _ in 0..400 {
            if host.count("q").await.expect("count") <= waits {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(host.count("q").await.expect("count"), waits, "{no_ack} {limit}");
        assert_eq!(consumer.close().await, Ok(300 - waits as usize));
    }
}

async fn an_ack_that_nobody_awaits_does_not_wait_for_the_rest(executor: impl Executor) {
    let host = host(executor);
    let bodies: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    put(&host, "q", &bodies.iter().map(String::as_str).collect::<Vec<_>>(), 0).await;
    let mut consumer = consumer(&host, &["q"], prefetch(8));
    let first = next(&mut consumer).await;
    until_held(host.executor(), 8).await;
    drop(first.ack());
    // Seven are still to be read, and nothing else is asked of the consumer.
    until_held(host.executor(), 7).await;
    assert_eq!(consumer.close().await, Ok(7));
}

async fn a_large_batch_is_registered_as_a_whole_and_in_order(executor: impl Executor) {
    const COUNT: usize = 1200;
    let layout = Layout::default();
    // Large ones among the small ones, and some that are no messages.
    let payload = |n: usize| match n % 100 {
        50 => format!("no message {n}").into_bytes(),
        70 => Envelope::text(&"x".repeat(20_000)).to_bytes("", "q", &n.to_string()),
        _ => Envelope::text("x").to_bytes("", "q", &n.to_string()),
    };
    let pushes = (0..COUNT).map(|n| Command::LPush { key: "q".into(), value: payload(n) });
    run(&executor, pushes.collect()).await;
    let queues = ["q".to_owned()];
    let take =
        Take { layout: &layout, queues: &queues, limit: COUNT, in_turn: true, owner: Some("somebody.0") };
    let taken = executor.take(&take).await.expect("taken");
    assert_eq!(taken.len(), COUNT);
    for (n, taken) in taken.iter().enumerate() {
        match taken {
            Taken::Message { delivery, payload: found, .. } => {
                assert_eq!((&**delivery, found), (&*format!("{n}#somebody.0.{n}#q"), &payload(n)));
            }
            other => assert!(n % 100 == 50 && matches!(other, Taken::Quarantined { .. }), "{n}: {other:?}"),
        }
    }
    let records = executor.hash("unacked").await.expect("hash");
    assert_eq!(records.len(), COUNT - COUNT / 100);
    let since = executor.now().await.expect("now") + 1.0;
    let overdue = Overdue { layout: &layout, before: since, skip: 0, limit: COUNT };
    let overdue = executor.overdue(&overdue).await.expect("what is registered");
    assert_eq!(overdue.len(), records.len(), "each has its time");
    assert!(run(&executor, vec![Command::LLen { key: "q".into() }]).await == [Reply::Count(0)]);
}

async fn requeued_messages_come_last_or_first(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3"], 0).await;
    let mut consumer = consumer(&host, &["q"], prefetch(1));
    assert!(next(&mut consumer).await.requeue(Requeue::Last).await.expect("requeued"));
    let second = next(&mut consumer).await;
    assert_eq!((text(&second), second.redelivered()), ("2".into(), false));
    assert!(second.requeue(Requeue::Front).await.expect("requeued"));
    let again = next(&mut consumer).await;
    assert_eq!((text(&again), again.redelivered()), ("2".into(), true));
    again.ack().await.expect("acked");
    assert_eq!(drain(&mut consumer, 2).await, ["3", "1"]);
}

async fn deliveries_are_counted(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1"], 6).await;
    let mut consumer = consumer(&host, &["q"], prefetch(1));
    for count in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.delivery_count(), delivery.redelivered()), (count, count > 0));
        delivery.requeue(Requeue::Last).await.expect("requeued");
    }
    consumer.close().await.expect("closed");
    // It stays in the list of its priority.
    let list = Layout::default().list("q", Priority::new(6));
    assert_eq!(keys(host.executor()).await, [list]);
}

async fn recover_returns_everything_and_goes_on(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3"], 0).await;
    let mut consumer = consumer(&host, &["q"], ConsumerOptions::default());
    let first = next(&mut consumer).await;
    assert_eq!(consumer.recover().await, Ok(3));
    assert!(!first.ack().await.expect("no longer ours"));
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    assert_eq!((text(&first), first.redelivered()), ("1".into(), true));
    assert_eq!((text(&second), second.redelivered()), ("2".into(), false));
}

async fn without_acks_nothing_is_registered(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2"], 0).await;
    let options = ConsumerOptions { no_ack: true, ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["q"], options);
    for body in ["1", "2"] {
        let delivery = next(&mut consumer).await;
        assert_eq!((text(&delivery), delivery.id()), (body.to_owned(), ""));
        assert!(delivery.ack().await.expect("nothing to do"));
        assert!(!delivery.requeue(Requeue::Last).await.expect("nothing to put back"));
    }
    assert_eq!(keys(host.executor()).await, Vec::<String>::new());
}

async fn a_delivery_that_was_restored_is_not_settled_twice(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1"], 0).await;
    let mut consumer = consumer(&host, &["q"], prefetch(1));
    let delivery = next(&mut consumer).await;
    // Somebody else's restore takes the record.
    run(host.executor(), plan::ack(host.layout(), delivery.id()).commands).await;
    assert!(!delivery.requeue(Requeue::Last).await.expect("requeued"));
    assert_eq!(host.count("q").await.expect("count"), 0);
    assert!(is_idle(&mut consumer).await, "it was put back all the same");
}

/// The visibility timeout of others has passed: the same message is in two hands, and each settles its own delivery.
async fn a_late_ack_cannot_touch_the_next_delivery(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1"], 0).await;
    let mut slow = consumer(&host, &["q"], prefetch(1));
    let first = next(&mut slow).await;
    let executor = host.executor();
    let restored = host.restore(Duration::ZERO).await.expect("restored");
    assert_eq!(restored.restored, 1);
    let taken = executor.take(&Take::one(host.layout(), &["q".to_owned()], "other")).await.expect("taken");
    let [Taken::Message { delivery, .. }] = &taken[..] else {
        // The slow one may have been faster; then there is nothing to show.
        let again = next(&mut slow).await;
        assert_ne!(again.id(), first.id());
        return;
    };
    assert!(!first.ack().await.expect("late"));
    assert_eq!(executor.hash("unacked").await.expect("hash")[0].0, *delivery);
}

async fn tags_may_be_reused(executor: impl Executor) {
    let payload = Envelope::text("x").to_bytes("", "q", "same");
    for _ in 0..3 {
        run(&executor, vec![Command::LPush { key: "q".into(), value: payload.clone() }]).await;
    }
    let host = host(executor);
    let mut consumer = consumer(&host, &["q"], ConsumerOptions::default());
    let first = next(&mut consumer).await;
    until_held(host.executor(), 3).await;
    assert!(first.ack().await.expect("acked"));
    assert_eq!(held(host.executor()).await, 2);
    assert_eq!(consumer.close().await, Ok(2));
    assert_eq!(host.count("q").await.expect("count"), 2);
}

async fn a_queue_that_is_named_twice_is_one(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3"], 0).await;
    let mut consumer = consumer(&host, &["q", "other", "q"], ConsumerOptions::default());
    assert_eq!(drain(&mut consumer, 3).await, ["1", "2", "3"]);
    assert!(is_idle(&mut consumer).await, "a message came twice");
    assert_eq!(keys(host.executor()).await, Vec::<String>::new());
}

async fn waiting_ends_with_a_push(executor: impl Executor) {
    let host = host(executor);
    let mut consumer = consumer(&host, &["other", "q"], ConsumerOptions::default());
    for priority in [0, 9] {
        assert!(is_idle(&mut consumer).await);
        put(&host, "q", &["late"], priority).await;
        assert_eq!(drain(&mut consumer, 1).await, ["late"]);
    }
}

async fn what_was_left_behind_is_restored_in_order(executor: impl Executor) {
    let host = host(executor);
    let executor = host.executor();
    leave_behind(executor, "q", "oldest", 300.0).await;
    leave_behind(executor, "q", "younger", 200.0).await;
    leave_behind(executor, "q", "alive", 1.0).await;
    // Registered by a clock that is ahead.
    leave_behind(executor, "q", "future", -100.0).await;
    put(&host, "q", &["waiting"], 0).await;
    let restored = host.restore(Duration::from_secs(100)).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count, restored.locked), (2, 0, false));
    assert_eq!(held(executor).await, 2);
    for (body, again) in [("oldest", true), ("younger", true), ("waiting", false)] {
        let message = host.get("q").await.expect("got").expect("a message");
        assert_eq!((message.body.as_text(), message.redelivered), (Some(body), again));
    }
    // A consumer does it by itself.
    let options =
        ConsumerOptions { visibility_timeout: Duration::from_millis(900), ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["other", "q"], options);
    assert_eq!(drain(&mut consumer, 1).await, ["alive"]);
}

async fn what_is_held_by_the_living_is_not_restored(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["long"], 0).await;
    let timeout = Duration::from_millis(400);
    let options = ConsumerOptions { visibility_timeout: timeout, ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["q"], options.clone());
    let delivery = next(&mut consumer).await;
    tokio::time::sleep(timeout * 4).await;
    assert!(is_idle(&mut consumer).await, "it was restored");
    assert!(delivery.ack().await.expect("still ours"));
    // Without the heartbeat it is.
    put(&host, "q", &["long"], 0).await;
    let mut mute = self::consumer(&host, &["q"], ConsumerOptions { heartbeat: false, ..options });
    consumer.cancel("q").await.expect("cancelled");
    let delivery = next(&mut mute).await;
    let again = next(&mut mute).await;
    assert_eq!((text(&again), again.redelivered()), ("long".into(), true));
    assert!(!delivery.ack().await.expect("late"));
    assert!(again.ack().await.expect("acked"));
}

async fn poison_is_put_aside_and_the_others_flow(executor: impl Executor) {
    let bad: [&[u8]; 6] = [
        b"\xff garbage",
        br#"{"properties": {}}"#,
        br#"{"body": "_", "properties": {"delivery_tag": "t", "body_encoding": "base64"}}"#,
        br#"{"body": "", "properties": {"delivery_tag": "t", "body_encoding": "rot13"}}"#,
        br#"{"properties": {"delivery_tag": "t"}}"#,
        br#"{"body": "x", "n": NaN, "properties": {"delivery_tag": "t"}}"#,
    ];
    let host = host(executor);
    let list = quarantine_list(host.layout(), "q");
    for no_ack in [false, true] {
        let good = Envelope::text("good").to_bytes("", "q", "t");
        for payload in bad.iter().copied().chain([&good[..]]) {
            run(host.executor(), vec![Command::LPush { key: "q".into(), value: payload.to_vec() }]).await;
        }
        // What is put aside is not held any more: there are more of them than may be held.
        let options = ConsumerOptions { no_ack, ..prefetch(2) };
        let mut consumer = consumer(&host, &["q"], options);
        let (mut good, mut quarantined) = (0, Vec::new());
        while good + quarantined.len() < 7 {
            match consumer.next(PATIENCE).await.expect("an event") {
                Next::Delivery(delivery) => {
                    assert_eq!(text(&delivery), "good");
                    good += 1;
                    delivery.ack().await.expect("acked");
                }
                Next::Quarantined { queue, list: to, reason } => {
                    assert_eq!((queue.as_str(), &to), ("q", &list));
                    quarantined.push(reason);
                }
                Next::Idle => panic!("{good} good, {} in quarantine", quarantined.len()),
            }
        }
        assert!(quarantined.iter().any(|reason| reason.contains("`rot13`")), "{quarantined:?}");
        consumer.close().await.expect("closed");
    }
    assert_eq!(held(host.executor()).await, 0);
    let kept = run(host.executor(), vec![Command::LLen { key: list.clone() }]).await;
    assert_eq!(kept, [Reply::Count(12)]);
    let mut found = Vec::new();
    for _ in 0..12 {
        match &run(host.executor(), vec![Command::RPop { key: list.clone() }]).await[..] {
            [Reply::Value(Some(payload))] => found.push(payload.clone()),
            other => panic!("{other:?}"),
        }
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), bad.len(), "byte for byte");
}

async fn a_list_of_another_type_is_named_once_and_the_others_flow(executor: impl Executor) {
    let add = Command::ZAdd { key: "bad".into(), score: 1.0, member: "celery-redis-plus".into() };
    run(&executor, vec![add]).await;
    let host = host(executor);
    put(&host, "good", &["1"], 0).await;
    let mut consumer = consumer(&host, &["bad", "good"], prefetch(1));
    let (mut errors, mut bodies) = (Vec::new(), Vec::new());
    while errors.is_empty() || bodies.len() < 2 {
        match consumer.next(PATIENCE).await {
            Ok(Next::Delivery(delivery)) => {
                bodies.push(text(&delivery));
                delivery.ack().await.expect("acked");
                if bodies.len() == 1 {
                    put(&host, "good", &["2"], 0).await;
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(errors, [ExecuteError::WrongType { key: "bad".into(), command: "RPOP" }]);
    assert_eq!(bodies, ["1", "2"]);
    run(host.executor(), vec![Command::Del { key: "bad".into() }]).await;
    put(&host, "bad", &["mended"], 0).await;
    assert_eq!(drain(&mut consumer, 1).await, ["mended"]);
}

/// A take that is full before it comes to a queue says nothing of it.
async fn a_quarantine_of_another_type_is_named_once_whoever_comes_first(executor: impl Executor) {
    let quarantine = quarantine_list(&Layout::default(), "bad");
    let add = Command::SAdd { key: quarantine.clone(), member: b"x".to_vec() };
    let push = Command::LPush { key: "bad".into(), value: b"no message".to_vec() };
    run(&executor, vec![add, push]).await;
    let host = host(executor);
    let options = ConsumerOptions { queue_order_strategy: QueueOrder::Priority, ..prefetch(1) };
    let mut consumer = consumer(&host, &["good", "bad"], options);
    let error = consumer.next(PATIENCE).await.expect_err("it is told of");
    assert_eq!(error, ExecuteError::WrongType { key: quarantine.as_str().into(), command: "LPUSH" });
    for body in ["1", "2"] {
        put(&host, "good", &[body], 0).await;
        assert_eq!(drain(&mut consumer, 1).await, [body]);
        assert!(is_idle(&mut consumer).await, "it was told again");
    }
    run(host.executor(), vec![Command::Del { key: quarantine }]).await;
    assert!(matches!(consumer.next(PATIENCE).await, Ok(Next::Quarantined { .. })));
}

/// What only its reader finds to be no message waits in this process while its quarantine takes none.
async fn without_acks_no_more_is_put_aside_than_goes_there(executor: impl Executor) {
    const COUNT: i64 = 200;
    let quarantine = quarantine_list(&Layout::default(), "q");
    let add = Command::SAdd { key: quarantine.clone(), member: b"x".to_vec() };
    let poison =
        br#"{"body": "_", "headers": {}, "properties": {"delivery_tag": "t", "body_encoding": "base64"}}"#;
    let push = || Command::LPush { key: "q".into(), value: poison.to_vec() };
    run(&executor, std::iter::once(add).chain((0..COUNT).map(|_| push())).collect()).await;
    let host = host(executor);
    let mut consumer = consumer(&host, &["q"], ConsumerOptions { no_ack: true, ..prefetch(8) });
    let error = consumer.next(PATIENCE).await.expect_err("it is told of");
    assert_eq!(error.code(), "wrong-type");
    assert!(matches!(consumer.next(Duration::from_millis(500)).await, Ok(Next::Idle)));
    assert!(host.count("q").await.expect("count") >= COUNT - 8, "all of it was taken");
    run(host.executor(), vec![Command::Del { key: quarantine.clone() }]).await;
    for _ in 0..COUNT {
        assert!(matches!(consumer.next(PATIENCE).await, Ok(Next::Quarantined { .. })));
    }
    let kept = run(host.executor(), vec![Command::LLen { key: quarantine }]).await;
    assert_eq!((kept, held(host.executor()).await), (vec![Reply::Count(COUNT)], 0));
}

/// What a consumer took and never heard of is registered under its name.
async fn a_lost_answer_is_found_again(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2"], 6).await;
    let (layout, queues) = (host.layout(), ["q".to_owned()]);
    let take = Take { limit: 5, ..Take::one(layout, &queues, "me.3") };
    assert_eq!(host.executor().take(&take).await.expect("taken").len(), 2);
    let owned = host.executor().owned(layout, "me").await.expect("owned");
    assert_eq!(owned.len(), 2);
    assert!(host.executor().owned(layout, "m").await.expect("owned").is_empty());
    assert!(host.executor().owned(layout, "me.4").await.expect("owned").is_empty());
}
