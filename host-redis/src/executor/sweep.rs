//! Tables of bindings that nobody refreshed in time.

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// So many deadlines had passed. They are gone.
    pub due: usize,
    /// So many of their tables went with them; the others have permanent bindings, or are no tables.
    pub deleted: usize,
}

/// Kombu's limit, so that a sweep of many blocks nobody for long.
pub(super) const AT_MOST: usize = 100;
