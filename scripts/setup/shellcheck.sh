#!/bin/sh
# Installs shellcheck, which lints the scripts.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have shellcheck || apt_install shellcheck 'it lints the shell scripts' shellcheck
have shellcheck || fail shellcheck 'shellcheck is installed but not on the PATH' 'add /usr/bin to the PATH'
