#!/bin/sh
# Installs redis-server. The tests start their own servers on free ports, so Debian's service is not enabled here.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have redis-server || apt_install redis 'the interop tests start a real Redis of their own' redis-server
have redis-server || fail redis 'redis-server is installed but not on the PATH' 'add /usr/bin to the PATH'
