#!/usr/bin/env bash
# LiteLLM 1.108.7 (Python 3.11), seen on 2026-11-30.
#
# `responses(stream=True)`, and with it the proxy's `/v1/responses` and `/v1/messages` with `"stream": true`, to a model of an
# OpenAI-compatible server.
#
# The guess was that a stream that is asked for is asked of the server as well, since chat completions are streamed for every model.
# LiteLLM looks the model's name up in its list of prices: for a name that is not in it (most of what people serve themselves) it asks the
# server WITHOUT `stream`, waits for the whole answer, and plays it to the client as a stream. The client sees nothing, not even
# a head, until the model has finished, so any limit for the first byte or for silence is one for the whole answer; and a client that goes
# away in the meantime stops nothing (in the proxy the upstream request ran on to its end). The same server and the same request with
# a listed name (gpt-4o) are streamed.
#
# Prints when the first event came and what the server was asked. Exits 0 while it is so, 1 when it has changed, 2 if it could not be tried.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.108.7 || exit 2

cat >"$dir/try.py" <<'PY'
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
asked = {}

class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model, streams = request["model"], bool(request.get("stream"))
        asked[model] = streams
        item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "one two", "annotations": []}]}
        whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": model, "status": "completed", "output": [item], "parallel_tool_calls": True,
                 "tool_choice": "auto", "tools": [], "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}}
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        delta = lambda text: {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text}
        events = [{"type": "response.created", "response": begun}, delta("one "), delta("two"), {"type": "response.completed", "response": whole}]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("connection", "close")
        self.end_headers()
        for number, event in enumerate(events):
            if streams:
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n".encode())
                self.wfile.flush()
            time.sleep(1)
        if not streams:
            self.wfile.write(json.dumps(whole).encode())
        self.close_connection = True

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()

import litellm
litellm.suppress_debug_info = True
print("litellm", version("litellm"))
first = {}
for model in ("gpt-4o", "our-own-model"):
    begin = time.monotonic()
    for _ in litellm.responses(model=f"openai/{model}", api_base=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", input="hi", stream=True, max_retries=0):
        first.setdefault(model, time.monotonic() - begin)
    print(f"{model}: the server was asked for a stream: {asked[model]}; the first event came with {'the first words' if first[model] < 3 else 'the end'} ({first[model]:.1f} s)")
as_seen = asked == {"gpt-4o": True, "our-own-model": False} and first["gpt-4o"] < 3 <= first["our-own-model"]
print("as seen: what is not in the list is not streamed" if as_seen else "this has changed")
sys.exit(0 if as_seen else 1)
PY
"$dir/venv/bin/python" "$dir/try.py" 2>/dev/null
