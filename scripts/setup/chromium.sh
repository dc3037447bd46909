#!/bin/sh
# Installs Chromium for the end-to-end tests of the page; playwright-core drives it, with no browser of its own.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have chromium || apt_install chromium 'the end-to-end tests use the page in a real browser' chromium
have chromium || fail chromium 'chromium is installed but not on the PATH' 'add /usr/bin to the PATH'
