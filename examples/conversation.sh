#!/bin/sh
# A whole conversation in one pipe: two prompts of one session, in order. pillion answers both and ends by itself.
#
#   conversation.sh [MODEL]
set -eu
[ $# -eq 0 ] || export PILLION_MODEL="$1"

# The script chooses the session's id, so it need not read an answer before it asks. What it puts into JSON by hand, the
# directory for one, must be free of quotes and backslashes.
session="review-$(date +%Y%m%dT%H%M%S)-$$"

printf '%s\n' \
    '{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"capabilities":{}}}' \
    '{"jsonrpc":"2.0","id":"new","method":"session/new","params":{"sessionId":"'"$session"'","cwd":"'"$PWD"'"}}' \
    '{"jsonrpc":"2.0","id":"first","method":"session/prompt","params":{"sessionId":"'"$session"'","prompt":[{"type":"text","text":"What does this project do?"}]}}' \
    '{"jsonrpc":"2.0","id":"second","method":"session/prompt","params":{"sessionId":"'"$session"'","prompt":[{"type":"text","text":"And what is missing?"}]}}' |
    "${PILLION:-pillion}" --drain
