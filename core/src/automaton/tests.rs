use super::*;
use crate::{Binding, Exchange, ExchangeKind, Message, Queue, Routes};
use std::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

/// Small numbers without a pattern.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn words(&mut self, most: usize, from: &[&str]) -> String {
        let words: Vec<&str> = (0..=self.below(most)).map(|_| from[self.below(from.len())]).collect();
        words.join(".")
    }
}

/// By the definition.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    match pattern {
        [] => key.is_empty(),
        ["#", rest @ ..] => (0..=key.len()).any(|taken| matches(rest, &key[taken..])),
        [first, rest @ ..] => {
            key.first().is_some_and(|word| *first == "*" || first == word) && matches(rest, &key[1..])
        }
    }
}

fn split(key: &str) -> Vec<&str> {
    if key.is_empty() { vec![] } else { key.split('.').collect() }
}

/// What was seen of the automaton of an exchange.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    restarts: usize,
    sleeps: usize,
    states: usize,
    was_asleep: bool,
}

impl Seen {
    fn look(&mut self, routes: &Routes, exchange: ExchangeId) {
        let machines = routes.automata().map_or(&[][..], |automata| &automata.machines);
        let Some(machine) = machines.iter().find(|machine| machine.exchange == exchange) else { return };
        let states = machine.states.len();
        self.restarts += usize::from(states < self.states);
        self.states = states;
        self.answered = self.answered.max(machine.pace.answered as usize);
        let asleep = matches!(machine.phase, Phase::Asleep(_));
        self.sleeps += usize::from(asleep && !self.was_asleep);
        self.was_asleep = asleep;
        assert!(machine.states.bytes() <= states::BYTES);
    }
}

struct Topic {
    router: Router,
    exchange: ExchangeId,
    patterns: BTreeSet<String>,
}

impl Topic {
    fn new() -> Self {
        let mut router = Router::new();
        let exchange = router.declare_exchange("e", Exchange::new(ExchangeKind::Topic)).unwrap();
        Topic { router, exchange, patterns: BTreeSet::new() }
    }

    fn toggle(&mut self, pattern: &str) {
        let queue = self.router.declare_queue(&format!("q{pattern}"), Queue::new()).unwrap();
        let binding = Binding::new(pattern);
        if self.patterns.insert(pattern.to_string()) {
            self.router.bind(self.exchange, queue, &binding).unwrap();
        } else {
            self.patterns.remove(pattern);
            self.router.unbind(self.exchange, queue, &binding).unwrap();
        }
    }

    /// Routes in two ways that must not differ, not even in the order of the queues; and as the definition says.
    fn check(&self, key: &str, kept: &mut Routes, anew: &mut Routes) {
        let message = Message::new(key);
        let outcome = self.router.route(self.exchange, &message, anew);
        assert_eq!(self.router.route(self.exchange, &message, kept), outcome);
        assert_eq!(kept.queues(), anew.queues(), "{key}");
        let most = self.router.worst_case(self.exchange).unwrap();
        assert!(kept.work() <= most, "{} steps for {key}, and at most {most} were promised", kept.work());
        let found: BTreeSet<&str> =
            kept.queues().iter().map(|id| &self.router.queue_name(*id).unwrap()[1..]).collect();
        let key = split(key);
        let wanted =
            self.patterns.iter().map(String::as_str).filter(|pattern| matches(&split(pattern), &key));
        assert_eq!(found, wanted.collect(), "{key:?}");
    }
}

const FEW_WORDS: [&str; 3] = ["a", "b", "c"];
const WORDS: [&str; 8] = ["a", "b", "", "longer-than-seven", "longer-than-sevem", "seven77", "eight888", "*"];

#[test]
fn answers_as_the_definition_does_while_bindings_come_and_go() {
    let mut noise = Noise(1);
    let mut seen = Seen::default();
    for round in 0..20 {
        let mut topic = Topic::new();
        let (mut kept, mut anew) = (Routes::without_cache(), Routes::without_memory());
        let alphabet: Vec<&str> = WORDS.iter().copied().chain(["#", "#", "*"]).collect();
        for _ in 0..30 + round * 3 {
            topic.toggle(&noise.words(6, &alphabet));
        }
        for _ in 0..5 {
            for _ in 0..150 {
                topic.check(
                    &noise.words(7, &[&WORDS[..], &["of-no-pattern", "x"]].concat()),
                    &mut kept,
                    &mut anew,
                );
                seen.look(&kept, topic.exchange);
            }
            topic.check("", &mut kept, &mut anew);
            topic.toggle(&noise.words(6, &alphabet));
        }
    }
    assert!(seen.answered > 50, "{seen:?}");
}

