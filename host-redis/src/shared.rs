//! A table that is replaced while others route by it.

#[cfg(loom)]
use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::{fmt, sync::PoisonError};

/// The newest of several values, which any thread may replace while others read.
///
/// Every thread that routes has a [`Reader`], which keeps the value it saw last and asks one number whether there is a
/// newer one. Nothing is locked, waited for or written on that way, so that readers cost each other nothing; a value
/// lives until the last reader has moved on. Clones are handles of the same.
///
/// ```
/// use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes};
/// use keyrail_redis::Shared;
///
/// let mut router = Router::new();
/// let events = router.declare_exchange("events", Exchange::new(ExchangeKind::Topic)).unwrap();
/// let audit = router.declare_queue("audit", Queue::new()).unwrap();
/// let shared = Shared::new(router.clone());
///
/// std::thread::scope(|scope| {
///     let (mut reader, mut routes) = (shared.reader(), Routes::new()); // of this thread, kept
///     scope.spawn(move || {
///         while reader.get().route(events, &Message::new("order.paid"), &mut routes) != Outcome::Routed {}
///     });
///     router.bind(events, audit, &Binding::new("order.#")).unwrap();
///     shared.replace(router);
/// });
/// ```
///
/// # Source
/// `tests/loom` tries every order in which two threads can meet here.
pub struct Shared<T>(Arc<Cell<T>>);

/// What a thread reads a [`Shared`] value through; see there.
///
/// ```
/// let shared = keyrail_redis::Shared::new("first");
/// let mut reader = shared.reader();
/// shared.replace("second");
/// assert_eq!((*reader.seen(), *reader.get(), *reader.seen()), ("first", "second", "second"));
/// ```
// Two readers side by side in a list must not share a cache line either: each writes its own.
#[repr(align(128))]
pub struct Reader<T> {
    cell: Arc<Cell<T>>,
    version: u64,
    value: Arc<T>,
}

struct Cell<T> {
    version: Version,
    current: Mutex<Arc<T>>,
}

/// How often the value was replaced. INVARIANT: written only by who holds the lock, after the value, so that whoever
/// reads it while holding the lock knows the version of what is there.
// Alone on its cache line: counting references writes beside it.
#[repr(align(128))]
struct Version(AtomicU64);

impl<T> Shared<T> {
    /// The first value.
    pub fn new(value: T) -> Self {
        let current = Mutex::new(Arc::new(value));
        Shared(Arc::new(Cell { version: Version(AtomicU64::new(0)), current }))
    }

    /// Replaces the value: whoever reads from now on gets this one. Gives back the one before, which some may still be
    /// reading.
    ///
    /// ```
    /// let shared = keyrail_redis::Shared::new(1);
    /// let same = shared.clone();
    /// assert_eq!(*shared.replace(2), 1);
    /// assert_eq!(*same.current(), 2);
    /// ```
    ///
    /// # Cost
    /// A lock that nobody holds for longer than a pointer is copied. Each reader takes it once to fetch the new value.
    pub fn replace(&self, value: T) -> Arc<T> {
        self.replace_arc(Arc::new(value))
    }

    /// The same for a value that is shared already.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let table = Arc::new(vec![1, 2]);
    /// let shared = keyrail_redis::Shared::new(Vec::new());
    /// shared.replace_arc(table.clone());
    /// assert!(Arc::ptr_eq(&shared.current(), &table));
    /// ```
    pub fn replace_arc(&self, value: Arc<T>) -> Arc<T> {
        let Cell { version, current } = &*self.0;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, value);
        // One step, not a load and a store: loom looks for other orders at the last access of a number only.
        version.0.fetch_add(1, Ordering::Release);
        before
    }

    /// The value of now, for whoever asks once in a while. Takes the lock; what reads often keeps a
    /// [`reader`](Self::reader).
    ///
    /// ```
    /// let shared = keyrail_redis::Shared::new(vec!["first"]);
    /// let kept = shared.current();
    /// shared.replace(vec!["second"]);
    /// assert_eq!((kept[0], shared.current()[0]), ("first", "second"));
    /// ```
    pub fn current(&self) -> Arc<T> {
        self.0.fetch().1
    }

    /// A reader for one thread or task.
    ///
    /// ```
    /// let shared = keyrail_redis::Shared::new(0);
    /// std::thread::scope(|scope| {
    ///     let mut reader = shared.reader(); // of the thread that it goes to
    ///     scope.spawn(move || while *reader.get() < 3 {});
    ///     for value in 1..=3 {
    ///         shared.replace(value);
    ///     }
    /// });
    /// ```
    pub fn reader(&self) -> Reader<T> {
        let (version, value) = self.0.fetch();
        Reader { cell: self.0.clone(), version, value }
    }
}

