//! A scenario as it is put to a program that is not this one, and the only right answer to it.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::{
    model,
    scenario::{AmqpScenario, Answer, KombuScenario, Scenario},
    targets::{KombuAnswers, Quarantined},
};

/// A question and its answer, for programs that are asked where this one cannot listen.
#[derive(Debug, Serialize)]
pub struct Asked {
    pub id: String,
    /// A line of JSON, kept as text: on its way through JavaScript 2^53 + 1 would become another number.
    pub question: String,
    pub answer: Json,
}

/// What a program is asked that plays this scenario, and must answer.
pub fn asked(scenario: &Scenario) -> Asked {
    let id = scenario.id().to_owned();
    match scenario {
        Scenario::Amqp(scenario) => {
            let answers: Vec<&Answer> = scenario.steps.iter().map(|recorded| &recorded.expect).collect();
            Asked { id, question: amqp(scenario).to_string(), answer: json!({ "answers": answers }) }
        }
        Scenario::Kombu(scenario) => {
            Asked { id, question: kombu(scenario).to_string(), answer: json!(kombu_answers(scenario)) }
        }
    }
}

/// The steps, without what they came to.
pub fn amqp(scenario: &AmqpScenario) -> Json {
    let steps: Vec<_> = scenario.steps.iter().map(|recorded| &recorded.raw).collect();
    json!({ "type": "amqp", "id": scenario.id, "steps": steps })
}

/// The exchange with its bindings, and the keys that are published.
pub fn kombu(scenario: &KombuScenario) -> Json {
    let publishes = scenario.publishes.iter().map(|publish| json!({ "routing_key": publish.routing_key }));
    json!({
        "type": "kombu",
        "id": scenario.id,
        "kombu": scenario.kombu,
        "transport": scenario.transport,
        "exchange_type": scenario.exchange_type,
        "bindings": scenario.bindings,
        "publishes": publishes.collect::<Vec<_>>(),
    })
}

/// Exactly the bindings that Python could not execute are quarantined, and every other one still routes: where Kombu
/// raised, the model says what the healthy bindings answer.
pub fn kombu_answers(scenario: &KombuScenario) -> KombuAnswers {
    let dialect = scenario.kombu.dialect();
    let sound = |pattern: &Option<String>, key: &str| {
        pattern.is_none() || model::kombu_pattern(key, dialect).is_some()
    };
    let (healthy, broken): (Vec<_>, Vec<_>) =
        scenario.bindings.iter().enumerate().partition(|(_, row)| sound(&row.pattern, &row.routing_key));

    let quarantined =
        broken.into_iter().map(|(index, _)| Quarantined { index, code: "invalid-pattern".to_owned() });
    let answers = scenario.publishes.iter().map(|publish| match &publish.error {
        None => publish.queues.clone(),
        Some(_) => {
            let key = &publish.routing_key;
            let hit = healthy.iter().filter(|(_, row)| model::topic_matches(&row.routing_key, dialect, key));
            hit.map(|(_, row)| row.queue.clone()).collect()
        }
    });
    KombuAnswers { quarantined: quarantined.collect(), answers: answers.collect() }
}
