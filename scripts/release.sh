#!/bin/sh
# Builds release programs, the page inside: scripts/release.sh [PROGRAM...], default all that tests use.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

scripts/setup/rust.sh
scripts/www.sh

[ $# -gt 0 ] || set -- keyrail keyrail-conformance keyrail-peer
for program in "$@"; do
    shift
    set -- "$@" --bin "$program"
done
# `--workspace` with the programs named: whichever of them is built first, all share one build of the dependencies.
cargo build --release --workspace "$@" || fail build 'the release build failed (see above)' 'mend what the compiler names'
