//! Commands that are sent together, packed as they are added where the connection takes bytes.

use ::redis::{Cmd, Pipeline, ScriptInvocation, Value, aio::ConnectionLike};

use super::Redis;
use crate::ExecuteError;

/// Several commands on their way out; each has an answer of its own, errors among them.
pub(crate) enum Commands {
    Packed {
        bytes: Vec<u8>,
        count: usize,
    },
    /// For the connections that the client library has.
    Library(Pipeline),
}

impl Commands {
    /// For this connection, with room for so many commands of so many bytes.
    pub(crate) fn to(redis: &Redis, count: usize, size: usize) -> Self {
        match redis.link().takes_bytes() {
            true => Commands::Packed { bytes: Vec::with_capacity(count * size), count: 0 },
            false => Commands::Library(Pipeline::with_capacity(count)),
        }
    }

    /// Adds a push of the payload that is written.
    pub(crate) fn push(&mut self, list: &str, payload: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Commands::Packed { bytes, count } => {
                bytes.extend_from_slice(b"*3\r\n$5\r\nLPUSH\r\n");
                pack_head(bytes, list.len());
                bytes.extend_from_slice(list.as_bytes());
                bytes.extend_from_slice(b"\r\n");
                pack_written(bytes, payload);
                *count += 1;
            }
            Commands::Library(pipeline) => {
                let mut bytes = Vec::new();
                payload(&mut bytes);
                let mut push = Cmd::with_capacity(3, "LPUSH".len() + list.len() + bytes.len());
                push.arg("LPUSH").arg(list).arg(bytes);
                pipeline.add_command(push);
            }
        }
    }

    pub(crate) fn add(&mut self, command: Cmd) {
        match self {
            Commands::Packed { bytes, count } => {
                command.write_packed_command(bytes);
                *count += 1;
            }
            Commands::Library(pipeline) => {
                pipeline.add_command(command);
            }
        }
    }

    pub(crate) fn add_script(&mut self, script: &ScriptInvocation<'_>) {
        match self {
            Commands::Packed { bytes, count } => {
                let mut pipeline = Pipeline::new();
                pipeline.invoke_script(script);
                bytes.extend(pipeline.get_packed_pipeline());
                *count += pipeline.len();
            }
            Commands::Library(pipeline) => {
                pipeline.invoke_script(script);
            }
        }
    }

    /// The answers, in order; an error that the server answers is a value.
    pub(crate) async fn send(self, redis: &Redis) -> Result<Vec<Value>, ExecuteError> {
        let answers = match self {
            Commands::Packed { bytes, count } => redis.link().send_bytes(bytes, count).await,
            Commands::Library(pipeline) => {
                redis.link().clone().req_packed_commands(&pipeline, 0, pipeline.len()).await
            }
        };
        answers.map_err(|error| redis.error(error))
    }
}

/// The length of an argument.
fn pack_head(out: &mut Vec<u8>, mut length: usize) {
    let (mut digits, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + (length % 10) as u8;
        length /= 10;
        if length == 0 {
            break;
        }
    }
    out.push(b'$');
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// An argument that is as long as what is written.
fn pack_written(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // As many digits as most payloads have.
    const GUESS: &[u8] = b"$000\r\n";
    let head = out.len();
    out.extend_from_slice(GUESS);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    match out[head..].first_chunk_mut::<{ GUESS.len() }>() {
        Some(guess) if (100..1000).contains(&length) => {
            for (digit, unit) in guess[1..4].iter_mut().zip([100, 10, 1]) {
                *digit = b'0' + (length / unit % 10) as u8;
            }
        }
        _ => {
            let mut known = Vec::with_capacity(GUESS.len() + 20);
            pack_head(&mut known, length);
            out.splice(head..start, known);
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_packed_as_the_library_packs_it() {
        let long = [9, 10, 99, 100, 999, 1000, 12_345].map(|length| "x".repeat(length));
        let payloads = ["", "\r\n"].into_iter().chain(long.iter().map(String::as_str));
        let lists = ["q", "a\x06\x163", "0123456789"];
        for (list, payload) in payloads.flat_map(|payload| lists.map(|list| (list, payload))) {
            let mut ours = Commands::Packed { bytes: b"before".into(), count: 1 };
            let mut theirs = Cmd::new();
            theirs.arg("LPUSH").arg(list).arg(payload);
            ours.push(list, |out| out.extend_from_slice(payload.as_bytes()));
            ours.add(theirs.clone());
            let Commands::Packed { bytes, count } = ours else { panic!("bytes") };
            let packed = theirs.get_packed_command();
            assert_eq!(bytes, [b"before", &*packed, &packed].concat());
            assert_eq!(count, 3);
        }
    }
}
