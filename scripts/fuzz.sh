#!/bin/sh
# Fuzzes every importer for a while: scripts/fuzz.sh [SECONDS] [TARGET...]
#
# libFuzzer with the stable compiler: the passes that count branches are LLVM's, and a crate without `unsafe` has little for
# the sanitizers that need a nightly one. Optimised, with debug assertions and overflow checks.
# What is found is kept in target/fuzz/corpus; an input that breaks something in target/fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

seconds=${1:-60}
[ $# -eq 0 ] || shift
targets=${*:-$(find fuzz/fuzz_targets -name '*.rs' -exec basename {} .rs ';' | sort)}

scripts/setup/rust.sh
have c++ || apt_install fuzz 'libFuzzer is C++' g++
triple=$(rustc -vV | sed -n 's/^host: //p')
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-trace-compares"
# With --target, so that build scripts and macros are not instrumented.
RUSTFLAGS="$coverage --cfg fuzzing -Cdebug-assertions=on -Coverflow-checks=on -Ccodegen-units=1" \
    cargo build --release --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target "$triple" --bins

for target in $targets; do
    mkdir -p "target/fuzz/corpus/$target" target/fuzz/artifacts
    log=target/fuzz/$target.log
    say fuzz "$target, $seconds s"
    "target/fuzz/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="target/fuzz/artifacts/$target-" "target/fuzz/corpus/$target" "tests/corpus/$target" >"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; fail fuzz "$target broke" "see $log; the input goes into tests/corpus/$target"; }
    awk -v target="$target" '/executed_units/ { runs = $2 } /peak_rss/ { rss = $2 } / cov: / { cov = $4 }
        END { printf "%-12s %10d runs, %6d branches, %5d MB at most\n", target, runs, cov, rss }' "$log"
done
