//! A short run of what the bench does, without a clock: keyrail's answers are compared with the oracle's on small and
//! hostile tables.

use keyrail_core::{Message, Outcome, Routes};
use keyrail_workload::{
    Bindings, Digest, DirectWorkload, Hash, Keys, Kind, Loaded, Oracle, TopicWorkload,
    adversarial::adversaries,
    headers::{self, HeadersWorkload},
};

const KEYS: usize = 2_000;

/// The digests of keyrail and of the oracle over the first keys.
fn digests(kind: Kind, table: &Bindings, keys: &Keys, count: usize) -> (Digest, Digest) {
    let loaded = Loaded::new(kind, table).unwrap();
    let oracle = Oracle::new(kind, Hash::ZeroOrMore, table).unwrap();
    let (mut ours, mut theirs) = (Digest::new(), Digest::new());
    let (mut routes, mut queues) = (Routes::new(), Vec::new());
    for key in keys.iter().take(count) {
        let table = if kind == Kind::Headers { headers::parse(key).unwrap() } else { Default::default() };
        let message = Message::new(key).headers(&table).unwrap();
        let outcome = loaded.route(&message, &mut routes);
        queues.clear();
        queues.extend(loaded.numbers(&routes));
        assert_eq!(outcome == Outcome::Routed, !queues.is_empty());
        ours.add(&mut queues);
        assert_eq!(queues.len(), routes.len(), "a queue came twice");

        oracle.route(key, &mut queues).unwrap();
        theirs.add(&mut queues);
    }
    (ours, theirs)
}

fn agree(name: &str, kind: Kind, table: &Bindings, keys: &Keys, count: usize) {
    let (ours, theirs) = digests(kind, table, keys, count);
    assert_eq!(ours.keys(), count.min(keys.len()), "{name}");
    assert_eq!((ours.first(), ours.value()), (theirs.first(), theirs.value()), "{name}");
}

#[test]
fn topics_agree_with_the_oracle() {
    for size in [10, 1_000] {
        let mut workload = TopicWorkload::new(size);
        let table = Bindings::from_rows(workload.rows());
        let trailing = Bindings::from_rows(workload.trailing_rows());
        let unique = workload.unique_keys(KEYS);
        let repeated: Keys = workload.repeated_keys(&unique, 200, KEYS).collect();
        let unique: Keys = unique.iter().collect();
        for (name, table) in [("topic", &table), ("topicend", &trailing)] {
            agree(&format!("{name} {size} unique"), Kind::Topic, table, &unique, KEYS);
            agree(&format!("{name} {size} repeated"), Kind::Topic, table, &repeated, KEYS);
        }
    }
}

/// The formula and the bytes together: numbers that other implementations of both came to.
#[test]
fn digests_are_those_on_record() {
    let mut workload = TopicWorkload::new(1_000);
    let table = Bindings::from_rows(workload.rows());
    let keys: Keys = workload.unique_keys(KEYS).iter().collect();
    let (ours, _) = digests(Kind::Topic, &table, &keys, KEYS);
    assert_eq!((ours.first(), ours.value()), (3_777_509_010, 701_957_568));

    let [chains, ..] = adversaries();
    let (ours, _) =
        digests(Kind::Topic, &Bindings::from_rows(&chains.rows), &chains.keys.iter().collect(), 50);
    assert_eq!(ours.value(), 2_734_106_889);
}

#[test]
fn direct_keys_agree_with_the_oracle() {
    for size in [10, 1_000] {
        let mut workload = DirectWorkload::new(size);
        let table = Bindings::from_rows(workload.rows());
        let repeated: Keys = workload.repeated_keys(KEYS).collect();
        let spread: Keys = workload.spread_keys(KEYS).collect();
        agree(&format!("direct {size} repeated"), Kind::Direct, &table, &repeated, KEYS);
        agree(&format!("direct {size} spread"), Kind::Direct, &table, &spread, KEYS);
    }
}

#[test]
fn fanouts_and_headers_agree_with_the_oracle() {
    let rows: Vec<_> = (0..1_000).map(|queue| (String::new(), queue)).collect();
    let keys: Keys = ["", "any.key"].into_iter().collect();
    agree("fanout", Kind::Fanout, &Bindings::from_rows(&rows), &keys, 2);

    let mut workload = HeadersWorkload::new(400);
    let table = Bindings::from_rows(workload.rows());
    let messages: Keys = workload.messages(500).collect();
    agree("headers", Kind::Headers, &table, &messages, 500);
    let (ours, _) = digests(Kind::Headers, &table, &messages, 500);
    assert!(ours.average() > 0.3, "the messages hardly match anything: {}", ours.average());
}

/// Few keys: the oracle asks all of ten thousand bindings.
#[test]
fn adversaries_agree_with_the_oracle() {
    for (number, adversary) in (1..).zip(adversaries()) {
        let table = Bindings::from_rows(&adversary.rows);
        let keys: Keys = adversary.keys.iter().collect();
        assert!(keys.iter().all(|key| key.len() <= 255));
        agree(&format!("adversary {number}"), Kind::Topic, &table, &keys, 10);
    }
}
