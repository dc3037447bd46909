//! No routing key makes a route take more steps than the table admits to: a search for the worst key, on random tables
//! and on those that were made to be bad. Steps are counted where debug assertions are on.
#![cfg(debug_assertions)]

use keyrail_core::{
    Binding, Dialect, Exchange, ExchangeId, ExchangeKind, Message, Outcome, Queue, Router, Routes,
};
use keyrail_workload::{Hash, Random, Row, adversarial::adversaries, topic_matches};
use proptest::{collection::vec, prelude::*, sample::select};

struct Table {
    router: Router,
    exchange: ExchangeId,
    patterns: Vec<String>,
    /// Never more than one state for each word of each pattern, and one for its end.
    states: usize,
    routes: Routes,
    /// Knows no automaton: what the index takes, which nothing may hide.
    cold: Routes,
}

impl Table {
    fn new(dialect: Dialect, patterns: impl IntoIterator<Item = String>) -> Self {
        let mut router = Router::new();
        let exchange = router.declare_exchange("e", Exchange::new(ExchangeKind::Topic)).unwrap();
        let mut bound = Vec::new();
        for pattern in patterns {
            let queue = router.declare_queue(&bound.len().to_string(), Queue::new()).unwrap();
            // What Kombu could not execute is refused.
            if router.bind(exchange, queue, &Binding::new(&pattern).dialect(dialect)).is_ok() {
                bound.push(pattern);
            }
        }
        let states = bound.iter().map(|pattern| pattern.split('.').count() + 1).sum();
        Table {
            router,
            exchange,
            patterns: bound,
            states,
            routes: Routes::without_cache(),
            cold: Routes::without_memory(),
        }
    }

    /// The steps for a key, with an automaton or without, whichever are more; they are within what the table says, and
    /// within words times states.
    fn work(&mut self, key: &str, words_times_states: bool) -> u64 {
        let outcome = self.router.route(self.exchange, &Message::new(key), &mut self.routes);
        assert_ne!(outcome, Outcome::UnknownExchange);
        assert_eq!(self.router.route(self.exchange, &Message::new(key), &mut self.cold), outcome);
        assert_eq!(self.routes.queues(), self.cold.queues(), "{key}");
        let work = self.routes.work().max(self.cold.work());
        let most = self.router.worst_case(self.exchange).unwrap();
        assert!(work <= most, "{work} steps, and at most {most} were promised: {key}");
        let words = key.split('.').count() + 1;
        // A key that no binding is asked for is looked at all the same.
        let bound = words as u64 * self.states.max(4) as u64;
        assert!(
            !words_times_states || work <= bound,
            "{work} steps for {words} words and {} states: {key}",
            self.states
        );
        work
    }

    /// Climbs from a key to worse ones, a change at a time; gives the worst it came to.
    fn search(
        &mut self,
        start: &str,
        tries: usize,
        random: &mut Random,
        words_times_states: bool,
    ) -> (u64, String) {
        let vocabulary: Vec<String> =
            self.patterns.iter().take(200).flat_map(|key| key.split('.')).map(str::to_owned).collect();
        let mut best = (self.work(start, words_times_states), start.to_owned());
        for _ in 0..tries {
            let key = changed(&best.1, &vocabulary, random);
            let work = self.work(&key, words_times_states);
            if work >= best.0 {
                best = (work, key);
            }
        }
        best
    }
}

/// The key with a word or several replaced, put in, left out or doubled; not longer than AMQP allows.
fn changed(key: &str, vocabulary: &[String], random: &mut Random) -> String {
    let mut words: Vec<&str> = key.split('.').collect();
    let word = match vocabulary {
        [] => "",
        words => match &*words[random.index(words.len())] {
            "*" | "#" => "a",
            word => word,
        },
    };
    let at = random.index(words.len());
    match random.below(5) {
        0 => words[at] = word,
        1 => words.insert(at, word),
        2 if words.len() > 1 => drop(words.remove(at)),
        3 => words.extend_from_within(at..),
        _ => words.truncate(at + 1),
    }
    let mut key = words.join(".");
    while key.len() > 255 {
        key.pop();
    }
    key
}

fn pattern() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => select(vec!["a", "b", "ab", "", "z"]),
        3 => Just("#"),
        3 => Just("*"),
        1 => select(vec!["a*", "*a", "b*c"]),
    ];
    prop_oneof![
        8 => vec(word, 1..10).prop_map(|words| words.join(".")),
        1 => (1..64_usize).prop_map(|times| format!("{}z", "#.a.".repeat(times).chars().take(250).collect::<String>())),
        1 => (1..120_usize).prop_map(|times| format!("{}z", "*.".repeat(times))),
        1 => (1..100_usize).prop_map(|times| format!("{}#.z", "a.".repeat(times))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_is_worse_than_the_table_says(
        patterns in vec(pattern(), 0..40),
        dialect in select(vec![Dialect::Amqp, Dialect::Amqp, Dialect::Kombu57, Dialect::Kombu56]),
        seed in any::<u64>(),
    ) {
        let mut table = Table::new(dialect, patterns);
        let mut random = Random::new(seed);
        let amqp = dialect == Dialect::Amqp;
        for start in ["a", "a.a.a.a.a.a.a.a.b", ""] {
            let (_, worst) = table.search(start, 150, &mut random, amqp);
            if amqp {
                table.work(&worst, true);
                let wanted = |pattern: &&String| topic_matches(pattern.as_bytes(), worst.as_bytes(), Hash::ZeroOrMore);
                prop_assert_eq!(table.routes.len(), table.patterns.iter().filter(wanted).count(), "{}", worst);
            }
        }
    }
}

/// The four tables that break backtracking, tries, shared prefixes and indexes by first word.
#[test]
fn the_hostile_tables_keep_their_word() {
    for (number, adversary) in (1..).zip(adversaries()) {
        let patterns = adversary.rows.iter().map(|(pattern, _): &Row| pattern.clone());
        let mut table = Table::new(Dialect::Amqp, patterns);
        let mut random = Random::new(number);
        let mut worst = 0;
        for key in adversary.keys.iter().take(10) {
            worst = worst.max(table.search(key, 40, &mut random, true).0);
        }
        let most = table.router.worst_case(table.exchange).unwrap();
        println!("hostile table {number}: {worst} steps found, {most} admitted, {} states", table.states);
        assert!(worst > 0);
        // Far from a state moved at every word: 257 words times the states.
        assert!(worst < 257 * table.states as u64 / 2, "{worst} of {}", table.states);
    }
}

/// Adjoining `#` are one, and nothing is tried twice: a word is looked up, and one state is moved by it.
#[test]
fn a_pattern_of_many_hashes_takes_few_steps_a_word() {
    let key = format!("{}b", "a.".repeat(127));
    let mut table = Table::new(Dialect::Amqp, ["#.#.#.#.#.z".to_owned()]);
    assert!(table.work(&key, true) <= 2 * 128);
    let mut table = Table::new(Dialect::Amqp, [format!("{}z", "#.a.".repeat(62))]);
    let (worst, found) = table.search(&key, 500, &mut Random::new(1), true);
    assert!(worst <= 4 * 257, "{worst} steps for one pattern: {found}");
}
