//! Commands that are sent together, packed as they are added where the connection takes bytes.

use ::redis::{Cmd, Pipeline, RedisResult, ScriptInvocation, ServerError, Value, aio::ConnectionLike};
use futures_util::future::join_all;

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
    pub(crate) async fn send(self, redis: &Redis) -> Result<Answers, ExecuteError> {
        let link = redis.link();
        let answers = match self {
            Commands::Packed { bytes, count } => link.send_bytes(bytes, count).await,
            // Each goes its own way, and those for one node keep their order. What one node does not answer says nothing of
            // the others.
            Commands::Library(pipeline) if link.is_cluster() => {
                let each = pipeline.cmd_iter().map(|cmd| {
                    let mut link = link.clone();
                    async move { link.req_packed_command(cmd).await }
                });
                return Ok(Answers::each(join_all(each).await, redis));
            }
            Commands::Library(pipeline) => {
                link.clone().req_packed_commands(&pipeline, 0, pipeline.len()).await
            }
        };
        let values = answers.map_err(|error| redis.error(error))?;
        Ok(Answers { values: values.into_iter(), failed: Vec::new() })
    }
}

/// What several commands were answered, in their order.
pub(crate) struct Answers {
    /// Nothing where there is an error.
    values: std::vec::IntoIter<Value>,
    /// How many answers are left when this one comes, the last ones first.
    failed: Vec<(usize, ExecuteError)>,
}

impl Answers {
    fn each(answers: Vec<RedisResult<Value>>, redis: &Redis) -> Self {
        let (count, mut failed) = (answers.len(), Vec::new());
        let values = answers.into_iter().enumerate().map(|(place, answer)| {
            match answer.map_err(ServerError::try_from) {
                Ok(value) => value,
                Err(Ok(said)) => Value::ServerError(said),
                Err(Err(error)) => {
                    failed.push((count - place, redis.error(error)));
                    Value::Nil
                }
            }
        });
        let values: Vec<Value> = values.collect();
        failed.reverse();
        Answers { values: values.into_iter(), failed }
    }
}

impl Iterator for Answers {
    type Item = Result<Value, ExecuteError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.values.len();
        let value = self.values.next()?;
        match self.failed.pop_if(|(place, _)| *place == left) {
            Some((_, error)) => Some(Err(error)),
            None => Some(Ok(value)),
        }
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
