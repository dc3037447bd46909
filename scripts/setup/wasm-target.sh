#!/bin/sh
# Makes cargo able to build for WebAssembly, and prints the exports that such a build needs:
#
#     exports=$(scripts/setup/wasm-target.sh) && eval "$exports" && cargo build --target wasm32-unknown-unknown
#
# Two targets: wasm32-unknown-unknown for the npm package, and wasm32v1-none, which has no std at all,
# for the proof that the core needs none.
#
# rustup has both ready-made. Where rustup is missing or may not download, Debian's rustc-web does it: Debian
# ships its sources but no std for these targets, so std is built once, into that compiler's own sysroot.
# The two compilers differ in version, and a std belongs to one compiler: only the WebAssembly builds may see
# the exports, and they keep their own target directory.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

full=wasm32-unknown-unknown
bare=wasm32v1-none
debian=/usr/bin/rustc

# ready RUSTC: whether that compiler has both targets.
ready() {
    for target in $full $bare; do
        set -- "$1" "$("$1" --print target-libdir --target "$target" 2>/dev/null)"/libcore-*.rlib
        [ -f "$2" ] || return 1
    done
}

# A compiler links WebAssembly with the lld of its own LLVM.
debian_lld() {
    "$debian" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'
}

print_exports() {
    linker="wasm-ld-$(debian_lld)"
    echo "export RUSTC=$debian CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker CARGO_TARGET_WASM32V1_NONE_LINKER=$linker"
}

have cargo || fail wasm-target 'cargo is not installed' 'install Rust with rustup, then open a new shell'

if ready rustc; then
    exit 0
fi
if [ -x $debian ] && ready $debian && have "wasm-ld-$(debian_lld)"; then
    print_exports
    exit 0
fi

if have rustup && timeout 120 rustup target add $full $bare >/dev/null 2>&1 && ready rustc; then
    say wasm-target "installed the Rust targets $full and $bare: the npm package is compiled for them"
    exit 0
fi

why='rustup has no WebAssembly target here, Debian'"'"'s compiler builds the npm package'
apt_install wasm-target "$why" rustc-web cargo-web rust-web-src
[ -x $debian ] || fail wasm-target "$debian is missing although rustc-web is installed" 'apt-get install --reinstall rustc-web'
apt_install wasm-target 'its linker for WebAssembly' "lld-$(debian_lld)"

library=/usr/lib/rustlib/src/rust/library
sysroot=$("$debian" --print sysroot)/lib/rustlib
[ -d "$library" ] || library=$("$debian" --print sysroot)/lib/rustlib/src/rust/library
[ -d "$library/vendor" ] || fail wasm-target "the standard library's sources are not in $library" \
    'apt-get install --reinstall rust-web-src'
if [ ! -w "$sysroot" ]; then
    fail wasm-target "std for WebAssembly is not built yet, and $sysroot is not writable" \
        "as root: $PWD/scripts/setup/wasm-target.sh"
fi

# build_std TARGET CRATES: compiles CRATES for TARGET in an empty project and copies the rlibs to the sysroot.
# The vendored sources stand in for the registry, so this needs no network.
# Bitcode has to be in: the npm package is linked with fat LTO.
build_std() {
    target=$1 crates=$2
    set -- "$sysroot/$target/lib"/libcore-*.rlib
    if [ -f "$1" ]; then
        return 0
    fi
    say wasm-target "compiling Rust's $crates for $target, once (about a minute): Debian ships them as source only"
    mkdir "$work/$target" "$work/$target/src"
    printf '#![no_std]\n' >"$work/$target/src/lib.rs"
    printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$work/$target/Cargo.toml"
    (
        cd "$work/$target"
        RUSTC=$debian RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR=target \
            __CARGO_TESTS_ONLY_SRC_ROOT="$library" \
            cargo build --release --target "$target" -Z "build-std=$crates" \
            --config 'source.crates-io.replace-with="rust-library"' \
            --config "source.rust-library.directory=\"$library/vendor\""
    ) >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        fail wasm-target "std for $target did not compile" "sh -x $PWD/scripts/setup/wasm-target.sh"
    }
    # Copied beside, then renamed: an interrupted copy must not look like a std.
    mkdir -p "$sysroot/$target"
    rm -rf "$sysroot/$target/lib.new" "$work/$target/target/$target/release/deps"/libempty-*.rlib
    mkdir "$sysroot/$target/lib.new"
    cp "$work/$target/target/$target/release/deps"/*.rlib "$sysroot/$target/lib.new/"
    mv "$sysroot/$target/lib.new" "$sysroot/$target/lib"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build_std $full std,panic_abort,proc_macro,test
build_std $bare core,alloc,compiler_builtins
ready $debian || fail wasm-target "$debian still has no $full" "rm -r $sysroot/$full $sysroot/$bare, then try again"
print_exports
