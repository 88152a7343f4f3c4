#!/usr/bin/env python3
"""One prompt from Python, with nothing but the standard library: the text streams to stdout, Ctrl-C stops the turn.

    prompt.py TEXT

The exit codes are those of `pillion prompt`: 0 the model ended, 130 stopped, 3 or 4 a limit, 5 refused, 1 an error."""

import json
import os
import signal
import subprocess
import sys


class Pillion:
    def __init__(self, *flags):
        command = [os.environ.get("PILLION", "pillion"), *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.next_id = 0

    def send(self, **message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method, **params):
        """Waits for the result; whatever comes before it is handled. An error is raised."""
        self.next_id += 1
        self.send(id=self.next_id, method=method, params=params)
        for line in self.process.stdout:
            message = json.loads(line)
            if "method" in message:
                self.handle(message)
            elif message["id"] == self.next_id:
                if "error" in message:
                    raise RuntimeError(message["error"]["message"])
                return message["result"]
        raise RuntimeError(f"pillion left with code {self.process.wait()}")

    def handle(self, message):
        method, params = message["method"], message["params"]
        if method == "session/update":
            update = params["update"]
            if update["sessionUpdate"] == "agent_message_chunk":
                print(update["content"].get("text", ""), end="", flush=True)
        elif method == "session/request_permission":
            kind = "allow_once" if agrees(params["toolCall"]["title"]) else "reject_once"
            option = next(option for option in params["options"] if option["kind"] == kind)
            self.send(id=message["id"], result={"outcome": {"outcome": "selected", "optionId": option["optionId"]}})

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def agrees(title):
    if not sys.stdin.isatty():
        return False
    print(f"\n{title}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "y"


def main(text):
    pillion = Pillion()
    pillion.request("initialize", capabilities={}, processId=os.getpid(), clientInfo={"name": "prompt.py", "version": "1"})
    session = pillion.request("session/new", cwd=os.getcwd())["sessionId"]

    def stop(*_):
        # A notification: the answer to look at is the prompt's own.
        pillion.send(method="session/cancel", params={"sessionId": session, "initiator": "user", "source": "prompt.py.sigint"})

    signal.signal(signal.SIGINT, stop)
    answer = pillion.request("session/prompt", sessionId=session, prompt=[{"type": "text", "text": text}])
    print()
    if "sentence" in answer:
        print(answer["sentence"], file=sys.stderr)
    pillion.close()
    return {"end_turn": 0, "cancelled": 130, "max_tokens": 3, "max_turn_requests": 4, "refusal": 5}.get(answer["stopReason"], 1)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (OSError, RuntimeError) as error:
        sys.exit(f"prompt.py: {error}")
