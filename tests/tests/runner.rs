//! The runner itself: whatever is wrong with a vector, an answer or a skip must turn the run red.

use std::{collections::BTreeMap, fs};

use keyrail_conformance::{
    question::asked,
    run::{Report, read, run},
    scenario::{AmqpScenario, Answer, KombuScenario, Scenario},
    skips::Skips,
    targets::{self, KombuAnswers, Target, Unplayed, core::Core},
};

const GOOD: &str = r#"{"id":"s1","category":"direct","note":"","steps":[
    {"op":"queue.declare","queue":"q","expect":"ok"},
    {"op":"publish","exchange":"","routing_key":"q","expect":{"queues":["q"],"returned":false}}]}"#;

fn scenario(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text).map_err(|error| error.to_string())
}

fn play(text: &str) -> (Report, String) {
    let mut log = String::new();
    let report = run(&mut Core, &[scenario(text)], &BTreeMap::new(), &mut log).unwrap();
    (report, log)
}

#[test]
fn a_good_scenario_passes() {
    let (report, log) = play(GOOD);
    assert_eq!(
        (report.to_string(), report.is_good()),
        ("1 passed, 0 failed, 0 skipped".into(), true),
        "{log}"
    );
}

#[test]
fn a_wrong_answer_fails_and_is_shown() {
    for (wrong, right) in [
        (r#""queues":["other"]"#, r#""queues":["q"]"#),
        (r#""returned":true"#, r#""returned":false"#),
        (r#""queues":[]"#, r#""queues":["q"]"#),
    ] {
        let (report, log) = play(&GOOD.replace(right, wrong));
        assert!(!report.is_good() && report.failed == 1, "{wrong}");
        assert!(log.contains("FAILED s1") && log.contains("expected") && log.contains("actual"), "{log}");
    }
}

#[test]
fn what_is_not_known_fails() {
    for (known, unknown) in [
        (r#""op":"queue.declare""#, r#""op":"queue.invent""#),
        (r#""queue":"q","expect":"ok""#, r#""queue":"q","colour":"red","expect":"ok""#),
        (r#""category":"direct""#, r#""category":"diretc""#),
        (r#""note":"""#, r#""notes":"""#),
        (r#""expect":"ok""#, r#""expect":"fine""#),
        (r#""returned":false"#, r#""returned":false,"colour":1"#),
        (r#","expect":"ok""#, ""),
    ] {
        let text = GOOD.replace(known, unknown);
        assert_ne!(text, GOOD);
        let (report, log) = play(&text);
        assert_eq!((report.failed, report.is_good()), (1, false), "{unknown}: {log}");
    }
}

#[test]
fn nothing_run_is_not_good() {
    let report = run(&mut Core, &[], &BTreeMap::new(), &mut String::new()).unwrap();
    assert!(!report.is_good());
}

#[test]
fn skips_need_a_reason_and_must_be_true() {
    /// A core that cannot play the first scenario.
    struct Partial;
    impl Target for Partial {
        fn amqp(&mut self, scenario: &AmqpScenario) -> Result<Vec<Answer>, Unplayed> {
            match &*scenario.id {
                "s1" => Err(Unplayed::Unsupported("this".into())),
                _ => Core.amqp(scenario),
            }
        }
        fn kombu(&mut self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
            Core.kombu(scenario)
        }
    }
    let good = |target: &mut dyn Target, scenarios: &[_], allowed: &BTreeMap<&str, &str>| {
        let report = run(target, scenarios, allowed, &mut String::new()).unwrap();
        (report.skipped, report.is_good())
    };
    let both = [scenario(GOOD), scenario(&GOOD.replace("s1", "s2"))];
    assert_eq!(good(&mut Partial, &both, &BTreeMap::new()), (1, false));

    let allowed = BTreeMap::from([("s1", "later")]);
    assert_eq!(good(&mut Partial, &both, &allowed), (1, true));
    // A listed scenario that passes is a list out of date.
    assert_eq!(good(&mut Core, &both, &allowed), (0, false));
    // Skips alone are no run.
    assert_eq!(good(&mut Partial, &both[..1], &allowed), (1, false));

    let entry = "[[skip]]\ntargets = [\"core\"]\nids = [\"s1\"]\n";
    assert!(Skips::parse(&format!("{entry}reason = \"later\"")).is_ok());
    assert!(Skips::parse(&format!("{entry}reason = \" \"")).unwrap_err().contains("s1"));
    assert!(Skips::parse(entry).is_err());
}

#[test]
fn a_target_that_breaks_down_fails() {
    struct Broken;
    impl Target for Broken {
        fn amqp(&mut self, _: &AmqpScenario) -> Result<Vec<Answer>, Unplayed> {
            Ok(vec![Answer::OK])
        }
        fn kombu(&mut self, _: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
            Err(Unplayed::Broken("out of order".into()))
        }
    }
    let kombu = r#"{"id":"k1","kombu":"5.7.0","transport":"virtual","exchange_type":"direct","bindings":[],"publishes":[]}"#;
    let mut log = String::new();
    let report = run(&mut Broken, &[scenario(GOOD), scenario(kombu)], &BTreeMap::new(), &mut log).unwrap();
    assert_eq!(report.failed, 2);
    assert!(log.contains("2 steps got 1 answers") && log.contains("out of order"), "{log}");
}

#[test]
fn only_the_offending_binding_may_be_quarantined() {
    let line = |queues: &str, error: &str| {
        format!(
            r#"{{"id":"k1","kombu":"5.7.0","transport":"virtual","exchange_type":"topic","bindings":[
            {{"queue":"good","routing_key":"ok.#","pattern":"^ok\\..*?$"}},
            {{"queue":"bad","routing_key":"x.**","pattern":"^x\\.**$"}}],
            "publishes":[{{"routing_key":"ok.1","queues":{queues}{error}}}]}}"#
        )
    };
    let raised = r#","error":"re.error: multiple repeat""#;
    let (report, log) = play(&line("[]", raised));
    assert!(report.is_good(), "{log}");
    // Kombu did not raise, though a pattern is broken: the recording is wrong, and the run says so.
    let (report, _) = play(&line(r#"["good"]"#, ""));
    assert_eq!(report.failed, 1);
}

#[test]
fn lines_that_cannot_be_read_are_named() {
    let path = std::env::temp_dir().join(format!("keyrail-runner-{}.jsonl", std::process::id()));
    fs::write(&path, "{\"id\":1}\n\n{not json\n").unwrap();
    let lines = read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let errors: Vec<_> = lines.into_iter().map(Result::unwrap_err).collect();
    assert!(errors[0].contains(":1: ") && errors[1].contains(":3: "), "{errors:?}");
    assert!(read(&path).is_err());
    assert!(targets::by_name("moon").err().unwrap().contains("`moon`"));
}

#[test]
fn a_question_hides_the_answer_and_keeps_every_digit() {
    let text = GOOD.replace(
        r#""routing_key":"q","expect""#,
        r#""routing_key":"q","headers":[["n","l",9007199254740993]],"expect""#,
    );
    let asked = asked(&scenario(&text).unwrap());
    assert_eq!(asked.id, "s1");
    assert!(asked.question.contains("9007199254740993") && !asked.question.contains("expect"));
    assert_eq!(
        asked.answer,
        serde_json::json!({ "answers": ["ok", { "queues": ["q"], "returned": false }] })
    );
}

#[test]
fn where_kombu_raised_the_right_answer_quarantines_what_was_broken() {
    let text = r#"{"id":"k1","kombu":"5.7.0","transport":"virtual","exchange_type":"topic","bindings":[
        {"queue":"bad","routing_key":"**","pattern":"^**$"},{"queue":"good","routing_key":"*","pattern":"^[^.]+$"}],
        "publishes":[{"routing_key":"w","queues":[],"error":"re.error"}]}"#;
    let asked = asked(&scenario(text).unwrap());
    assert!(!asked.question.contains("re.error"));
    let quarantined = serde_json::json!([{ "index": 0, "code": "invalid-pattern" }]);
    assert_eq!(asked.answer, serde_json::json!({ "quarantined": quarantined, "answers": [["good"]] }));
}
