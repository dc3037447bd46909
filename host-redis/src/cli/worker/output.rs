//! What a program writes, as much of it as is kept.

use tokio::io::{AsyncRead, AsyncReadExt};

pub(super) struct Output {
    kept: Vec<u8>,
    limit: usize,
    overflown: bool,
}

impl Output {
    pub(super) fn new(limit: usize) -> Self {
        Output { kept: Vec::new(), limit, overflown: false }
    }

    /// Reads to the end, since nobody should have to wait for a reader, and keeps the first bytes or the last. May be
    /// abandoned.
    pub(super) async fn read_from(&mut self, pipe: Option<impl AsyncRead + Unpin>, the_last: bool) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 16 << 10];
        // An error is an end, too.
        while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
            self.add(&buffer[..length], the_last);
        }
    }

    fn add(&mut self, bytes: &[u8], the_last: bool) {
        if the_last {
            self.kept.extend_from_slice(bytes);
            // Not each time, which would move all of it for each line.
            if self.kept.len() > self.limit.saturating_mul(2) {
                self.kept.drain(..self.kept.len() - self.limit);
            }
            return;
        }
        let room = self.limit - self.kept.len();
        self.overflown |= bytes.len() > room;
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The limit, if there was more.
    pub(super) fn overflown(&self) -> Option<usize> {
        self.overflown.then_some(self.limit)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.kept[self.kept.len().saturating_sub(self.limit)..]
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_kept_or_the_last() {
        let (mut first, mut last) = (Output::new(4), Output::new(4));
        for bytes in [&b"abc"[..], b"def", b"ghi", b"j"] {
            first.add(bytes, false);
            last.add(bytes, true);
        }
        assert_eq!((first.bytes(), first.overflown()), (&b"abcd"[..], Some(4)));
        assert_eq!(last.bytes(), b"ghij");
        assert!(last.kept.len() <= 8);
        let mut just = Output::new(4);
        just.add(b"abcd", false);
        assert_eq!((just.bytes(), just.overflown()), (&b"abcd"[..], None));
    }
}
