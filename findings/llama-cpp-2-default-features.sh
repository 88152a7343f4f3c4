#!/usr/bin/env bash
# llama-cpp-2 0.1.160 (crates.io), seen on 2026-11-30 with cargo 1.95.
#
# A program that asks for llama-cpp-2 with `default-features = false` still builds llama.cpp's `common` library: 52 C++ files
# for downloads, command lines and chat templates. llama-cpp-2 has a feature `common` of its own, which is off then, but its
# dependency on llama-cpp-sys-2 keeps that crate's default features, and `common` is among those. No feature of llama-cpp-2
# takes it back. And the dependency is `^0.1.160`: an exact version of llama-cpp-2 does not fix the version of llama.cpp.
#
# Needs cargo and the crates.io index; nothing is compiled.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir "$room/src"
echo 'fn main() {}' > "$room/src/main.rs"
cat > "$room/Cargo.toml" <<'TOML'
[package]
name = "asks"
version = "0.0.0"
edition = "2021"

[dependencies]
llama-cpp-2 = { version = "=0.1.160", default-features = false }
TOML
cd "$room"

cargo --version
cargo generate-lockfile --quiet
tree=$(cargo tree --quiet --edges features --invert llama-cpp-sys-2)
echo "$tree"

grep -q 'llama-cpp-sys-2 feature "common"' <<< "$tree" || { echo "changed: common is not built any more"; exit 1; }
! grep -q 'llama-cpp-2 feature "common"' <<< "$tree" || { echo "changed: llama-cpp-2 itself asks for common"; exit 1; }
echo "as seen: common is built although nobody asked for it"
