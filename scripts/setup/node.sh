#!/bin/sh
# Checks Node.js and npm, then installs the Node packages that package-lock.json pins.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

want=20.19
install="install Node.js $want or newer"
if ! have node || ! have npm; then
    candidate=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
    if version_at_least "${candidate:-0}" $want; then
        apt_install node 'it builds and tests the npm package and the page' nodejs npm
    fi
fi
have node || fail node 'node is not installed' "$install"
have npm || fail node 'npm is not installed' "$install with its npm"
found=$(node --version)
version_at_least "${found#v}" $want || fail node "node is $found, the npm package supports $want and newer" "$install"

# `npm ci` deletes node_modules first, so it runs only when a manifest, the lock file or Node itself changed.
stamp=node_modules/.installed
now="$found $(cat package-lock.json package.json ./*/package.json tests/*/package.json 2>/dev/null | sha256sum | cut -d' ' -f1)"
if ! up_to_date $stamp "$now"; then
    say node 'installing the Node packages of package-lock.json: compilers, linter and browser driver of the npm package and the page'
    npm ci --no-progress --loglevel=error >&2 ||
        fail node 'npm ci failed (see above)' 'npm install, if package.json changed without package-lock.json; else npm ci'
    printf '%s' "$now" >$stamp
fi