impl<T> Reader<T> {
    /// The newest value.
    ///
    /// # Cost
    /// One load of a number that changes only when the value does; the lock, once, if it has changed.
    #[inline]
    pub fn get(&mut self) -> &T {
        if self.cell.version.0.load(Ordering::Acquire) != self.version {
            self.refresh();
        }
        &self.value
    }

    /// The value that [`get`](Self::get) gave last, though there may be a newer one: what was found by it is looked up in
    /// it.
    pub fn seen(&self) -> &T {
        &self.value
    }

    #[cold]
    fn refresh(&mut self) {
        (self.version, self.value) = self.cell.fetch();
    }
}

impl<T> Cell<T> {
    /// The value and its version, which belong together because of the lock.
    fn fetch(&self) -> (u64, Arc<T>) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (self.version.0.load(Ordering::Relaxed), current.clone())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("version", &self.0.fetch().0).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes};

    use super::*;

    /// What goes to another thread, or is asked by several.
    const fn sent<T: Send>() {}
    const fn asked_by_many<T: Sync>() {}
    const _: () = {
        sent::<Router>();
        asked_by_many::<Router>();
        sent::<Routes>();
        sent::<Shared<Router>>();
        asked_by_many::<Shared<Router>>();
        sent::<Reader<Router>>();
    };

    #[test]
    fn a_reader_gets_what_was_put_there_last_and_old_values_go() {
        let shared = Shared::new(0);
        let (mut reader, other) = (shared.reader(), shared.clone());
        assert_eq!(*reader.get(), 0);
        assert_eq!(*other.replace(1), 0);
        let one = shared.current();
        assert_eq!((*one, *reader.get()), (1, 1));
        shared.replace(2);
        // Held by `one` and by the reader, which has not looked yet.
        assert_eq!(Arc::strong_count(&one), 2);
        assert_eq!((*reader.get(), *shared.reader().get()), (2, 2));
        assert_eq!(Arc::strong_count(&one), 1);
    }

    #[test]
    fn a_writer_that_panics_leaves_readers_alone() {
        let shared = Shared::new(1);
        let held = shared.clone();
        let panicked = thread::spawn(move || {
            let _lock = held.0.current.lock();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        let mut reader = shared.reader();
        shared.replace(2);
        assert_eq!(*reader.get(), 2);
    }

    /// Every table routes `n` to queue `n`, and to that alone: an answer mixed of two tables would show.
    #[test]
    fn threads_route_by_whole_tables_while_they_are_replaced() {
        const TABLES: usize = 200;
        let table = |number: usize| {
            let mut router = Router::new();
            let exchange = router.declare_exchange("e", Exchange::new(ExchangeKind::Topic)).unwrap();
            for name in 0..2 {
                let queue = router.declare_queue(&name.to_string(), Queue::new()).unwrap();
                if name == number % 2 {
                    router.bind(exchange, queue, &Binding::new("*.b.#")).unwrap();
                    router.bind(exchange, queue, &Binding::new("a.b")).unwrap();
                }
            }
            (number, exchange, router)
        };
        let shared = Shared::new(table(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                let (mut reader, mut routes) = (shared.reader(), Routes::new());
                scope.spawn(move || {
                    let mut last = 0;
                    while last < TABLES {
                        let (number, exchange, router) = reader.get();
                        assert!(*number >= last, "a reader went back from {last} to {number}");
                        last = *number;
                        let outcome = router.route(*exchange, &Message::new("a.b"), &mut routes);
                        assert_eq!(outcome, Outcome::Routed);
                        let names: Vec<_> =
                            routes.into_iter().map(|queue| router.queue_name(queue)).collect();
                        assert_eq!(names, [Some(["0", "1"][number % 2])]);
                    }
                });
            }
            for number in 1..=TABLES {
                shared.replace(table(number));
                thread::yield_now();
            }
        });
        assert_eq!(shared.current().0, TABLES);
    }
}
