//! `workload-oracle KIND TABLE KEYS [COUNT] [nats]`: the digests that every engine has to agree with, as one line of JSON.

use std::{path::Path, process::ExitCode};

use keyrail_workload::{Bindings, Digest, Hash, Keys, Oracle, ReadError};

fn main() -> ExitCode {
    keyrail_workload::program(answer)
}

fn answer(arguments: &[String]) -> Result<String, Box<dyn std::error::Error>> {
    let [kind, table, keys, rest @ ..] = arguments else {
        return Err("usage: workload-oracle KIND TABLE KEYS [COUNT] [nats]".into());
    };
    let count = rest.first().map_or(Ok(2000), |count| count.parse())?;
    let nats = rest.get(1).is_some_and(|semantics| semantics == "nats");
    let hash = if nats { Hash::OneOrMore } else { Hash::ZeroOrMore };
    let at = |file: &str, line, reason| ReadError { file: file.into(), line: Some(line), reason };

    let bindings = Bindings::read(Path::new(table))?;
    let oracle = Oracle::new(kind.parse()?, hash, &bindings).map_err(|(line, why)| at(table, line, why))?;
    let read = Keys::read(Path::new(keys))?;
    let (mut digest, mut queues) = (Digest::new(), Vec::new());
    for (line, key) in (1..).zip(read.iter().take(count)) {
        oracle.route(key, &mut queues).map_err(|why| at(keys, line, why))?;
        digest.add(&mut queues);
    }
    let name = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!(
        r#"{{"engine":"oracle{}","table":"{}","keys":"{}","avg_out":{:.2},"digest_n":{},"digest200":{},"digest":{}}}"#,
        if nats { "-nats" } else { "" },
        name(table),
        name(keys),
        digest.average(),
        digest.keys(),
        digest.first(),
        digest.value(),
    ))
}
