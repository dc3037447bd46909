#!/bin/sh
# Builds the page into www/dist from the npm package. Does nothing if no input changed since the last build.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

scripts/wasm.sh

stamp=www/dist/.inputs
inputs="$(digest www examples/shop package-lock.json tsconfig.base.json scripts/www.sh) $(cat wasm/dist/.inputs)"
if up_to_date $stamp "$inputs"; then
    exit 0
fi
say www 'building the page'
npm run --silent build -w www >&2 || fail www 'npm run build -w www failed (see above)' 'mend what it names in www/'
[ -f www/dist/index.html ] || fail www 'the build of www/ left no www/dist/index.html' 'see "build" in www/package.json'
printf '%s' "$inputs" >$stamp
