"""Runs the examples for scripts and the commands of docs/scripting.md, as their readers would: `pillion` is in the PATH,
and a setting names the model. The argument says which: the name of a chapter at the end of this file."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

REPO = Path(os.environ["PILLION_REPO"])
EXAMPLES = REPO / "examples"
PILLION = os.environ["PILLION"]


def same(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}\n  expected: {wanted!r}\n  found:    {found!r}")


def scripted(name, *steps, title=None):
    """A scripted model that every command takes, since a setting names it."""
    script = Path(os.environ["PILLION_SCRIPTS"]) / f"{name}.json"
    script.write_text(json.dumps({"steps": steps} | ({"title": title} if title else {})))
    return {"PILLION_MODEL": f"scripted:{script}"}


HELLO = [{"text": {"text": "It carries a passenger.", "chunks": 5}}]
SECOND = [{"text": "A side-car."}]
STALL = [{"text": "I am thinking about "}, "stall"]
WRITE = [{"tool_call": {"name": "write_file", "input": {"path": "note.txt", "content": "a note\n"}}}]
REFUSED = [{"http_error": {"status": 403, "message": "Not today"}}]


def run(*command, **settings):
    done = subprocess.run(command, env=os.environ | settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def exports():
    """The diagnostics of every session, by the session's id."""
    _, listed, _ = run(PILLION, "sessions", "--json")
    ids = [json.loads(line)["sessionId"] for line in listed.splitlines()]
    return {id: json.loads(run(PILLION, "export", id)[1])["diagnostics"] for id in ids}


def conversation():
    code, out, err = run(EXAMPLES / "conversation.sh", **scripted("two", HELLO, SECOND, title="A side-car"))
    same((code, err), (0, ""))
    messages = [json.loads(line) for line in out.splitlines()]
    same([message["id"] for message in messages if "id" in message], ["hello", "new", "first", "second"])
    updates = [message["params"] for message in messages if message.get("method") == "session/update"]
    same([update["_meta"]["pillion"]["seq"] for update in updates], list(range(1, len(updates) + 1)), "the numbers")
    chunks = [update["update"]["content"]["text"] for update in updates if update["update"]["sessionUpdate"] == "agent_message_chunk"]
    same("".join(chunks), "It carries a passenger.A side-car.")
    answers = {message["id"]: message["result"] for message in messages if "id" in message}
    same([answers[id]["stopReason"] for id in ("first", "second")], ["end_turn", "end_turn"])
    same(list(exports()), [answers["new"]["sessionId"]])


def one_prompt(name, *interpreter):
    """What both of prompt.py and prompt.mjs promise."""
    command = [*interpreter, EXAMPLES / name, "What is it?"]
    same(run(*command, **scripted("hello", HELLO)), (0, "It carries a passenger.\n", ""))

    with subprocess.Popen(command, env=os.environ | scripted("stall", STALL), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        same(running.stdout.read(len(STALL[0]["text"])).decode(), STALL[0]["text"])
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        same((running.returncode, out, err.decode()), (130, b"\n", f"The turn was cancelled by the user ({name}.sigint).\n"))
    aborts = [abort for session in exports().values() for abort in session["aborts"]]
    same([(abort["request"]["client"]["name"], abort["request"]["id"]) for abort in aborts], [(name, None)], "who stopped it")

    # Nobody is there to ask, so the answer is no, and the model goes on.
    same(run(*command, **scripted("write", WRITE, SECOND)), (0, "A side-car.\n", ""))
    same(Path("note.txt").exists(), False, "the file")

    code, out, err = run(*command, **scripted("refused", REFUSED))
    same((code, out), (1, ""))
    same(err, f"{name}: The model provider refused the request with HTTP status 403. Not today\n")

    code, out, err = run(*command, PILLION="/nowhere/pillion")
    same((code, out), (1, ""))
    same((len(err.splitlines()), "/nowhere/pillion" in err), (1, True), f"a sentence, not a trace: {err}")


def nightly():
    reports = Path("reports")
    settings = {"REPORTS": str(reports), "LIMIT": "1"}
    command = [EXAMPLES / "nightly.sh", ".", "Look around"]
    same(run(*command, **settings, **scripted("hello", HELLO)), (0, "", ""), "all is well, so it is silent")
    same([file.suffix for file in reports.iterdir()], [".jsonl"])

    code, out, err = run(*command, **settings, **scripted("stall", STALL))
    same((code, err), (130, ""))
    same(out.splitlines()[:2], ["it was stopped", "pillion: The turn was cancelled by a program (cli.timeout)."])
    same("Stop 1 of 1: abort_" in out, True, "it is explained")
    export = json.loads(Path(out.splitlines()[-1].removeprefix("export: ")).read_text())
    same([abort["source"] for abort in export["diagnostics"]["aborts"]], ["cli.timeout"])

    code, out, _ = run(*command, **settings, **scripted("refused", REFUSED))
    same((code, out.splitlines()[0]), (6, "the model's provider failed"))
    code, out, _ = run(*command, **settings)
    same((code, out.splitlines()[0]), (7, "no model is chosen: set PILLION_MODEL"))


def document():
    """Every shell command of docs/scripting.md, in order, in one workspace."""
    Path("bin").mkdir()
    Path("bin/pillion").symlink_to(PILLION)
    Path("examples").symlink_to(EXAMPLES)
    path = f"{Path('bin').resolve()}:{os.environ['PATH']}"
    text = (REPO / "docs" / "scripting.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    same(len(blocks) > 4, True, "the commands of the document")
    for block in blocks:
        code, out, err = run("sh", "-eu", "-c", block, PATH=path, **scripted("hello", HELLO, SECOND))
        same(code, 0, f"$ {block}{out}{err}")


chapter, *arguments = sys.argv[1:]
{"conversation": conversation, "one_prompt": one_prompt, "nightly": nightly, "document": document}[chapter](*arguments)
