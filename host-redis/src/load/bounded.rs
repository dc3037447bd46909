//! Reading what a path names, and never more of it than allowed.

use std::{
    fs::{self, File, FileType},
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::Path,
};

use super::Limits;
use crate::LoadError;

/// The bytes of a file, or of a pipe by the name of `/dev/stdin` or `/dev/fd/N`, as shells write `<(command)`.
///
/// ```
/// use keyrail_redis::load::{self, Limits};
///
/// # let path = std::env::temp_dir().join(format!("keyrail-bytes-{}", std::process::id()));
/// std::fs::write(&path, "orders topic: # -> audit").unwrap();
/// assert!(load::bytes(&path, &Limits::default()).unwrap().starts_with(b"orders"));
/// let error = load::bytes(&std::env::temp_dir(), &Limits::default()).unwrap_err();
/// assert!(error.to_string().contains("it is a directory, no file"));
/// # std::fs::remove_file(&path).unwrap();
/// ```
///
/// # Errors
/// Anything else is refused before it is opened: a pipe by another name may have nobody who writes into it, and opening
/// it would hang for ever; a device may have no end. Nor is more read than [`Limits::file_bytes`].
pub fn bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| LoadError::Read { path: path.into(), error };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let kind = metadata.file_type();
    if !kind.is_file() && !is_inherited(path) {
        let reason = format!("it is {}, no file (a pipe can be given as /dev/stdin)", name(kind));
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, reason)));
    }
    if kind.is_file() && metadata.len() > limits.file_bytes {
        return Err(too_large(path, metadata.len(), "bytes", limits));
    }
    read(path, File::open(path).map_err(unreadable)?, limits)
}

/// What comes out of a reader that is called by this path in errors.
///
/// ```
/// use keyrail_redis::load::{self, Limits};
///
/// let stream = &b"orders topic: # -> audit"[..];
/// let bytes = load::read_bytes("a socket".as_ref(), stream, &Limits::default()).unwrap();
/// assert_eq!(bytes, stream);
/// ```
///
/// # Errors
/// More than [`Limits::file_bytes`], or what the system says.
/// # Cost
/// Holds what it read; at most one byte more than the limit is asked for.
pub fn read(path: &Path, reader: impl Read, limits: &Limits) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let read = reader.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| LoadError::Read { path: path.into(), error })?;
    match bytes.len() as u64 {
        size if size > limits.file_bytes => Err(too_large(path, size, "bytes or more", limits)),
        _ => Ok(bytes),
    }
}

fn too_large(path: &Path, size: u64, unit: &'static str, limits: &Limits) -> LoadError {
    let (what, limit) = (path.display().to_string().into(), limits.file_bytes);
    LoadError::TooLarge { what, size, limit, unit, option: "--max-file-bytes" }
}

/// Whether the path names a descriptor that whoever started this process has opened.
fn is_inherited(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

fn name(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}
