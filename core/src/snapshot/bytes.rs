//! Numbers and byte strings in a snapshot.

use alloc::vec::Vec;

use super::SnapshotError;

/// Appends a number in LEB128: seven bits a byte, the lowest first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a length and the bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a section from its start to its end.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    section: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(section: &'static str, bytes: &'a [u8]) -> Self {
        Reader { section, rest: bytes }
    }

    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    #[cold]
    pub(super) fn error(&self, reason: &str) -> SnapshotError {
        SnapshotError::malformed(self.section, reason)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, SnapshotError> {
        let Some((byte, rest)) = self.rest.split_first() else { return Err(self.error("it ends too early")) };
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.error("a number has more than 64 bits"))
    }

    /// A number below a bound.
    #[inline]
    pub(super) fn below(&mut self, bound: usize, what: &str) -> Result<u32, SnapshotError> {
        match u32::try_from(self.number()?) {
            Ok(number) if (number as usize) < bound => Ok(number),
            _ => Err(self.error(what)),
        }
    }

    /// The number of items to come, of which each takes at least so many bytes: more cannot follow.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.rest.len() / bytes_each {
            return Err(self.error("it announces more items than it has bytes for"));
        }
        Ok(count)
    }

    #[inline]
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], SnapshotError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.error("it ends too early"));
        };
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], SnapshotError> {
        let length = self.number()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, SnapshotError> {
        let bytes = self.bytes()?;
        core::str::from_utf8(bytes).map_err(|_| self.error("a name or pattern is not UTF-8"))
    }

    pub(super) fn end(self) -> Result<(), SnapshotError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("something follows its end")) }
    }
}

/// Runs of equal numbers, on their way out: a number and how often it comes.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<(u64, u64)>);

impl Runs {
    pub(super) fn push(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((last, times)) if *last == number => *times += 1,
            _ => self.0.push((number, 1)),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.0.len() as u64);
        for (number, times) in &self.0 {
            put_number(out, *number);
            put_number(out, *times);
        }
    }
}

/// The same on their way in, a number at a time.
#[derive(Debug)]
pub(super) struct RunReader<'a> {
    reader: Reader<'a>,
    number: u64,
    times: u64,
}

impl<'a> RunReader<'a> {
    /// Takes the runs off the reader; together they have `total` numbers.
    pub(super) fn new(reader: &mut Reader<'a>, total: usize) -> Result<Self, SnapshotError> {
        let runs = reader.count(2)?;
        let start = reader.clone();
        let mut sum = 0_u64;
        for _ in 0..runs {
            reader.number()?;
            let times = reader.number()?;
            if times == 0 {
                return Err(reader.error("a run is empty"));
            }
            sum = sum.saturating_add(times);
        }
        if sum != total as u64 {
            return Err(reader.error("the runs of a column do not add up to the number of bindings"));
        }
        Ok(RunReader { reader: start, number: 0, times: 0 })
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<u64, SnapshotError> {
        if self.times == 0 {
            self.number = self.reader.number()?;
            self.times = self.reader.number()?;
        }
        // INVARIANT: runs are not empty.
        self.times -= 1;
        Ok(self.number)
    }
}
