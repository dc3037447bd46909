//! How a binding is kept: in few bytes where it is a key between two ends, with the rest beside it where there is more.

use alloc::{boxed::Box, vec::Vec};

use super::{BindingRef, Router};
use crate::{
    Binding, ByteString, Destination, Dialect, ExchangeId, Table,
    hash::{hash, join},
    id::BindingId,
    index::{Place, Target},
};

/// A binding. Its key is where the index has it, unless there is an [`Extra`].
#[derive(Clone, Copy, Debug)]
pub(super) struct BindingEntry {
    pub(super) source: ExchangeId,
    pub(super) target: Target,
    pub(super) place: Place,
    /// The number of its extra, or [`NONE`].
    pub(super) extra: u32,
}

pub(super) const NONE: u32 = u32::MAX;

/// What most bindings do not have.
#[derive(Clone, Debug)]
pub(super) struct Extra {
    key: ByteString,
    arguments: Table,
    /// [`Table::identity`] of the arguments.
    identity: Box<[u8]>,
    dialect: Dialect,
    pattern: Option<Box<str>>,
    /// The words that it is matched by, where they are not the key.
    words: Option<Box<[u8]>>,
}

/// Everything by which a binding is told from others.
type Parts<'a> = (ExchangeId, Destination, &'a [u8], &'a [u8], Dialect, Option<&'a str>);

impl Extra {
    /// The extra of a binding; `None` if its key is all that it has and the index keeps it.
    pub(super) fn of(
        binding: &Binding<'_>,
        identity: Vec<u8>,
        words: Option<Box<[u8]>>,
        key_is_kept: bool,
    ) -> Option<Self> {
        let plain = is_plain(binding, &identity) && words.is_none();
        (!plain || !key_is_kept).then(|| Extra {
            key: binding.key.into(),
            arguments: binding.arguments.cloned().unwrap_or_default(),
            identity: identity.into(),
            dialect: binding.dialect,
            pattern: binding.pattern.map(Into::into),
            words,
        })
    }

    /// The words that the binding is matched by.
    pub(super) fn words(&self) -> &[u8] {
        self.words.as_deref().unwrap_or(&self.key)
    }
}

/// Whether a binding differs from others of the same ends by its key alone.
pub(super) fn is_plain(binding: &Binding<'_>, identity: &[u8]) -> bool {
    binding.dialect == Dialect::Amqp && binding.pattern.is_none() && identity.is_empty()
}

impl Router {
    pub(super) fn identity_hash(
        &self,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
        identity: &[u8],
    ) -> u64 {
        self.hash_parts((source, destination, binding.key, identity, binding.dialect, binding.pattern))
    }

    /// The binding with this content, whose hash is known.
    pub(super) fn find(
        &self,
        hash: u64,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
        identity: &[u8],
    ) -> Option<BindingId> {
        let parts = (source, destination, binding.key, identity, binding.dialect, binding.pattern);
        let same = |id: &u32| self.bindings.get(*id).is_some_and(|entry| self.parts(entry) == parts);
        self.identities.find(crate::hash::tag(hash), same).map(|id| BindingId(*id))
    }

    pub(super) fn hash_of(&self, entry: &BindingEntry) -> u64 {
        self.hash_parts(self.parts(entry))
    }

    fn hash_parts(&self, (source, destination, key, identity, dialect, pattern): Parts<'_>) -> u64 {
        let target = Target::new(destination, false).number();
        let ends = u64::from(source.0) << 32 | u64::from(target);
        let plain = join(hash(self.seed, key), ends);
        if identity.is_empty() && pattern.is_none() {
            return plain ^ dialect as u64;
        }
        let pattern = pattern.map_or(0, |pattern| hash(self.seed, pattern.as_bytes()));
        join(plain ^ dialect as u64, join(hash(self.seed, identity), pattern))
    }

    fn parts<'a>(&'a self, entry: &'a BindingEntry) -> Parts<'a> {
        let destination = entry.target.destination();
        match self.extras.get(entry.extra) {
            None => (entry.source, destination, self.kept_key(entry), &[], Dialect::Amqp, None),
            Some(Extra { key, identity, dialect, pattern, .. }) => {
                (entry.source, destination, key, identity, *dialect, pattern.as_deref())
            }
        }
    }

    fn kept_key(&self, entry: &BindingEntry) -> &[u8] {
        self.exchange_entry(entry.source).map_or(&[], |source| source.index.key(entry.place))
    }

    pub(super) fn binding_ref<'a>(&'a self, entry: &'a BindingEntry) -> BindingRef<'a> {
        const NO_ARGUMENTS: &Table = &Table::new();
        let (source, destination, key, _, dialect, pattern) = self.parts(entry);
        let arguments = self.extras.get(entry.extra).map_or(NO_ARGUMENTS, |extra| &extra.arguments);
        BindingRef { source, destination, key, arguments, dialect, pattern }
    }
}
