# What the other scripts share: messages, the cache, packages, Rust. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2034 # used by the scripts that source this one
case ${XDG_CACHE_HOME:-} in
    /*) cache=$XDG_CACHE_HOME/pillion ;;
    *) cache=$HOME/.cache/pillion ;;
esac

say() { printf '\n==> %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages: as root, with sudo, or not at all but with the command to run.
install_packages() {
    [ $# -gt 0 ] || return 0
    has apt-get || fail "these are missing (under their Debian names): $*" "install them, then run this again"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            as_root=(sudo)
        else
            fail "these packages are missing: $*" "run this as root, then start again:" \
                "  apt-get update && apt-get install -y --no-install-recommends $*"
        fi
    fi
    say "Installing $*"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

need_rust() {
    # rustup's own directory is not in the PATH of every shell.
    has cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    has cargo || fail "Rust is missing: install it from https://rustup.rs, then run this again"
}