#[test]
fn starts_anew_when_it_is_full_and_sleeps_if_it_does_not_pay() {
    let mut noise = Noise(2);
    let mut topic = Topic::new();
    for _ in 0..60 {
        topic.toggle(&noise.words(8, &["a", "b", "c", "#", "#", "*"]));
    }
    let (mut kept, mut anew, mut seen) = (Routes::without_cache(), Routes::without_memory(), Seen::default());
    // Few keys, which pay; then keys that never come again.
    for round in 0..6_000 {
        let words = if round % 3_000 < 1_000 { 3 } else { 14 };
        topic.check(&noise.words(words, &FEW_WORDS), &mut kept, &mut anew);
        seen.look(&kept, topic.exchange);
    }
    assert!(seen.answered > 100 && seen.restarts > 2 && seen.sleeps > 1, "{seen:?}");
}

#[test]
fn serves_several_exchanges_and_routers() {
    let mut topics = [Topic::new(), Topic::new()];
    let other = topics[0].router.declare_exchange("other", Exchange::new(ExchangeKind::Topic)).unwrap();
    let mut noise = Noise(3);
    for topic in &mut topics {
        for _ in 0..30 {
            topic.toggle(&noise.words(5, &["a", "b", "#", "*"]));
        }
    }
    let queue = topics[0].router.declare_queue("only", Queue::new()).unwrap();
    for at in 0..20 {
        topics[0].router.bind(other, queue, &Binding::new(&format!("#.a.#.{at}"))).unwrap();
    }
    let (mut kept, mut anew, mut seen) = (Routes::without_cache(), Routes::without_memory(), Seen::default());
    for _ in 0..400 {
        let key = noise.words(5, &FEW_WORDS);
        topics[0].check(&key, &mut kept, &mut anew);
        seen.look(&kept, topics[0].exchange);
        let number = noise.below(25);
        let outcome = topics[0].router.route(other, &Message::new(&format!("a.{number}")), &mut kept);
        assert_eq!(outcome == crate::Outcome::Routed, number < 20);
    }
    assert!(seen.answered > 100, "{seen:?}");
    for _ in 0..50 {
        let key = noise.words(5, &FEW_WORDS);
        topics.iter().for_each(|topic| topic.check(&key, &mut kept, &mut anew));
    }
}

/// Reading patterns and building states is spread over the routes: none takes more than was promised, which `check` sees,
/// and all of it is done in the end.
#[test]
fn a_wide_table_is_built_a_little_at_a_time() {
    let mut topic = Topic::new();
    for stars in 0..256 {
        let words: Vec<&str> = (0..8).map(|at| if stars >> at & 1 == 1 { "*" } else { "a" }).collect();
        topic.toggle(&(words.join(".") + ".z"));
    }
    let (mut kept, mut anew, mut seen) = (Routes::without_cache(), Routes::without_memory(), Seen::default());
    for round in 0..200 {
        topic.check(
            ["a.a.a.a.a.a.a.a.z", "a.a.a.a.a.a.a.a.y", "b.a.a.a.a.a.a.a.z"][round % 3],
            &mut kept,
            &mut anew,
        );
        seen.look(&kept, topic.exchange);
    }
    assert!(seen.answered > 50, "{seen:?}");
    // A key that is known takes a look-up a word.
    topic.check("a.a.a.a.a.a.a.a.y", &mut kept, &mut anew);
    assert!(kept.work() <= 9, "{}", kept.work());
}

#[test]
fn too_much_is_left_to_the_index() {
    let mut topic = Topic::new();
    for number in 0..1_500 {
        let words: Vec<String> = (0..80).map(|at| format!("{}", at * number % 7)).collect();
        topic.toggle(&format!("#.{}.#.{number}", words.join(".")));
    }
    let (mut kept, mut anew, mut seen) = (Routes::without_cache(), Routes::without_memory(), Seen::default());
    for number in 0..400 {
        let key = format!("0.1.2.3.4.5.6.{number}");
        let message = Message::new(&key);
        let outcome = topic.router.route(topic.exchange, &message, &mut anew);
        assert_eq!(topic.router.route(topic.exchange, &message, &mut kept), outcome);
        assert_eq!(kept.queues(), anew.queues());
        seen.look(&kept, topic.exchange);
    }
    let machine = &kept.automata().unwrap().machines[0];
    assert!(matches!(machine.phase, Phase::Never) && seen.answered == 0, "{:?} {seen:?}", machine.phase);
}
