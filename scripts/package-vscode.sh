#!/usr/bin/env bash
# Builds the VS Code extension into target/pillion.vsix and prints the command that installs it.
. "$(dirname "$0")/common.sh"

bash scripts/setup-node.sh
extension=editors/vscode
[ -d "$extension/node_modules/esbuild" ] ||
    npm ci --prefix "$extension" --silent --no-audit --no-fund --ignore-scripts ||
    fail "the npm packages in $extension/package-lock.json could not be installed"

mkdir -p target
vsix=$PWD/target/pillion.vsix
say "Packaging the extension"
(cd "$extension" && "$cache/node-24.21.0/bin/node" build.ts --package "$vsix")
printf 'Install it with:\n  code --install-extension %s\n' "$vsix"
