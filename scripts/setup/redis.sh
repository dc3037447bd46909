#!/bin/sh
# Installs redis-server, and openssl for the certificates of the servers with TLS. The tests start servers of their own on free ports; the service that Debian's package may
# start on port 6379 is never touched.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have redis-server || apt_install redis 'the interop tests start a real Redis of their own' redis-server
have openssl || apt_install openssl 'the test of TLS makes its own certificates' openssl
have redis-server || fail redis 'redis-server is installed but not on the PATH' 'add /usr/bin to the PATH'
