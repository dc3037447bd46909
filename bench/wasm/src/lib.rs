//! A topic table and its keys in WebAssembly's memory, routed in batches: `bench/js/measure-wasm.mjs` calls it.
//!
//! Whatever fails traps: the files have been read by the native bench before.

use std::{cell::RefCell, path::Path};

use keyrail_core::{Message, Outcome, Routes};
use keyrail_workload::{Bindings, Digest, Keys, Kind, Loaded};

#[derive(Default)]
struct State {
    input: Vec<u8>,
    table: Option<Loaded>,
    keys: Keys,
    next: usize,
    routes: Routes,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Room for the bytes of a file; where it is.
#[unsafe(no_mangle)]
pub extern "C" fn input(length: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.input = vec![0; length];
        state.input.as_mut_ptr()
    })
}

/// Takes the input for keys.
#[unsafe(no_mangle)]
pub extern "C" fn take_keys() {
    STATE.with_borrow_mut(|state| state.keys = Keys::from_bytes(std::mem::take(&mut state.input)));
}

/// Takes the input for a topic table and builds it; the number of bindings.
#[unsafe(no_mangle)]
pub extern "C" fn build() -> usize {
    STATE.with_borrow_mut(|state| {
        let table = Bindings::from_bytes(Path::new(""), std::mem::take(&mut state.input)).expect("a table");
        state.table = Some(Loaded::new(Kind::Topic, &table).expect("bindings"));
        table.len()
    })
}

/// Routes so many keys, going on where the last batch ended; the number of queues.
#[unsafe(no_mangle)]
pub extern "C" fn route(count: usize) -> usize {
    STATE.with_borrow_mut(|state| {
        let State { table, keys, next, routes, .. } = state;
        let loaded = table.as_ref().expect("a table");
        let mut queues = 0;
        for _ in 0..count {
            let key = keys.get(*next).expect("keys");
            *next = if *next + 1 == keys.len() { 0 } else { *next + 1 };
            if loaded.route(&Message::new(key), routes) == Outcome::Routed {
                queues += routes.len();
            }
        }
        queues
    })
}

/// The digest of the first keys; `first` for that of 200 at most.
#[unsafe(no_mangle)]
pub extern "C" fn digest(count: usize, first: bool) -> u32 {
    STATE.with_borrow_mut(|state| {
        let State { table, keys, routes, .. } = state;
        let loaded = table.as_ref().expect("a table");
        let (mut digest, mut queues) = (Digest::new(), Vec::new());
        for key in keys.iter().take(count) {
            let _ = loaded.route(&Message::new(key), routes);
            queues.clear();
            queues.extend(loaded.numbers(routes));
            digest.add(&mut queues);
        }
        if first { digest.first() } else { digest.value() }
    })
}
