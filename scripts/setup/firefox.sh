#!/bin/sh
# Installs Firefox, the second browser that the npm package is tried in; puppeteer-core drives it.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

have firefox-esr || apt_install firefox 'the npm package is tried in a second browser' firefox-esr
have firefox-esr || fail firefox 'firefox-esr is installed but not on the PATH' 'add /usr/bin to the PATH'
