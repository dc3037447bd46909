#!/bin/sh
# Installs the runtimes and bundlers that the npm package is tried in: the packages that tests/runtimes/package-lock.json
# pins. A folder of its own, outside the workspace: only that section of the tests needs these 900 MB.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

scripts/setup/node.sh
home=tests/runtimes
stamp=$home/node_modules/.installed
now="$(node --version) $(cat $home/package.json $home/package-lock.json | sha256sum | cut -d' ' -f1)"
if ! up_to_date $stamp "$now"; then
    say runtimes 'installing Node (oldest and newest), Deno, Bun, workerd, edge-runtime, Vite and webpack: the npm package is tried in each'
    npm ci --prefix $home --no-progress --loglevel=error >&2 ||
        fail runtimes 'npm ci failed (see above)' "npm install --prefix $home, if its package.json changed without its lock file"
    printf '%s' "$now" >$stamp
fi
