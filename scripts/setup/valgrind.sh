#!/bin/sh
# Installs valgrind: callgrind counts the instructions of a route, the same on a busy machine as on an idle one.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have valgrind || apt_install valgrind 'callgrind counts the instructions of a route' valgrind
have valgrind || fail valgrind 'valgrind is installed but not on the PATH' 'add /usr/bin to the PATH'
