//! Details in words.

use core::fmt;

use super::{HeaderVerdict, How, Mismatch, NearMiss, Verdict, WordKind, WordMatch};
use crate::BindingDefinition;

/// What wildcards took, header by header: `` `*` took `eu` ``. Nothing where there is nothing to add.
impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Words { words } => {
                let wildcards = words.iter().filter(|word| word.kind != WordKind::Literal);
                list(f, wildcards, |f, word| word.fmt(f))
            }
            How::Headers { headers, .. } => list(f, headers.iter(), |f, header| header.fmt(f)),
            How::Expression { pattern } => write!(f, "over characters, as `{pattern}`"),
            How::Always | How::Key | How::Chosen | How::Channel => Ok(()),
        }
    }
}

impl fmt::Display for WordMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` took ", self.token)?;
        match &self.took[..] {
            [] => f.write_str("nothing"),
            words => {
                f.write_str("`")?;
                for (at, word) in words.iter().enumerate() {
                    write!(f, "{}{word}", if at == 0 { "" } else { "." })?;
                }
                f.write_str("`")
            }
        }
    }
}

impl fmt::Display for HeaderVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeaderVerdict { name, wanted, found, .. } = self;
        let (wanted, found) = (wanted.as_deref().unwrap_or_default(), found.as_deref().unwrap_or_default());
        match self.verdict {
            Verdict::Equal => write!(f, "`{name}` is `{wanted}`"),
            Verdict::Present => write!(f, "`{name}` is there"),
            Verdict::Missing => write!(f, "`{name}` is missing"),
            Verdict::DifferentValue => write!(f, "`{name}` is `{found}`, not `{wanted}`"),
            Verdict::DifferentType => write!(f, "`{name}` is `{found}` of another type than `{wanted}`"),
        }
    }
}

/// Where the binding failed: `` word 3 is `cancelled`, expected `paid` ``.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Key { expected, found } => write!(f, "the key is `{found}`, expected `{expected}`"),
            Mismatch::Word { at, expected, found, .. } => match (expected, found) {
                (Some(expected), Some(found)) => {
                    write!(f, "word {} is `{found}`, expected `{expected}`", at + 1)
                }
                (Some(expected), None) => {
                    write!(f, "the key ends before word {}, expected `{expected}`", at + 1)
                }
                (None, Some(found)) => write!(f, "word {} is `{found}`, expected the end of the key", at + 1),
                (None, None) => f.write_str("the key ends too early"),
            },
            Mismatch::Expression { pattern } => write!(f, "`{pattern}` does not match over characters"),
            Mismatch::Channel => f.write_str("the queue listens to another channel"),
            Mismatch::Draw { among } => write!(f, "another of {among} bindings was drawn"),
            Mismatch::Bucket { found: None, .. } => f.write_str("no binding owns a bucket"),
            Mismatch::Bucket { found: Some(found), among, own } => {
                write!(f, "the hash fell into bucket {} of {among}, this binding owns ", found + 1)?;
                match own {
                    Some(own) => own.fmt(f),
                    None => f.write_str("none"),
                }
            }
            Mismatch::Headers { headers, at, .. } => match at.and_then(|at| headers.get(at as usize)) {
                Some(_) => {
                    let failed = headers.iter().filter(|header| !header.verdict.agrees());
                    list(f, failed, |f, header| header.fmt(f))
                }
                None => f.write_str("no argument counts, so it never matches"),
            },
        }
    }
}

/// In one line, with the suggestion.
impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindingDefinition { source, destination, .. } = &self.binding;
        write!(f, "`{source}` to {} `{}`", destination.kind(), destination.name())?;
        if !self.binding.routing_key.is_empty() {
            write!(f, " by `{}`", self.binding.routing_key)?;
        }
        write!(f, ": {}", self.mismatch)?;
        match &self.suggestion {
            Some(suggestion) if suggestion.routing_key != self.binding.routing_key => {
                write!(f, "; `{}` would match", suggestion.routing_key)
            }
            Some(_) => f.write_str("; without that it would match"),
            None => Ok(()),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}
