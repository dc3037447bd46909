#!/bin/sh
# Checks that a Rust toolchain is here and new enough; a toolchain is the user's own choice, so none is installed.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
install="install Rust $want or newer with rustup, then open a new shell"
have cargo || fail rust 'cargo is not installed' "$install"
have rustc || fail rust 'rustc is not installed' "$install"
found=$(rustc --version | cut -d' ' -f2)
version_at_least "${found%%-*}" "$want" || fail rust "rustc is $found, this workspace needs $want" 'rustup update stable'
have cc || apt_install rust 'rustc links with the C compiler' gcc libc6-dev
