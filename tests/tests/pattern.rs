//! The pattern language against brute force: every short key over a small alphabet.

use std::sync::LazyLock;

use keyrail_conformance::model::{kombu_pattern, topic_matches};
use keyrail_core::{
    Dialect,
    pattern::{Budget, Found, Language, find_key},
};
use proptest::{collection::vec, prelude::*, sample::select};
use regex::Regex;

/// Every text of up to five of these characters. `x` is in no pattern, so that it stands for all others.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut keys = vec![String::new()];
    let mut from = 0;
    for _ in 0..5 {
        let to = keys.len();
        for at in from..to {
            for c in ['a', 'b', 'x', '.', '\n'] {
                keys.push(format!("{}{c}", keys[at]));
            }
        }
        from = to;
    }
    keys
});

fn pattern() -> impl Strategy<Value = (String, Dialect)> {
    let token = prop_oneof![
        4 => select(vec!["a", "b", "ab", ""]),
        3 => Just("*"),
        3 => Just("#"),
        1 => select(vec!["a*", "a*b", "#*", "a\n", "*a"]),
    ];
    let dialect = select(Dialect::ALL.to_vec());
    (vec(token, 0..4).prop_map(|tokens| tokens.join(".")), dialect)
}

/// Which of [`KEYS`] the model takes for a match; none if the pattern cannot be executed.
fn expected(pattern: &str, dialect: Dialect) -> Option<Vec<bool>> {
    if dialect == Dialect::Amqp {
        return Some(KEYS.iter().map(|key| topic_matches(pattern, dialect, key)).collect());
    }
    let text = kombu_pattern(pattern, dialect)?;
    let regex = Regex::new(&format!(r"^(?:{text})\n?\z")).unwrap();
    Some(KEYS.iter().map(|key| regex.is_match(key)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_language_is_what_the_model_matches((pattern, dialect) in pattern()) {
        let Some(expected) = expected(&pattern, dialect) else {
            prop_assert!(Language::topic(&pattern, dialect).is_err());
            return Ok(());
        };
        let language = Language::topic(&pattern, dialect).unwrap();
        for (key, expected) in KEYS.iter().zip(expected) {
            prop_assert_eq!(language.matches(key), expected, "{:?} {:?}", pattern, key);
        }
    }

    #[test]
    fn a_key_is_found_exactly_where_there_is_one(
        inside in vec(pattern(), 0..3),
        outside in vec(pattern(), 0..3),
    ) {
        let compile = |patterns: &[(String, Dialect)]| -> Vec<(Vec<bool>, Language)> {
            let compiled = patterns.iter().filter_map(|(pattern, dialect)| {
                Some((expected(pattern, *dialect)?, Language::topic(pattern, *dialect).ok()?))
            });
            compiled.collect()
        };
        let (inside, outside) = (compile(&inside), compile(&outside));
        let brute = KEYS.iter().enumerate().find(|(at, _)| {
            inside.iter().all(|(matches, _)| matches[*at]) && !outside.iter().any(|(matches, _)| matches[*at])
        });
        let languages = |list: &'_ [(Vec<bool>, Language)]| -> Vec<Language> {
            list.iter().map(|(_, language)| language.clone()).collect()
        };
        let (inside, outside) = (languages(&inside), languages(&outside));
        let (inside, outside): (Vec<_>, Vec<_>) = (inside.iter().collect(), outside.iter().collect());
        match find_key(&inside, &outside, &mut Budget::default()) {
            Found::Undecided => prop_assert!(false, "patterns this small are decided"),
            Found::None => prop_assert_eq!(brute, None),
            Found::Key(key) => {
                prop_assert!(inside.iter().all(|language| language.matches(&key)), "{:?}", key);
                prop_assert!(!outside.iter().any(|language| language.matches(&key)), "{:?}", key);
                // Shorter keys come first in the list, so the first one found has the least length. A key with `*` or `#`
                // in it is one that brute force does not try.
                let is_tried = key.len() <= 5 && !key.contains(&b'*') && !key.contains(&b'#');
                match brute {
                    Some((_, shortest)) if is_tried => prop_assert_eq!(key.len(), shortest.len()),
                    Some((_, shortest)) => prop_assert!(key.len() <= shortest.len()),
                    None => prop_assert!(!is_tried, "{:?} was missed by brute force", key),
                }
            }
        }
    }
}

#[test]
fn a_key_can_be_published() {
    // 128 words of at least a byte each, with dots: 255 bytes. One word more is too long.
    let longest = vec!["*"; 128].join(".");
    let longest = Language::topic(&longest, Dialect::Kombu57).unwrap();
    let Found::Key(key) = find_key(&[&longest], &[], &mut Budget::default()) else { panic!("there is one") };
    assert_eq!(key.len(), 255);
    let more = Language::topic(&format!("x{}", vec!["*"; 127].join(".")), Dialect::Amqp).unwrap();
    let and = Language::topic(&vec!["*"; 127].join("."), Dialect::Kombu57).unwrap();
    assert_eq!(find_key(&[&longest, &and], &[], &mut Budget::default()), Found::None);
    assert_eq!(find_key(&[&longest, &more], &[], &mut Budget::default()), Found::None);
}

#[test]
fn what_explodes_is_left_undecided_within_the_budget() {
    // The n-th word from the end: determinised, two to the power of n states.
    let pattern = |word: &str| format!("#.{word}.{}", vec!["*"; 40].join("."));
    let [a, b] = ["a", "b"].map(|word| Language::topic(&pattern(word), Dialect::Amqp).unwrap());
    let mut budget = Budget::new(100_000);
    let started = std::time::Instant::now();
    // Nothing is in both: 41 words before the end stands one word. To be sure of it takes too long.
    assert_eq!(find_key(&[&a, &b], &[], &mut budget), Found::Undecided);
    assert_eq!(budget.left(), 0);
    assert!(started.elapsed().as_secs() < 20);
}
