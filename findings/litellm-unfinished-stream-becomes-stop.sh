#!/usr/bin/env bash
# LiteLLM 1.108.7 (Python 3.11), seen on 2026-11-30.
#
# An OpenAI-compatible server streams words and the first half of a tool call, and then its answer ends without a finish reason,
# without usage and without `[DONE]`, as it does when a worker behind a load balancer goes down. The same with Anthropic's protocol:
# no `message_delta`, no `message_stop`.
#
# The guess was that LiteLLM hands on what it got (no finish reason), or raises, as it does when the chunked body itself is torn.
# It makes an end of its own instead: a chunk with `finish_reason: "stop"` and a usage that nobody sent, counted by itself. The half call,
# whose arguments are `{"path":`, is thereby a call of an answer that ended well. Behind a LiteLLM proxy a client cannot tell such
# an answer from a whole one; only arguments that are no JSON betray it.
#
# Prints the chunks. Exits 0 while it is so, 1 when it has changed, 2 if it could not be tried.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.108.7 || exit 2

cat >"$dir/try.py" <<'PY'
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CHAT = [
    {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "I will read"}, "finish_reason": None}]},
    {**CHUNK, "choices": [{"index": 0, "finish_reason": None, "delta": {"tool_calls": [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path":'}}]}}]},
]
MESSAGES = [
    {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
     "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"path":'}},
]

class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in MESSAGES if self.path.endswith("/messages") else CHAT:
            name = f"event: {event['type']}\n" if "type" in event else ""
            data = f"{name}data: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")  # the body itself is whole

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"

import litellm
litellm.suppress_debug_info = True
print("litellm", version("litellm"))
tools = [{"type": "function", "function": {"name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}]
as_seen = True
for model, address in (("openai/m", base + "/v1"), ("anthropic/m", base)):
    print(f"== {model}")
    reason, usage, arguments = None, None, ""
    try:
        for chunk in litellm.completion(model=model, api_base=address, api_key="none", max_retries=0, stream=True, tools=tools, max_tokens=50,
                                        stream_options={"include_usage": True}, messages=[{"role": "user", "content": "Read a.txt"}]):
            chunk = chunk.model_dump(exclude_none=True)
            print(json.dumps(chunk.get("choices")), chunk.get("usage", ""))
            for choice in chunk.get("choices", []):
                reason = choice.get("finish_reason") or reason
                for call in choice.get("delta", {}).get("tool_calls", []):
                    arguments += call["function"].get("arguments") or ""
            usage = chunk.get("usage") or usage
    except Exception as error:
        print("raised", type(error).__name__)
    as_seen = as_seen and reason == "stop" and arguments == '{"path":' and bool(usage and usage["completion_tokens"])
    print(f"finish reason {reason!r}, arguments {arguments!r}")
print("as seen: an end and a usage that no server sent" if as_seen else "this has changed")
sys.exit(0 if as_seen else 1)
PY
"$dir/venv/bin/python" "$dir/try.py" 2>/dev/null
