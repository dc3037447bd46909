//! Rows that peers with another option `sep` wrote.

use keyrail_core::kombu::{Member, recognise};

/// Longer separators are not looked for.
const LONGEST: usize = 8;

/// The separator with which this is a row, if there is another one: two of it enclose a text that Kombu or keyrail
/// writes, or nothing. Letters, digits and what is common in names are no separators, or any word with a double letter
/// would be a row.
pub(super) fn other<'r>(row: &'r [u8], ours: &str) -> Option<&'r str> {
    let text = std::str::from_utf8(row).ok()?;
    let starts = text.char_indices().filter(|(_, c)| separates(*c)).map(|(at, _)| at);
    for start in starts.take(256) {
        let rest = &text[start..];
        let ends = rest.char_indices().take_while(|(_, c)| separates(*c)).map(|(at, c)| at + c.len_utf8());
        for length in ends.take(LONGEST) {
            let sep = &rest[..length];
            if sep != ours && is_row(row, sep) {
                return Some(sep);
            }
        }
    }
    None
}

fn separates(c: char) -> bool {
    !c.is_alphanumeric() && !"._-*#\\^$/@ ".contains(c)
}

fn is_row(row: &[u8], sep: &str) -> bool {
    let Ok(member) = Member::parse(row, sep) else { return false };
    member.pattern.is_empty() || (member.pattern.starts_with('^') && recognise(&member.pattern).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_found_and_words_are_none() {
        for (row, found) in [
            ("k::q", Some(":")),
            ("a.*|^a\\.[^\\.]+$|q", Some("|")),
            ("a.*\x06\x16^a\\.[^\\.]+$\x06\x16q", Some("\x06\x16")),
            ("a.*<>^a\\..*?[^\\.]$<>q", Some("<>")),
            ("red\x1f\x1fq", Some("\x1f")),
            ("hello", None),
            ("no row", None),
            ("a:b", None),
            ("a:b:c", None),
            ("", None),
            ("::", None),
        ] {
            assert_eq!(other(row.as_bytes(), "%%"), found, "{row:?}");
        }
        assert_eq!(other(b"\xff::q", "%%"), None);
    }
}
