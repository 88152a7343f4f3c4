#!/usr/bin/env bash
# Lints and tests the `local` provider with the real small model, in the build that scripts/try.sh made.
. "$(dirname "$0")/common.sh"

need_rust
bash scripts/local-packages.sh
bash scripts/model.sh

say "Lints of the feature local"
cargo clippy --locked --release --features local --all-targets -- -D warnings
say "Tests of the local model"
cargo test --locked --release --features local --lib provider::local
