//! Model checks of `host-redis/src/shared.rs`, which is compiled here with loom's locks and atomics: loom runs each case
//! in every order of its threads' steps that the memory model allows. `make audit` runs them.
#![cfg(loom)]

#[path = "../../../host-redis/src/shared.rs"]
#[allow(dead_code, unreachable_pub, reason = "each case uses its part")]
mod shared;

#[cfg(test)]
mod tests {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

    use crate::shared::Shared;

    /// What a reader has seen it never unsees, and when the writer is done it sees the last value: a version that was
    /// noted with an older value would keep it for ever.
    #[test]
    fn a_reader_never_goes_back_and_ends_with_the_last_value() {
        loom::model(|| {
            let shared = Shared::new(0);
            let mut reader = shared.reader();
            let writer = thread::spawn({
                let shared = shared.clone();
                move || {
                    shared.replace(1);
                    shared.replace(2);
                }
            });
            let first = *reader.get();
            let second = *reader.get();
            assert!(first <= second);
            writer.join().unwrap();
            assert_eq!(*reader.get(), 2);
        });
    }

    /// Whoever hears that a value was replaced reads the new one.
    #[test]
    fn who_hears_of_a_value_reads_it() {
        loom::model(|| {
            let shared = Shared::new(0);
            let mut reader = shared.reader();
            let told = Arc::new(AtomicBool::new(false));
            let writer = thread::spawn({
                let (shared, told) = (shared.clone(), told.clone());
                move || {
                    shared.replace(1);
                    told.store(true, Ordering::Release);
                }
            });
            if told.load(Ordering::Acquire) {
                assert_eq!(*reader.get(), 1);
            }
            writer.join().unwrap();
        });
    }

    /// Two writers and a reader: one of the values is the last, for everybody.
    #[test]
    fn all_agree_on_the_last_of_two_writers() {
        loom::model(|| {
            let shared = Shared::new(0);
            let mut reader = shared.reader();
            let writers = [1, 2].map(|value| {
                let shared = shared.clone();
                thread::spawn(move || *shared.replace(value))
            });
            let seen = *reader.get();
            let before = writers.map(|writer| writer.join().unwrap());
            let last = *reader.get();
            assert!(matches!((before, last), ([0, 1], 2) | ([2, 0], 1)), "{before:?} {last}");
            assert!([0, 1, 2].contains(&seen));
            assert_eq!((*shared.current(), *shared.reader().get()), (last, last));
        });
    }

    /// A reader that comes while the value is replaced is as good as any.
    #[test]
    fn a_new_reader_may_come_at_any_time() {
        loom::model(|| {
            let shared = Shared::new(0);
            let writer = thread::spawn({
                let shared = shared.clone();
                move || drop(shared.replace(1))
            });
            let mut reader = shared.reader();
            let first = *reader.get();
            writer.join().unwrap();
            assert!(first <= 1);
            assert_eq!(*reader.get(), 1);
        });
    }
}
