#!/bin/sh
# Model-checks what threads share: loom runs each case of tests/loom in every order of the threads' steps.
# Optimised, as there are many orders; in a target directory of its own, as every crate is compiled with another flag.
set -eu
cd "$(dirname "$0")/../.."
scripts/setup/rust.sh
RUSTFLAGS="--cfg loom" exec cargo test --release --locked --manifest-path tests/loom/Cargo.toml --target-dir target/loom --lib
