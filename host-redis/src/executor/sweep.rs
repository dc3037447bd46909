//! Tables of bindings that nobody refreshed in time.

/// What a sweep found.
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, plan};
/// use keyrail_redis::{Executor, Memory, Swept};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (memory, layout) = (Memory::new(), Layout::default());
/// // A reply queue that lives for a minute, bound long ago and not refreshed since.
/// let row = Member::plain("reply-1", "reply-1");
/// memory.run(&plan::bind_expiring(&layout, "replies", &row, 60_000, 0).unwrap()).await.unwrap();
/// assert_eq!(memory.sweep(&layout).await.unwrap(), Swept { due: 1, deleted: 1 });
/// assert!(memory.keys("_kombu.binding.replies").await.unwrap().is_empty());
/// # });
/// ```
///
/// # Source
/// Kombu 5.7's `kombu.transport.redis.Channel.sweep_bindings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// So many deadlines had passed. They are gone.
    pub due: usize,
    /// So many of their tables went with them; the others have permanent bindings, or are no tables.
    pub deleted: usize,
}

/// Kombu's limit, so that a sweep of many blocks nobody for long.
pub(super) const AT_MOST: usize = 100;
