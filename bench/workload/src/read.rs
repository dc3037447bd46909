use std::{
    fmt, fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// A table file in memory: lines of `pattern TAB queue`.
///
/// One block of bytes and one index, so that what an engine allocates is not lost among what its input takes.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    bytes: Vec<u8>,
    rows: Vec<(Range<usize>, u32)>,
}

/// A file of routing keys in memory, one a line. An empty line is the empty key.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    lines: Vec<Range<usize>>,
}

/// A file that cannot be read, or a line of it that says nothing: `table.tbl:17: no tab between pattern and queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, counted from one; none if the file as a whole is the matter.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl Bindings {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ReadError`] for the first line that is no binding.
    pub fn read(file: &Path) -> Result<Self, ReadError> {
        Self::from_bytes(file, bytes(file)?)
    }

    /// Reads what a file of this name holds.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, ReadError> {
        Self::parse(bytes).map_err(|(line, reason)| ReadError { file: file.into(), line: Some(line), reason })
    }

    /// Bindings that were made in memory.
    pub fn from_rows<'r>(rows: impl IntoIterator<Item = &'r crate::Row>) -> Self {
        let mut bindings = Bindings::default();
        for (pattern, queue) in rows {
            let start = bindings.bytes.len();
            bindings.bytes.extend_from_slice(pattern.as_bytes());
            bindings.rows.push((start..bindings.bytes.len(), *queue as u32));
        }
        bindings
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, (usize, String)> {
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(lines(&bytes)) {
            let text = &bytes[line.clone()];
            // The last tab: a pattern may be any bytes but a line feed.
            let Some(tab) = text.iter().rposition(|&byte| byte == b'\t') else {
                return Err((number, "no tab between pattern and queue".into()));
            };
            let queue = std::str::from_utf8(&text[tab + 1..]).ok().and_then(|queue| queue.parse().ok());
            let Some(queue) = queue else {
                let queue = text[tab + 1..].escape_ascii();
                return Err((number, format!("the queue `{queue}` is not a number from 0 to {}", u32::MAX)));
            };
            rows.push((line.start..line.start + tab, queue));
        }
        Ok(Bindings { bytes, rows })
    }

    /// The number of bindings.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Patterns and queues in the order of the lines.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], u32)> {
        self.rows.iter().map(|(pattern, queue)| (&self.bytes[pattern.clone()], *queue))
    }
}

impl Keys {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read; every line is a key.
    pub fn read(file: &Path) -> Result<Self, ReadError> {
        Ok(Self::from_bytes(bytes(file)?))
    }

    /// Reads what a file holds.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let lines = lines(&bytes).collect();
        Keys { bytes, lines }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The key with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<&[u8]> {
        self.lines.get(number).map(|line| &self.bytes[line.clone()])
    }

    /// The keys in the order of the lines.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.lines.iter().map(|line| &self.bytes[line.clone()])
    }
}

impl<K: AsRef<[u8]>> FromIterator<K> for Keys {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut made = Keys::default();
        for key in keys {
            let start = made.bytes.len();
            made.bytes.extend_from_slice(key.as_ref());
            made.lines.push(start..made.bytes.len());
        }
        made
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, ReadError> {
    fs::read(file).map_err(|error| ReadError { file: file.into(), line: None, reason: error.to_string() })
}

/// Where each line is. What follows the last line feed is a line unless it is empty.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = start..start + length;
        start = line.end + 1;
        Some(line)
    })
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            Some(line) => write!(f, "{file}:{line}: {}", self.reason),
            None => write!(f, "{file}: {}", self.reason),
        }
    }
}

impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Vec<(Vec<u8>, u32)>;

    fn parse(text: &[u8]) -> Result<Rows, (usize, String)> {
        Ok(Bindings::parse(text.into())?.iter().map(|(pattern, queue)| (pattern.into(), queue)).collect())
    }

    #[test]
    fn a_pattern_is_any_bytes_before_the_last_tab() {
        let rows = parse(b"a.*\t1\n\t2\n\xff\t.#\t3").unwrap();
        assert_eq!(rows, [(b"a.*".to_vec(), 1), (Vec::new(), 2), (b"\xff\t.#".to_vec(), 3)]);
        assert!(parse(b"").unwrap().is_empty());
    }

    #[test]
    fn a_bad_line_is_told_with_its_number_and_reason() {
        for (text, line, reason) in [
            (&b"a\t1\nb\n"[..], 2, "no tab between pattern and queue"),
            (b"a\tx\xff", 1, r"the queue `x\xff` is not a number from 0 to 4294967295"),
            (b"a\t1\n\nb\t2", 2, "no tab between pattern and queue"),
            (b"a\t4294967296", 1, "the queue `4294967296` is not a number from 0 to 4294967295"),
        ] {
            assert_eq!(parse(text), Err((line, reason.to_string())));
        }
        let error = ReadError { file: "t.tbl".into(), line: Some(2), reason: "no tab".into() };
        assert_eq!(error.to_string(), "t.tbl:2: no tab");
        assert_eq!(Keys::read(Path::new("no such file")).unwrap_err().line, None);
    }

    #[test]
    fn an_empty_line_is_the_empty_key() {
        let ranges: Vec<_> = lines(b"a\n\nbc\n").collect();
        assert_eq!(ranges, [0..1, 2..2, 3..5]);
    }
}
