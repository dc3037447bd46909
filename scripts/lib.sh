# shellcheck shell=sh
# Shared by the scripts: messages, failures, privileges, stamps. Sourced, never run.
#
# Everything a script says goes to stderr, so that a script's stdout can be its result.

# rustup's own place, which a shell older than the installation, or one that is no login shell, does not know.
if [ -d "${HOME:-}/.cargo/bin" ]; then
    PATH="$PATH:$HOME/.cargo/bin"
fi

say() {
    printf '%s: %s\n' "$1" "$2" >&2
}

# fail STEP MISSING FIX: the one way a script gives up. FIX is a command, or a sentence if none would do.
fail() {
    printf '\nerror in step "%s": %s\n  to fix it: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# version_at_least HAVE WANT: compares dotted numbers of up to three parts.
version_at_least() {
    awk -v have="$1" -v want="$2" 'BEGIN {
        split(have, h, "."); split(want, w, ".")
        for (i = 1; i <= 3; i++) if (h[i] + 0 != w[i] + 0) exit (h[i] + 0 < w[i] + 0)
    }'
}

# digest PATH...: one hash over names and contents of all files below, build products left out.
# Costs some 20 ms for this repository, so every expensive step may ask whether its inputs changed.
digest() {
    find "$@" \( -name node_modules -o -name target -o -name dist -o -name pkg \) -prune -o -type f -print |
        LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# up_to_date STAMP DIGEST: true if the step that wrote STAMP ran on the same inputs.
up_to_date() {
    [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# apt_install STEP WHY PACKAGE...: installs what is missing of PACKAGE..., says so in one line.
# The package lists are fetched only if apt cannot do with those it has: fetching costs more than most installs.
# Runs in a subshell of its own, as sh has no local variables.
apt_install() (
    step=$1 why=$2
    shift 2
    missing=
    for package in "$@"; do
        installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || exit 0

    by_hand="apt-get update && apt-get install -y --no-install-recommends$missing"
    have apt-get || fail "$step" "missing:$missing, and apt-get is not here to install it" \
        "install the equivalent of$missing with this system's package manager"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        fail "$step" "missing:$missing, and installing needs root (no usable sudo)" "as root: $by_hand"
    fi

    say "$step" "installing$missing: $why"
    apt_log=$(mktemp)
    # shellcheck disable=SC2086 # $as_root and $missing are word lists on purpose
    set -- $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300
    # shellcheck disable=SC2086
    "$@" install -y --no-install-recommends $missing >"$apt_log" 2>&1 ||
        { "$@" update >>"$apt_log" 2>&1 && "$@" install -y --no-install-recommends $missing >>"$apt_log" 2>&1; } ||
        { tail -n 15 "$apt_log" >&2; fail "$step" "apt-get could not install$missing (log: $apt_log)" "as root: $by_hand"; }
    rm -f "$apt_log"
)
