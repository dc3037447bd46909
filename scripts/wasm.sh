#!/bin/sh
# Builds the npm package: core -> WebAssembly -> binding -> smaller module -> entries and types.
#
#   wasm/pkg/   the small module and its binding, as the generator and wasm-opt leave them; in full/ the large one's;
#               beside each module named.wasm, the same one with the names of its functions
#   wasm/dist/  the package, made of wasm/pkg by the "build" script of wasm/package.json
#
# Does nothing if no input changed since the last build.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

exports=$(scripts/setup/wasm-target.sh)
scripts/setup/node.sh

# The modules take minutes and depend on Rust alone; the package around them takes seconds.
compiled=wasm/pkg/.inputs
code="$(digest core wasm/src wasm/Cargo.toml xtask Cargo.toml Cargo.lock scripts/wasm.sh package-lock.json) $exports"
stamp=wasm/dist/.inputs
inputs="$(digest wasm tsconfig.base.json) $code"
if up_to_date $compiled "$code" && up_to_date $stamp "$inputs"; then
    exit 0
fi

# What LLVM inlines because its source says `#[inline]`, in steps of its own measure: by itself 325, also in code that is
# compiled for size. 50 is what it takes there for everything else, and costs routing nothing: wasm/docs/size.md.
inlined=-Cllvm-args=-inlinehint-threshold=50

# Texts of panics name source files: not by where they lie on the machine that builds. One flag per line of the option
# that cargo reads, since a path may have spaces.
separator=$(printf '\037')
flags="$inlined$separator--remap-path-prefix=$PWD=keyrail"
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags$separator--remap-path-prefix=$registry=crates"
done

# module DIRECTORY FEATURES: builds the module with these features into wasm/pkg/DIRECTORY.
module() {
    # A target directory of its own: this compiler may be another one than the host's (see setup/wasm-target.sh).
    (
        eval "$exports"
        export CARGO_ENCODED_RUSTFLAGS="$flags"
        cargo build --quiet --package keyrail-wasm --features "$2" --profile wasm \
            --target wasm32-unknown-unknown --target-dir target/wasm
    ) || fail wasm 'keyrail-wasm does not compile for WebAssembly (see above)' 'mend what the compiler names'
    target/debug/keyrail-xtask bindgen target/wasm/wasm32-unknown-unknown/wasm/keyrail_wasm.wasm "wasm/pkg/$1"
    # --all-features would write a module that Node 20 refuses; this asks the module which features it uses.
    # -Oz and --converge save less than 0.5 % and undo inlining that routing needs: see wasm/docs/size.md.
    node_modules/.bin/wasm-opt -O3 --debuginfo --detect-features \
        "wasm/pkg/$1/keyrail_bg.wasm" -o "wasm/pkg/$1/named.wasm"
    # The same code without the names, which double the size.
    node_modules/.bin/wasm-opt --strip-debug --strip-producers --detect-features \
        "wasm/pkg/$1/named.wasm" -o "wasm/pkg/$1/keyrail_bg.wasm"
    size=$(wc -c <"wasm/pkg/$1/keyrail_bg.wasm")
    say wasm "$1/keyrail_bg.wasm has $size bytes, $(gzip -9c "wasm/pkg/$1/keyrail_bg.wasm" | wc -c) gzipped"
}

if ! up_to_date $compiled "$code"; then
    rm -rf wasm/pkg
    mkdir -p wasm/pkg
    say wasm 'compiling the core and its JavaScript surface to WebAssembly, twice'
    # `--workspace --bin` instead of `-p`: with the features of the whole workspace, as in `cargo test --workspace`,
    # so that both share one build of the generator.
    cargo build --quiet --workspace --bin keyrail-xtask
    module . ''
    module full full
    printf '%s' "$code" >$compiled
fi

rm -rf wasm/dist
say wasm 'building the npm package'
npm run --silent build -w wasm >&2 || fail wasm 'npm run build -w wasm failed (see above)' 'mend what it names in wasm/'
[ -d wasm/dist ] || fail wasm 'the build of wasm/ left no wasm/dist' 'see "build" in wasm/package.json'
printf '%s' "$inputs" >$stamp
