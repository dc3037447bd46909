use alloc::vec::Vec;

use crate::id::BindingId;

/// A set of bindings, sorted by number: compact, in the same order everywhere, and cheap to append to, since a new
/// binding usually has the largest number.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdList(Vec<BindingId>);

impl IdList {
    pub(crate) fn insert(&mut self, id: BindingId) {
        if self.0.last().is_none_or(|last| *last < id) {
            self.0.push(id);
        } else if let Err(at) = self.0.binary_search(&id) {
            self.0.insert(at, id);
        }
    }

    pub(crate) fn remove(&mut self, id: BindingId) {
        if let Ok(at) = self.0.binary_search(&id) {
            self.0.remove(at);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_slice(&self) -> &[BindingId] {
        &self.0
    }
}
