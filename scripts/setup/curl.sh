#!/bin/sh
# Installs curl: a test types the curl lines of the README.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have curl || apt_install curl 'a test types the curl lines of the README' curl
have curl || fail curl 'curl is installed but not on the PATH' 'add /usr/bin to the PATH'
