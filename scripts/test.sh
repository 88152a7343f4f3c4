#!/usr/bin/env bash
# Sets up what the tests need and runs all of them: format, lints, documentation tests, tests. The first time the set-up
# fetches about 1 GB (VS Code, Chromium, Neovim, other people's clients); what it fetches is kept in the cache.
. "$(dirname "$0")/common.sh"

need_rust
# SQLite and ring are compiled from C.
has cc || install_packages build-essential
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

bash scripts/setup-nvim.sh
bash scripts/setup-clients.sh
bash scripts/setup-vscode.sh

say "Format"
cargo fmt --check
say "Lints"
cargo clippy --locked --all-targets -- -D warnings
say "Documentation tests"
cargo test --locked --doc
say "Tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked
else
    cargo test --locked --all-targets
fi
