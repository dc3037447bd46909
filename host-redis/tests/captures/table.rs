//! The recordings, and who compares them.

/// What becomes of a recording.
pub(crate) struct Row {
    /// The file in `tests/captures`, without its ending.
    pub(crate) recording: &'static str,
    /// The sections of the specification of Kombu's wire that it belongs to.
    pub(crate) section: &'static str,
    /// The tests here that compare our bytes and commands with it.
    pub(crate) tests: &'static [&'static str],
    /// What of it is not compared, and why; empty if everything is.
    pub(crate) because: &'static str,
    /// Tests that show what keyrail does there.
    pub(crate) shown: &'static [&'static str],
}

/// All of it is compared.
const fn whole(recording: &'static str, section: &'static str, tests: &'static [&'static str]) -> Row {
    Row { recording, section, tests, because: "", shown: &[] }
}

/// Compared, but for this.
const fn but(
    recording: &'static str,
    section: &'static str,
    tests: &'static [&'static str],
    because: &'static str,
    shown: &'static [&'static str],
) -> Row {
    Row { recording, section, tests, because, shown }
}

pub(crate) const TABLE: &[Row] = &[
    but("ack_emulation_off", "5, 6", &["consuming::a_mark_at_the_top"], "Kombu rewrites what it puts back with the mark at the top, where it is read; keyrail puts back unread bytes as they came", &["host-redis/tests/consumer.rs::without_acks_closing_returns_what_nobody_read"]),
    whole("amq_defaults", "3.4", &["declaring::the_predeclared_direct_exchange"]),
    but("auto_delete_direct_queue", "2", &["declaring::queues_that_should_delete_themselves"], "the row of a fanout queue, which nobody reads: whoever listens with keyrail subscribes and writes none", &["host-redis/tests/captures/fanout.rs::nothing_is_left_of_what_was_heard"]),
    whole("basic_get", "6", &["consuming::held_messages"]),
    whole("bind_default_exchange", "1", &["declaring::what_leaves_nothing"]),
    whole("bind_direct", "2", &["declaring::rows_and_copies"]),
    whole("bind_expiring_queue", "2, 6.2", &["declaring::an_expiring_queue"]),
    whole("bind_fanout", "2", &["declaring::rows_and_copies"]),
    whole("bind_multi", "2", &["declaring::several_bindings_of_a_queue"]),
    but("bind_separator_in_key", "2, rule 4", &["declaring::a_separator_in_a_key"], "such a key makes every publish of Kombu raise: it is refused, and passed over where it is found", &["host-redis/tests/producer.rs::bad_rows_bad_keys_and_bad_bodies_stop_nobody_else"]),
    but("bind_topic", "2, 3.1", &["declaring::topic_rows"], "the key `**`, whose text no Python can compile, is refused (rule 4)", &["host-redis/tests/captures/findings.rs::three_readings_of_a_key"]),
    but("broadcast_queue", "2", &["fanout::nothing_is_left_of_what_was_heard"], "the row of a fanout queue, which nobody reads: only what is left is compared", &["host-redis/tests/executors.rs::subscribers_hear_their_patterns"]),
    whole("brpop_shape", "6", &["consuming::the_order_of_lists"]),
    but("cancel_with_brpop_outstanding", "6, 8.1", &["consuming::a_consumer_that_is_cancelled_while_it_waits"], "waiting takes nothing away, so nothing has to be put behind the others", &["host-redis/tests/consumer.rs::waiting_ends_with_a_push"]),
    whole("celery_acks_late_after_kill9", "9.1, 8.1", &["celery_worker::a_task_in_hand"]),
    whole("celery_acks_late_inflight", "9.1, 8.1", &["celery_worker::a_task_in_hand", "celery_tasks::every_recorded_task"]),
    but("celery_chord_backend_keys", "9.2", &["celery_worker::results"], "the bookkeeping of a chord: a task that carries one fails with a word", &["tests/interop/test_celery_worker.py::test_tasks_are_run_and_answered"]),
    but("celery_events_receiver", "9.3", &["celery_worker::signs_of_life", "celery_tasks::every_recorded_task"], "who listens is Celery: its question is replayed, and our beats compared", &["tests/interop/test_celery_worker.py::test_events_put_it_on_the_list_of_workers"]),
    but("celery_pidbox_ping", "9.3", &["celery_worker::remote_control"], "who asks is Celery: its questions and rows are replayed, and our answers compared", &["tests/interop/test_celery_worker.py::test_remote_control_is_answered"]),
    but("celery_prefetch_solo", "9.1", &["celery_tasks::every_recorded_task"], "Celery acks a task before it runs it unless told otherwise; keyrail once its result is stored", &["host-redis/tests/consumer.rs::no_more_is_held_than_prefetch_says"]),
    whole("celery_task_routed_topic", "9.1, 9.3", &["celery_tasks::a_task_through_a_topic_exchange", "celery_tasks::every_recorded_task"]),
    whole("celery_task_sent_event", "9.1, 9.3", &["celery_tasks::a_task", "celery_tasks::every_recorded_task"]),
    whole("celery_task_v2", "9.1, 9.3", &["celery_tasks::a_task", "celery_tasks::every_recorded_task"]),
    whole("celery_task_v2_chain_chord", "9.1, 9.3", &["celery_tasks::a_chain_and_a_group", "celery_tasks::every_recorded_task"]),
    whole("celery_task_v2_options", "9.1, 9.3", &["celery_tasks::a_task_with_options", "celery_tasks::every_recorded_task"]),
    but("celery_worker_running", "9", &["celery_worker::a_worker_from_start_to_end", "celery_tasks::every_recorded_task"], "gossip between workers and their greeting (`--without-gossip --without-mingle`) are left out, and the lines of a traceback are Python's; the events of a task come in as many messages as there are moments", &["tests/interop/test_celery_worker.py::test_events_put_it_on_the_list_of_workers"]),
    but("celery_worker_shutdown", "9", &["celery_worker::a_worker_from_start_to_end"], "gossip; the subscription ends with its connection; what runs ends before the worker says that it is gone", &["tests/interop/test_celery_worker.py::test_what_it_holds_goes_back_when_it_is_stopped"]),
    but("channel_close_restores", "6", &["consuming::a_consumer_that_closes"], "Kombu puts the oldest back first, so that it is taken last; keyrail keeps the order", &["host-redis/tests/consumer.rs::closing_returns_what_is_held_in_the_old_order"]),
    whole("consume_ack", "6", &["consuming::settled_messages"]),
    whole("consume_fanout", "4", &["fanout::listeners"]),
    whole("consume_no_ack", "6", &["consuming::nothing_is_registered_without_acks"]),
    whole("consume_unacked", "6", &["consuming::held_messages"]),
    but("deadletter_queue", "3.6", &["publishing::messages_for_nobody"], "what a topic exchange leads nowhere is kept as well, where Kombu drops it, and an unknown exchange is an error", &["host-redis/tests/producer.rs::what_nobody_gets_is_an_outcome_an_error_or_a_dead_letter"]),
    but("exchange_delete", "2", &["managing::deleting_what_others_bound"], "a deletion removes the bindings, whoever made them; Kombu deletes the empty ones of its own queues", &["host-redis/tests/operations.rs::a_deletion_knows_the_rows_of_every_dialect_and_process"]),
    but("fanout_consumed_with_ack", "4", &["fanout::nothing_is_left_of_what_was_heard"], "what is heard is not registered, so it cannot go back into lists that nobody reads", &["host-redis/tests/reconnect.rs::a_listener_listens_again_and_says_that_there_was_a_gap"]),
    but("fixes_results", "8.1, 8.2", &["experiments::experiments"], "no bytes: what was found by experiment, each with the test that shows the same of keyrail", &[]),
    whole("foreign_writer", "5, 9.1", &["findings::forms_of_other_writers", "celery_worker::tasks_of_other_writers"]),
    whole("global_keyprefix", "1", &["consuming::every_key_with_a_prefix"]),
    whole("mixed_versions", "3.1", &["findings::rows_of_several_versions"]),
    but("mutex", "6.1", &["consuming::what_a_kombu_left_behind"], "the lock is held for 30 s and renewed with each step, not for 300 s, and is not taken where nothing is overdue", &["host-redis/tests/restore.rs::a_restore_respects_kombus_lock"]),
    but("passive_declare", "6.2", &["managing::asking_for_a_queue"], "whether a queue exists is known from its bindings: an empty one exists, which Kombu denies", &["host-redis/tests/operations.rs::a_refusal_writes_nothing"]),
    whole("prefetch_stops_brpop", "6", &["consuming::one_at_a_time"]),
    whole("producer_batch", "7", &["publishing::a_batch"]),
    but("publish_body_encoding_utf8", "5", &["publishing::bodies_as_text_are_read"], "the specification asks for base64, since Kombu up to 5.3.7 loses such a message: it is read and never written", &["core/src/kombu/envelope.rs::kombus_bytes"]),
    but("publish_compression", "5", &["publishing::compressions_say_the_same_and_are_read_both_ways"], "what a compressor makes of a body may differ in every byte: the body is compared unpacked", &[]),
    whole("publish_custom_priority_steps", "1.1", &["publishing::priorities_and_their_lists"]),
    whole("publish_default_exchange", "3.4, 5", &["publishing::messages_without_an_exchange"]),
    whole("publish_direct_two_queues", "3.4", &["declaring::rows_and_copies"]),
    whole("publish_exchange_object_not_declared", "3.5", &["declaring::exchanges_that_others_declared"]),
    whole("publish_fanout", "4", &["publishing::fanout_channels"]),
    whole("publish_fanout_prefix_variants", "1, 4", &["publishing::fanout_channels"]),
    whole("publish_priorities", "1.1", &["publishing::priorities_and_their_lists"]),
    whole("publish_properties", "5", &["publishing::messages_without_an_exchange"]),
    whole("publish_retry_declares_once", "7", &["declaring::declared_once"]),
    but("publish_text_bytes_serializers", "5", &["publishing::serializers"], "keyrail writes neither YAML nor pickle", &["host-redis/tests/hostile.rs::what_nobody_should_decode_comes_as_bytes"]),
    whole("publish_topic_overlap", "3.4", &["declaring::rows_and_copies"]),
    whole("publish_typed_json", "5", &["publishing::typed_values"]),
    whole("purge", "2", &["managing::emptying_a_queue"]),
    whole("queue_args_ignored", "6.2", &["declaring::arguments_without_effect"]),
    whole("queue_delete_known", "2", &["managing::deleting_a_queue"]),
    but("queue_delete_unknown", "2", &["managing::deleting_what_others_bound"], "Kombu sends nothing for a queue that it has not bound itself; keyrail deletes it", &["host-redis/tests/operations.rs::a_deletion_knows_the_rows_of_every_dialect_and_process"]),
    but("queue_unbind", "2", &["managing::deleting_what_others_bound"], "Kombu only forgets the binding in its process, and the row keeps routing; keyrail removes it", &["host-redis/tests/operations.rs::an_unbind_removes_the_row_that_was_written"]),
    whole("redeclare_errors", "3.5", &["declaring::what_leaves_nothing"]),
    whole("reject_drop", "6", &["consuming::settled_messages"]),
    but("reject_requeue", "6", &["consuming::requeued_messages"], "beside the two marks there is a count, `x-delivery-count`", &["host-redis/tests/consumer.rs::deliveries_are_counted"]),
    but("results", "8", &["experiments::experiments"], "no bytes: what was found by experiment, each with the test that shows what keyrail does instead", &[]),
    whole("simple_queue", "2, 6", &["consuming::a_simple_queue"]),
    whole("topic_table", "3.3", &["findings::three_readings_of_a_key"]),
    but("two_consumers_one_connection", "6", &["consuming::two_consumers_of_a_queue"], "in Kombu the second consumer replaces the first and leaves none behind; here both get messages", &["host-redis/tests/consumer.rs::several_queues_take_turns"]),
    but("undeclared_exchange", "3.5, rule 2", &["declaring::exchanges_that_others_declared"], "an exchange with patterns is known to be a topic exchange, and an unknown one is an error", &["host-redis/tests/executors.rs::an_abandoned_table_is_no_exchange"]),
    whole("unroutable_no_deadletter", "3.6", &["publishing::messages_for_nobody"]),
    but("visibility_restore", "6.1", &["consuming::what_a_kombu_left_behind"], "each delivery moves in one script where Kombu watches; beside the two marks there is a count", &["host-redis/tests/restore.rs::ten_thousand_are_restored_beside_a_busy_writer"]),
    but("worker_shutdown", "6", &["experiments::orderly_shutdowns"], "counts of messages and no bytes", &["host-redis/tests/kill/main.rs::twenty_kills_lose_nothing"]),
];
