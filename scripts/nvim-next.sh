#!/usr/bin/env bash
# Tells the Neovim plugin's stories in the newest Neovim that Debian has: a look ahead, no part of the tests.
. "$(dirname "$0")/common.sh"

need_rust
bash scripts/setup-nvim.sh next
cargo build --locked

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
export PILLION=$PWD/target/debug/pillion PILLION_REPO=$PWD PILLION_CACHE=$cache
failed=()
for story in reducer prompt stop permission context sessions export binary ends docs; do
    mkdir -p "$room/$story"/{home,data,work,scripts,tmp}
    printf '%s ... ' "$story"
    if (cd "$room/$story/work" && HOME=$room/$story/home TMPDIR=$room/$story/tmp PILLION_DATA_DIR=$room/$story/data \
        PILLION_LOG=$room/$story/pillion.log PILLION_SCRIPTS=$room/$story/scripts \
        "$cache/nvim-next/bin/nvim" -l "$PILLION_REPO/editors/nvim/tests/$story.lua") >"$room/$story/said" 2>&1; then
        echo passed
    else
        echo failed
        failed+=("$story")
        cat "$room/$story/said"
    fi
done
[ ${#failed[@]} -eq 0 ] || fail "these stories failed in the newest Neovim: ${failed[*]}"
