//! Answers of a server, cut out of the bytes that arrive.
//!
//! Numbers, which is what pushes are answered with, are read here; what anything else means, the client library says once
//! all of it is there.

use ::redis::{ErrorKind, RedisError, RedisResult, Value, parse_redis_value};

/// Room for one read.
const ROOM: usize = 16 << 10;
/// A larger buffer is not kept.
const KEPT: usize = 1 << 20;
/// No line is longer: errors are lines, and what may be long has its length before it.
const LONGEST_LINE: usize = 64 << 10;

/// What was read, and how far it is understood.
#[derive(Default)]
pub(super) struct Answers {
    bytes: Vec<u8>,
    /// Where the present answer begins.
    start: usize,
    /// How far it has been looked through.
    at: usize,
    /// How many values it still lacks from there.
    lacks: usize,
    /// How many bytes are known to be missing.
    missing: usize,
}

impl Answers {
    /// Where to read on to, with room behind what is there.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        // What a server promises to send is not trusted with memory before it has sent some of it.
        self.bytes.reserve(self.missing.clamp(ROOM, KEPT));
        &mut self.bytes
    }

    /// The next answer, if all of it is there.
    ///
    /// # Errors
    /// What is not Redis' protocol.
    pub(super) fn next(&mut self) -> RedisResult<Option<Value>> {
        if self.at == self.start {
            if let Some(number) = self.number() {
                return Ok(Some(number));
            }
            self.lacks = 1;
        }
        while self.lacks > 0 {
            if !self.skip()? {
                return Ok(None);
            }
        }
        let answer = parse_redis_value(&self.bytes[self.start..self.at])?;
        self.start = self.at;
        Ok(Some(answer))
    }

    /// `:123` and the end of a line, the most frequent answer.
    fn number(&mut self) -> Option<Value> {
        let [b':', digits @ ..] = &self.bytes[self.start..] else { return None };
        let (mut number, mut length) = (0_i64, 0);
        loop {
            match digits.get(length)? {
                digit @ b'0'..=b'9' if length < 18 => number = number * 10 + i64::from(digit - b'0'),
                b'\r' if length > 0 && *digits.get(length + 1)? == b'\n' => break,
                // A sign, or anything else that is rare.
                _ => return None,
            }
            length += 1;
        }
        self.start += length + 3;
        self.at = self.start;
        Some(Value::Int(number))
    }

    /// Passes over one value, or over the head of one that holds others; false if not all of it is there.
    fn skip(&mut self) -> RedisResult<bool> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
            self.missing = 0;
            return if rest.len() < LONGEST_LINE { Ok(false) } else { Err(foreign()) };
        };
        let [kind, count @ .., b'\r', b'\n'] = &rest[..=end] else { return Err(foreign()) };
        let (kind, head) = (*kind, end + 1);
        // Less than nothing stands for null.
        let count = || {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.parse::<i64>().ok());
            let count = count.ok_or_else(foreign)?;
            Ok::<_, RedisError>(usize::try_from(count).ok())
        };
        let (length, holds) = match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => (head, 0),
            b'$' | b'!' | b'=' => match count()? {
                Some(bytes) => (
                    head.checked_add(bytes).and_then(|length| length.checked_add(2)).ok_or_else(foreign)?,
                    0,
                ),
                None => (head, 0),
            },
            b'*' | b'~' | b'>' => (head, count()?.unwrap_or(0)),
            b'%' => (head, count()?.unwrap_or(0).checked_mul(2).ok_or_else(foreign)?),
            // What it is about follows the attributes.
            b'|' => (
                head,
                count()?
                    .unwrap_or(0)
                    .checked_mul(2)
                    .and_then(|all| all.checked_add(1))
                    .ok_or_else(foreign)?,
            ),
            _ => return Err(foreign()),
        };
        if length > rest.len() {
            self.missing = length - rest.len();
            return Ok(false);
        }
        self.at += length;
        self.lacks = (self.lacks - 1).checked_add(holds).ok_or_else(foreign)?;
        Ok(true)
    }
}

fn foreign() -> RedisError {
    RedisError::from((ErrorKind::Parse, "the answer is not of Redis' protocol"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every answer of these bytes, when they arrive in pieces of this size.
    fn read(bytes: &[u8], piece: usize) -> RedisResult<Vec<Value>> {
        let (mut answers, mut all) = (Answers::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            answers.room().extend_from_slice(piece);
            while let Some(answer) = answers.next()? {
                all.push(answer);
            }
        }
        assert_eq!(answers.start, answers.bytes.len(), "something is left");
        Ok(all)
    }

    #[test]
    fn answers_are_those_of_the_library_however_they_arrive() {
        let each: [&[u8]; 16] = [
            b":12\r\n",
            b":-3\r\n",
            b":9223372036854775807\r\n",
            b"+OK\r\n",
            b"-WRONGTYPE Operation against a key\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$6\r\na\r\nb:1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*3\r\n:1\r\n*2\r\n$1\r\nx\r\n_\r\n+y\r\n",
            b"%1\r\n+a\r\n*1\r\n:2\r\n",
            b"~2\r\n:1\r\n#t\r\n",
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
            b",1.5\r\n",
            b"!9\r\nERR wrong\r\n",
        ];
        let known: Vec<Value> = each.iter().map(|bytes| parse_redis_value(bytes).unwrap()).collect();
        let bytes = each.concat();
        for piece in [1, 2, 3, 7, 64, bytes.len()] {
            assert_eq!(read(&bytes, piece).unwrap(), known, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_large_answer_is_looked_through_once() {
        let row = b"$5\r\nabcde\r\n";
        let bytes = [b"*100000\r\n".to_vec(), row.repeat(100_000)].concat();
        let all = read(&bytes, 4096).unwrap();
        assert!(matches!(&all[..], [Value::Array(rows)] if rows.len() == 100_000));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let long = vec![b'+'; LONGEST_LINE + 1];
        let bad: [&[u8]; 5] = [b"HTTP/1.1 400\r\n", b":1\n", b"*x\r\n", b"\r\n", &long];
        for bytes in bad {
            let refused = read(bytes, bytes.len());
            assert_eq!(
                refused.unwrap_err().kind(),
                ErrorKind::Parse,
                "{:?}",
                String::from_utf8_lossy(&bytes[..8.min(bytes.len())])
            );
        }
    }
}
