//! Kombu's compressions.

use std::{
    fmt,
    io::{self, Read, Write},
    str::FromStr,
};

/// How a body is compressed. Kombu writes the name on the message, as the header `compression`.
///
/// ```
/// use keyrail_redis::Compression;
///
/// let compression: Compression = "bzip2".parse().unwrap();
/// let packed = compression.compress(b"hello hello hello").unwrap();
/// assert_eq!(compression.decompress(&packed, 100).unwrap(), b"hello hello hello");
/// assert_eq!(compression.content_type(), "application/x-bz2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Kombu's `gzip` and `zlib`: both are the zlib format.
    Zlib,
    /// `bzip2`, `bzip`.
    Bzip2,
    /// `lzma`, `xz`: the xz container.
    Lzma,
    /// `zstd`, `zstandard`. A Python peer needs a package for it.
    Zstd,
    /// `brotli`. A Python peer needs a package for it.
    Brotli,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 5] =
        [Compression::Zlib, Compression::Bzip2, Compression::Lzma, Compression::Zstd, Compression::Brotli];

    /// The value of the header.
    ///
    /// ```
    /// use keyrail_redis::Compression;
    ///
    /// assert_eq!(Compression::Zstd.content_type(), "application/zstd");
    /// assert!(Compression::ALL.iter().all(|compression| compression.content_type().parse() == Ok(*compression)));
    /// ```
    pub const fn content_type(self) -> &'static str {
        match self {
            Compression::Zlib => "application/x-gzip",
            Compression::Bzip2 => "application/x-bz2",
            Compression::Lzma => "application/x-lzma",
            Compression::Zstd => "application/zstd",
            Compression::Brotli => "application/x-brotli",
        }
    }

    /// Compresses, at the level of Python's default (zstd and brotli: 3 and 5, theirs being slow).
    ///
    /// # Errors
    /// What the codec says; memory is the only reason.
    pub fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::new();
        match self {
            Compression::Zlib => {
                let mut writer = flate2::write::ZlibEncoder::new(&mut packed, flate2::Compression::default());
                writer.write_all(bytes)?;
                writer.finish()?;
            }
            Compression::Bzip2 => {
                let mut writer = bzip2::write::BzEncoder::new(&mut packed, bzip2::Compression::best());
                writer.write_all(bytes)?;
                writer.finish()?;
            }
            Compression::Lzma => {
                let options = lzma_rust2::XzOptions::with_preset(6);
                let mut writer = lzma_rust2::XzWriter::new(&mut packed, options)?;
                writer.write_all(bytes)?;
                writer.finish()?;
            }
            Compression::Zstd => packed = zstd::bulk::compress(bytes, 3)?,
            Compression::Brotli => {
                let mut writer = brotli::CompressorWriter::new(&mut packed, 4096, 5, 22);
                writer.write_all(bytes)?;
                writer.flush()?;
                drop(writer);
            }
        }
        Ok(packed)
    }

    /// Decompresses at most so many bytes: a message of a few kilobytes may stand for gigabytes.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use keyrail_redis::Compression;
    ///
    /// let bomb = Compression::Zlib.compress(&vec![0; 1 << 20]).unwrap();
    /// assert!(bomb.len() < 2000);
    /// let refused = Compression::Zlib.decompress(&bomb, 64_000).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
    /// ```
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] beyond the limit; what the codec says of bytes that are not its own, cut off ones
    /// included.
    /// # Cost
    /// At most one byte more than the limit is unpacked.
    pub fn decompress(self, packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        match self {
            Compression::Zlib => bounded(flate2::read::ZlibDecoder::new(packed), limit),
            Compression::Bzip2 => bounded(bzip2::read::MultiBzDecoder::new(packed), limit),
            Compression::Lzma => bounded(lzma_rust2::XzReader::new(packed, true), limit),
            Compression::Zstd => bounded(zstd::stream::read::Decoder::new(packed)?, limit),
            Compression::Brotli => bounded(brotli::Decompressor::new(packed, 4096), limit),
        }
    }
}

fn bounded(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("the body has more than {limit} bytes once it is decompressed");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// Kombu's names and content types.
impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        Ok(match name {
            "gzip" | "zlib" | "application/x-gzip" => Compression::Zlib,
            "bzip2" | "bzip" | "application/x-bz2" => Compression::Bzip2,
            "lzma" | "xz" | "application/x-lzma" => Compression::Lzma,
            "zstd" | "zstandard" | "application/zstd" => Compression::Zstd,
            "brotli" | "application/x-brotli" => Compression::Brotli,
            _ => return Err(UnknownCompression { name: name.into() }),
        })
    }
}

/// No compression of Kombu's has this name.
///
/// ```
/// use keyrail_redis::Compression;
///
/// let error = "rot13".parse::<Compression>().unwrap_err();
/// assert_eq!((&*error.name, error.code()), ("rot13", "unknown-compression"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCompression {
    /// The name.
    pub name: Box<str>,
}

impl UnknownCompression {
    /// `unknown-compression`.
    pub const fn code(&self) -> &'static str {
        "unknown-compression"
    }
}

impl fmt::Display for UnknownCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        write!(f, "there is no compression `{name}`, expected gzip, bzip2, lzma, zstd or brotli")
    }
}

impl std::error::Error for UnknownCompression {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_back_as_it_was() {
        for compression in Compression::ALL {
            for body in [&b""[..], b"x", &b"abcabcabc".repeat(10_000)] {
                let packed = compression.compress(body).unwrap();
                let unpacked = compression.decompress(&packed, 1 << 20);
                assert_eq!(unpacked.unwrap(), body, "{compression:?} of {} bytes", body.len());
            }
            assert_eq!(compression.content_type().parse(), Ok(compression));
        }
    }

    #[test]
    fn bombs_and_garbage_are_refused() {
        for compression in Compression::ALL {
            let bomb = compression.compress(&vec![0; 1 << 20]).unwrap();
            let error = compression.decompress(&bomb, 1 << 16).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{compression:?}");
            assert!(compression.decompress(&bomb, 1 << 20).is_ok());
            let cut = &bomb[..bomb.len() / 2];
            assert!(compression.decompress(cut, 1 << 21).is_err(), "{compression:?}: a cut body");
            assert!(compression.decompress(b"no such thing at all", 1 << 20).is_err(), "{compression:?}");
        }
        assert_eq!("rot13".parse::<Compression>().unwrap_err().code(), "unknown-compression");
    }
}
