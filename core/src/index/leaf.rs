//! One key and the bindings that have it, in a cache line.

use alloc::boxed::Box;

use crate::index::entries::{Entries, Entry};

#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) entries: Entries,
    key: Key,
}

/// The binding key: most are short enough to lie in the leaf itself.
#[derive(Clone, Debug)]
enum Key {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

const INLINE: usize = 46;
const _: () = assert!(size_of::<usize>() != 8 || size_of::<Option<Leaf>>() == 64);

impl Leaf {
    pub(crate) fn new(key: &[u8], entry: Entry) -> Self {
        let mut inline = [0; INLINE];
        let key = match inline.get_mut(..key.len()) {
            Some(space) => {
                space.copy_from_slice(key);
                Key::Inline(key.len() as u8, inline)
            }
            None => Key::Heap(key.into()),
        };
        Leaf { entries: Entries::new(entry), key }
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> &[u8] {
        match &self.key {
            Key::Inline(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Key::Heap(key) => key,
        }
    }
}
