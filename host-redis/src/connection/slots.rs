//! Which keys of a cluster lie together.

use keyrail_core::kombu::Layout;

/// What of a key decides about its slot, where the key has a hash tag: the text between its first braces.
pub(crate) fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// Whether every key lies in one slot: the prefix that stands before all of them has a hash tag.
pub(crate) fn in_one_slot(layout: &Layout) -> bool {
    hash_tag(&layout.global_keyprefix).is_some()
}

/// A hash tag with which another key comes to lie beside this one; none for a name that no tag can repeat.
pub(crate) fn tag_beside(key: &str) -> Option<&str> {
    hash_tag(key).or_else(|| (!key.contains('}') && !key.is_empty()).then_some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_about_the_slot() {
        for (key, tag, beside) in [
            ("orders", None, Some("orders")),
            ("{shop}.orders", Some("shop"), Some("shop")),
            ("a{b}c{d}", Some("b"), Some("b")),
            ("a{{b}c", Some("{b"), Some("{b")),
            ("open{", None, Some("open{")),
            ("a}b", None, None),
            ("{}x", None, None),
            ("", None, None),
        ] {
            assert_eq!((hash_tag(key), tag_beside(key)), (tag, beside), "{key}");
        }
    }
}
