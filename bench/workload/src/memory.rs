#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; every call goes on as it came")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering},
};

/// The system's allocator, which counts what is asked of it once it is told to.
///
/// The resident set would count what a table left behind that is gone, and rounds to pages; this counts bytes.
///
/// ```
/// use keyrail_workload::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator::new();
///
/// ALLOCATOR.start();
/// let kept = vec![0_u8; 1000];
/// assert_eq!((ALLOCATOR.held(), ALLOCATOR.allocations()), (1000, 1));
/// drop(kept);
/// assert_eq!(ALLOCATOR.held(), 0);
/// ALLOCATOR.stop();
/// ```
///
/// # Cost
/// While it does not count, a load and a branch that is always predicted, some tenths of a nanosecond beside the twenty
/// or so of an allocation; a program may carry it for one of its commands. While it counts, two atomic additions.
#[derive(Debug)]
pub struct CountingAllocator {
    counts: AtomicBool,
    held: AtomicIsize,
    allocations: AtomicUsize,
}

impl CountingAllocator {
    /// An allocator that does not count yet.
    pub const fn new() -> Self {
        CountingAllocator {
            counts: AtomicBool::new(false),
            held: AtomicIsize::new(0),
            allocations: AtomicUsize::new(0),
        }
    }

    /// Counts from here on, from zero.
    pub fn start(&self) {
        self.held.store(0, Ordering::Relaxed);
        self.allocations.store(0, Ordering::Relaxed);
        self.counts.store(true, Ordering::Relaxed);
    }

    /// Counts no more; what was counted stays.
    pub fn stop(&self) {
        self.counts.store(false, Ordering::Relaxed);
    }

    /// Bytes asked for since the start and not given back; less than zero if older ones were given back. What the
    /// allocator adds for itself is not known here.
    pub fn held(&self) -> isize {
        self.held.load(Ordering::Relaxed)
    }

    /// How often memory was asked for since the start.
    pub fn allocations(&self) -> usize {
        self.allocations.load(Ordering::Relaxed)
    }

    #[inline]
    fn count(&self, bytes: isize, allocations: usize) {
        if self.counts.load(Ordering::Relaxed) {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            self.allocations.fetch_add(allocations, Ordering::Relaxed);
        }
    }
}

impl Default for CountingAllocator {
    fn default() -> Self {
        CountingAllocator::new()
    }
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size() as isize, 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size() as isize, 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.count(-(layout.size() as isize), 0);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size as isize - layout.size() as isize, 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
