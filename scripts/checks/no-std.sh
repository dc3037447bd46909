#!/bin/sh
# Proves that the core, with its default features, needs no std: it is compiled for wasm32v1-none, which has none.
# `#![no_std]` alone is no proof, since any dependency could bring std back.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

target=wasm32v1-none
eval "$(scripts/setup/wasm-target.sh)"

# First that the proof can fail: a crate that does ask for std must not compile for this target.
if echo '#![no_std] extern crate std;' |
    "${RUSTC:-rustc}" --edition 2024 --target $target --crate-type rlib --emit metadata -o /dev/null - 2>/dev/null; then
    echo "$target has a std: this check would prove nothing"
    echo '0 passed, 2 failed, 0 skipped'
    exit 1
fi
echo "ok: $target refuses a crate that asks for std"

# The profile of the npm package, to share its build of the procedural macros.
if cargo build --package keyrail-core --target $target --profile wasm --target-dir target/wasm; then
    echo "ok: keyrail-core compiles for $target"
    echo '2 passed, 0 failed, 0 skipped'
else
    echo "keyrail-core, or a crate it depends on, needs std"
    echo '1 passed, 1 failed, 0 skipped'
    exit 1
fi
