#!/bin/sh
# A prompt that runs unattended, from cron for example: it may read but not write, stops at a time limit, and is silent
# unless something went wrong. Then it tells what stopped the turn, and keeps an export that is safe to hand on.
#
#   nightly.sh DIRECTORY PROMPT
#   LIMIT=1800 (seconds), REPORTS=~/pillion-reports
set -eu
pillion=${PILLION:-pillion}
reports=${REPORTS:-$HOME/pillion-reports}
report=$reports/$(date +%Y%m%dT%H%M%S)-$$
mkdir -p "$reports"

code=0
"$pillion" prompt "$2" --cwd "$1" --json --deny --timeout "${LIMIT:-1800}" >"$report.jsonl" 2>"$report.err" || code=$?
case $code in
    0) rm "$report.err"; exit 0 ;;
    130) echo "it was stopped" ;;
    3) echo "the answer was cut off at the model's token limit" ;;
    4) echo "it reached a limit of its own, such as budget.model_calls" ;;
    5) echo "the model refused" ;;
    6) echo "the model's provider failed" ;;
    7) echo "no model is chosen: set PILLION_MODEL" ;;
    *) echo "pillion failed with code $code" ;;
esac
cat "$report.err"

# The last line names the session, if there is one.
session=$(tail -n 1 "$report.jsonl" | sed -n 's/.*"sessionId":"\([^"]*\)".*/\1/p')
if [ -n "$session" ]; then
    "$pillion" explain "$session"
    "$pillion" export "$session" -o "$report.export.json"
    echo "export: $report.export.json"
fi
exit "$code"
