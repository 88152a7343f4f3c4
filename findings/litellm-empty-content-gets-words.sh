#!/usr/bin/env bash
# LiteLLM 1.108.7 (Python 3.11), seen on 2026-11-30.
#
# A chat history holds an assistant's message with a tool call and `content: ""`, as many servers write it and clients send it back.
# LiteLLM translates it for Anthropic.
#
# The guess was that "" means the same as null or as no content: the message becomes one `tool_use` block. It is so for null and for no
# content; for "" LiteLLM puts a text block before the call that nobody wrote: "[System: Empty message content sanitised to satisfy
# protocol]". The model reads it as its own words, it is paid for in each further request, and a prompt cache that began without it
# no longer fits. So leave `content` out of a message that has calls only.
#
# Prints what reaches Anthropic's endpoint. Exits 0 while it is so, 1 when it has changed, 2 if it could not be tried.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.108.7 || exit 2

cat >"$dir/try.py" <<'PY'
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
seen = []

class Server(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        body = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "ok"}],
                           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()

import litellm
litellm.suppress_debug_info = True
print("litellm", version("litellm"))
tools = [{"type": "function", "function": {"name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}]
calls = [{"id": "toolu_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path":"a.txt"}'}}]
kinds = {}
for name, content in (('content: ""', {"content": ""}), ("content: null", {"content": None}), ("no content", {})):
    litellm.completion(model="anthropic/claude-sonnet-4-5", api_base=f"http://127.0.0.1:{server.server_port}", api_key="none", max_tokens=10, tools=tools,
                       messages=[{"role": "user", "content": "Read a.txt"}, {"role": "assistant", **content, "tool_calls": calls},
                                 {"role": "tool", "tool_call_id": "toolu_1", "content": "plum"}])
    blocks = next(message["content"] for message in seen[-1]["messages"] if message["role"] == "assistant")
    kinds[name] = [block["type"] for block in blocks]
    print(f"{name}: {json.dumps(blocks)}")
as_seen = kinds == {'content: ""': ["text", "tool_use"], "content: null": ["tool_use"], "no content": ["tool_use"]}
print("as seen: words that nobody wrote, for the empty string alone" if as_seen else "this has changed")
sys.exit(0 if as_seen else 1)
PY
"$dir/venv/bin/python" "$dir/try.py" 2>/dev/null
