#!/usr/bin/env bash
# Sets up what the tests need and runs all of them: format, lints, documentation tests, tests.
. "$(dirname "$0")/common.sh"

need_rust
# SQLite and ring are compiled from C.
has cc || install_packages build-essential
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

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
