//! `keyrail-peers ENGINE KIND TABLE KEYS [--runs N] [--run-seconds S] [--max-seconds S]`: measures one engine on one
//! table and prints one line of JSON.
//!
//! One process a measurement, so that no engine inherits another's heap.

mod engine;
mod engines;
mod measure;

use std::{env, error::Error, path::Path, process::ExitCode};

use keyrail_workload::{Bindings, CountingAllocator, Kind};

use crate::{
    engine::{Engine, Job},
    engines::{
        aho_corasick::AhoCorasickVerify, copy::Copy, keyrail::{self, Keyrail}, map::Map, matchit::Matchit,
        mqtt_topic_engine::MqttTopicEngine, quill::Quill, regex_set::RegexList, scan::Scan, submap::Submap,
        zenoh::Zenoh,
    },
    measure::{effort, measure},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let [engine, kind, table, keys, options @ ..] = arguments else {
        return Err("usage: keyrail-peers ENGINE KIND TABLE KEYS [--runs N] [--run-seconds S] \
                    [--max-seconds S]"
            .into());
    };
    let kind: Kind = kind.parse()?;
    let effort = effort(options)?;
    let bindings = Bindings::read(Path::new(table))?;
    let text = std::fs::read_to_string(keys).map_err(|error| format!("{keys}: {error}"))?;
    let start = |rewrite: fn(String) -> String| rewrite(text);
    let names = [engine, table, keys];

    /// Rewrites the keys into what the engine takes and measures it.
    macro_rules! engine {
        ($engine:ty) => {{
            let text = start(<$engine>::rewrite);
            let keys: Vec<&str> = text.lines().collect();
            measure::<$engine>(&Job { kind, table: &bindings, keys: &keys }, names, effort)?
        }};
    }
    Ok(match engine.as_str() {
        "keyrail" => engine!(Keyrail<{ keyrail::ANSWERS }>),
        "keyrail-no-cache" => engine!(Keyrail<{ keyrail::STATES }>),
        "keyrail-cold" => engine!(Keyrail<{ keyrail::NOTHING }>),
        "mqtt-topic-engine" => engine!(MqttTopicEngine),
        "quill-pubsub" => engine!(Quill),
        "submap" => engine!(Submap),
        "zenoh-keyexpr" => engine!(Zenoh),
        "regex-set" => engine!(RegexList),
        "aho-corasick" => engine!(AhoCorasickVerify),
        "matchit" => engine!(Matchit),
        "ahash" => engine!(Map<ahash::RandomState>),
        "foldhash" => engine!(Map<foldhash::fast::RandomState>),
        "copy" => engine!(Copy),
        "scan" => engine!(Scan),
        other => return Err(format!("no engine is called `{other}`").into()),
    })
}
