#!/usr/bin/env bash
# Builds the release program and measures it: one table. What can follow, docs/performance.md tells.
. "$(dirname "$0")/common.sh"

need_rust
cargo build --release --locked
cargo bench --locked --bench pillion -- --binary "${CARGO_TARGET_DIR:-$PWD/target}/release/pillion" --keep "$@"
