//! Experiments on Kombu that lost, doubled or stranded messages, and on what would not: each with the test that shows what
//! keyrail does in that place.

use crate::{inventory::assert_shown, wire::capture};

/// The experiments of a recording, each with a test.
type Experiments = &'static [(&'static str, &'static str)];

const LOSSES: Experiments = &[
    ("brpop_window_sigstop", "host-redis/tests/kill/main.rs::twenty_kills_lose_nothing"),
    (
        "brpop_window_between_pop_and_register",
        "host-redis/tests/kill/main.rs::without_the_atomic_take_the_harness_reports_a_loss",
    ),
    ("basic_get_window", "host-redis/tests/reconnect.rs::what_a_get_took_whose_answer_is_lost_comes_back"),
    ("shared_delivery_tag", "host-redis/tests/consumer.rs::tags_may_be_reused"),
    (
        "restore_duplicates_to_all_queues",
        "tests/interop/test_kombu.py::test_what_a_killed_keyrail_held_is_restored_by_kombu_to_its_queue_alone",
    ),
    (
        "requeue_duplicates_to_all_queues",
        "host-redis/tests/consumer.rs::requeued_messages_come_last_or_first",
    ),
    (
        "restore_by_process_without_exchange",
        "host-redis/tests/restore.rs::what_leads_nowhere_stays_and_is_named",
    ),
    ("restore_after_binding_removed", "host-redis/tests/restore.rs::what_leads_nowhere_stays_and_is_named"),
    ("binding_table_lost", "host-redis/tests/reconnect.rs::flushing_everything_stops_nobody"),
    (
        "visibility_double_delivery_then_loss",
        "host-redis/tests/consumer.rs::a_late_ack_cannot_touch_the_next_delivery",
    ),
    (
        "fanout_no_subscriber",
        "host-redis/tests/reconnect.rs::a_durable_fanout_keeps_what_its_subscribers_missed",
    ),
    (
        "fanout_reconnect_gap",
        "host-redis/tests/reconnect.rs::a_listener_listens_again_and_says_that_there_was_a_gap",
    ),
    ("poison_payloads", "host-redis/tests/consumer.rs::poison_is_put_aside_and_the_others_flow"),
    (
        "partial_multi_queue_publish",
        "host-redis/tests/all_or_nothing.rs::a_publish_of_which_one_copy_cannot_be_written_writes_none",
    ),
    ("lost_reply_duplicates_lpush", "host-redis/tests/once.rs::once_leaves_one_copy_whatever_was_lost"),
    ("lost_reply_ack", "host-redis/tests/reconnect.rs::an_ack_whose_answer_is_lost_is_done"),
    ("sweep_deletes_foreign_bindings", "host-redis/tests/expiring.rs::what_is_overdue_is_swept"),
    (
        "stale_members_survive_sweep",
        "host-redis/tests/operations.rs::a_deletion_knows_the_rows_of_every_dialect_and_process",
    ),
    ("kill9_leaks_fanout_binding", "host-redis/tests/captures/fanout.rs::nothing_is_left_of_what_was_heard"),
    ("wrong_priority_steps_stranded", "host-redis/tests/doctor.rs::lists"),
    (
        "bad_topic_binding_poisons_exchange",
        "host-redis/tests/producer.rs::bad_rows_bad_keys_and_bad_bodies_stop_nobody_else",
    ),
    ("two_fanout_queues_one_channel", "host-redis/tests/executors.rs::subscribers_hear_their_patterns"),
    (
        "fanout_exchange_with_slash",
        "host-redis/tests/names.rs::fanout_names_that_kombu_cannot_live_with_are_refused",
    ),
    (
        "queue_named_like_priority_key",
        "host-redis/tests/names.rs::a_separator_in_a_name_is_refused_wherever_it_is_written",
    ),
    (
        "restore_watch_contention",
        "host-redis/tests/restore.rs::ten_thousand_are_restored_beside_a_busy_writer",
    ),
];

const REMEDIES: Experiments = &[
    (
        "atomic_pop_then_kill_then_kombu_restores",
        "tests/interop/test_kombu.py::test_what_a_killed_keyrail_held_is_restored_by_kombu_to_its_queue_alone",
    ),
    ("atomic_pop_poison", "host-redis/tests/consumer.rs::poison_is_put_aside_and_the_others_flow"),
    (
        "producer_side_unique_tags_and_anon_delivery_info",
        "tests/interop/test_kombu.py::test_copies_have_delivery_tags_of_their_own",
    ),
    ("blmove_peek", "host-redis/tests/executors.rs::waiting_ends_with_a_push"),
    ("client_tracking_invalidation", "host-redis/tests/producer.rs::changes_of_others_are_followed"),
    (
        "cached_table_publish_rate",
        "host-redis/tests/producer.rs::once_the_table_is_read_a_copy_costs_one_push_at_10_and_at_10_000_bindings",
    ),
    ("lua_restore_no_watch", "host-redis/tests/restore.rs::ten_thousand_are_restored_beside_a_busy_writer"),
];

fn check(name: &str, experiments: Experiments) {
    let recorded = capture(name);
    let recorded = recorded.as_object().expect("experiments");
    let mut listed: Vec<&str> = experiments.iter().map(|(experiment, _)| *experiment).collect();
    listed.sort_unstable();
    let mut names: Vec<&String> = recorded.keys().collect();
    names.sort_unstable();
    assert_eq!(names, listed, "{name}");
    experiments.iter().for_each(|(_, shown)| assert_shown(shown));
}

#[test]
fn experiments() {
    check("results", LOSSES);
    check("fixes_results", REMEDIES);
}

/// No SIGTERM and no SIGQUIT lost a message of Celery's, and SIGKILL did: what keyrail promises in both cases has its own
/// test.
#[test]
fn orderly_shutdowns() {
    let recorded = capture("worker_shutdown");
    let (mut orderly, mut killed) = (Vec::new(), Vec::new());
    for (signal, runs) in recorded.as_object().expect("signals") {
        let lost = runs.as_array().expect("runs").iter().map(|run| run["LOST"].as_i64().expect("a number"));
        if signal.starts_with("SIGKILL") { killed.extend(lost) } else { orderly.extend(lost) }
    }
    assert_eq!(orderly, vec![0; 15]);
    assert!(killed.iter().any(|lost| *lost > 0), "{killed:?}");
    assert_shown("host-redis/tests/kill/main.rs::twenty_kills_lose_nothing");
}
