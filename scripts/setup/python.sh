#!/bin/sh
# Makes one Python environment per supported Kombu: .tools/python/kombu57 and .tools/python/kombu56.
# They hold the real peers of the interop tests, every version pinned.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib.sh

want=3.10
have python3 || apt_install python 'the interop tests talk to real Kombu and Celery processes' python3 python3-venv
have python3 || fail python 'python3 is not installed' "install Python $want or newer"
found=$(python3 -c 'import platform; print(platform.python_version())')
version_at_least "$found" $want || fail python "python3 is $found, the peers need $want" "install Python $want or newer"

for peer in kombu57 kombu56; do
    venv=.tools/python/$peer
    pins=scripts/setup/requirements-$peer.txt
    now="$found $(sha256sum <$pins | cut -d' ' -f1)"
    up_to_date $venv/.installed "$now" && continue

    # Debian splits ensurepip off, and a venv without it has no pip.
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        apt_install python 'Debian keeps the venv module in a package of its own' python3-venv
    say python "installing $(sed -n 's/^\(kombu=.*\|celery=.*\|flower=.*\)/\1/p' $pins | tr '\n' ' ')into $venv: peers for the interop tests"
    rm -rf $venv
    python3 -m venv $venv || fail python "python3 -m venv $venv failed" 'apt-get install -y python3-venv'
    $venv/bin/python -m pip install --quiet --no-deps --disable-pip-version-check -r $pins >&2 ||
        fail python "pip could not install $pins" "$venv/bin/python -m pip install --no-deps -r $pins"
    $venv/bin/python -m pip check >&2 || fail python "$pins lacks a dependency (see above)" "pin it in $pins"
    printf '%s' "$now" >$venv/.installed
done
