"""The ACP Python SDK (`agent-client-protocol` on PyPI), as an editor uses it: the ACP dialect on JSON lines.

The SDK has no cancel by request id, and its typed calls know `session/cancel` as a notification only. Both are sent
through its untyped connection, whose observer tells the ids. ACP has no farewell: the client closes the pipe."""

import asyncio
import importlib.metadata
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the checkout stays as it is
sys.path.insert(0, str(Path(__file__).parent))
from support.strangers import GREETING, MODEL, PIECES, PILLION, Updates, asker, asker_of, same, within

import acp
from acp.schema import AllowedOutcome, Implementation, RequestPermissionResponse

CLIENT = {"name": "acp-python-sdk", "version": importlib.metadata.version("agent-client-protocol")}
TRANSPORT = "stdio_jsonl"


class Editor:
    """The client side: it keeps the updates, and answers questions as it was told."""

    def __init__(self):
        self.updates = Updates()
        self.sent = {}
        self.asked = []
        self.decision = None

    async def session_update(self, session_id, update, **meta):
        self.updates.push(meta["pillion"], update.model_dump(mode="json", by_alias=True))

    async def request_permission(self, session_id, tool_call, options, **meta):
        self.asked.append(tool_call.tool_call_id)
        option = next(option for option in options if option.kind == self.decision)
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=option.option_id))

    def observe(self, event):
        if event.direction == "outgoing" and "method" in event.message and "id" in event.message:
            self.sent[event.message["method"]] = event.message["id"]


async def prompt(agent, session, text):
    response = await within("the answer of a prompt", agent.prompt(session_id=session, prompt=[acp.text_block(text)]))
    return {"stopReason": response.stop_reason, **response.field_meta["pillion"]}


async def begin(agent, editor):
    said = await agent.initialize(protocol_version=acp.PROTOCOL_VERSION, client_info=Implementation(**CLIENT))
    same((said.protocol_version, said.agent_info.name), (acp.PROTOCOL_VERSION, "pillion"))
    same(said.agent_capabilities.field_meta["pillion"]["protocolVersion"], 1)
    return (await agent.new_session(cwd=os.getcwd(), mcp_servers=[])).session_id


async def a_prompt_streams(agent, editor, session):
    result = await prompt(agent, session, "Hello")
    editor.updates.same_last(result)
    same(result["stopReason"], "end_turn")
    same(editor.updates.text(result["turnId"]), GREETING)
    same(len(editor.updates.of_turn(result["turnId"])), PIECES, "one update for each piece")


async def a_request_stops(agent, editor, session):
    running = asyncio.ensure_future(editor.updates.next_text())
    stopped = asyncio.ensure_future(prompt(agent, session, "Stop me"))
    await running
    params = {"sessionId": session, "_meta": {"pillion": {"initiator": "user", "source": "stranger.stop"}}}
    answer = await within("the answer of the cancel", agent._conn.send_request("session/cancel", params))
    cancel, result = answer["_meta"]["pillion"], await stopped
    same(result["sentence"], "The turn was cancelled by the user (stranger.stop).")
    same((result["stopReason"], cancel["outcome"]), ("cancelled", "cancelled"))
    same(cancel["abort"], result["diagnostics"]["abort"])
    id = editor.sent["session/cancel"]
    same(asker_of(cancel["abort"]), asker(CLIENT, TRANSPORT, "session/cancel", "client_cancel", id, "user", "stranger.stop"))
    same(cancel["abort"]["prompt_request"]["id"], editor.sent["session/prompt"])


async def a_notification_stops(agent, editor, session):
    running = asyncio.ensure_future(editor.updates.next_text())
    stopped = asyncio.ensure_future(prompt(agent, session, "Stop me"))
    await running
    await agent.cancel(session_id=session)
    result = await stopped
    same(result["stopReason"], "cancelled")
    same(asker_of(result["diagnostics"]["abort"]), asker(CLIENT, TRANSPORT, "session/cancel", "client_cancel"))


async def the_id_stops(agent, editor, session):
    running = asyncio.ensure_future(editor.updates.next_text())
    stopped = asyncio.ensure_future(prompt(agent, session, "Stop me"))
    await running
    id = editor.sent["session/prompt"]
    await agent._conn.send_notification("$/cancel_request", {"requestId": id})
    result = await stopped
    same(result["stopReason"], "cancelled")
    same(asker_of(result["diagnostics"]["abort"]), asker(CLIENT, TRANSPORT, "$/cancel_request", "rpc_cancel"))
    same(result["diagnostics"]["abort"]["prompt_request"]["id"], id)


async def permission_is_asked(agent, editor, session):
    editor.decision = "allow_once"
    same(editor.updates.text((await prompt(agent, session, "Write"))["turnId"]), "It is written.")
    same(Path("allowed.txt").read_text(), "by a stranger\n")
    editor.decision = "reject_once"
    same(editor.updates.text((await prompt(agent, session, "Write"))["turnId"]), "As you like.")
    same(Path("denied.txt").exists(), False)
    same(editor.asked, ["allowed", "denied"])


async def what_is_unknown_is_refused(agent, editor, session):
    try:
        await agent.ext_method("stranger/things", {})
    except acp.RequestError as error:
        same(error.code, -32601)
    else:
        raise AssertionError("an unknown method was answered")


async def the_export_names_the_client(agent, editor, session):
    answer = await agent.ext_method("pillion/session/export", {"sessionId": session})
    aborts = answer["_meta"]["pillion"]["export"]["diagnostics"]["aborts"]
    methods = ["session/cancel", "session/cancel", "$/cancel_request"]
    same([(abort["request"]["method"], abort["request"]["client"]) for abort in aborts], [(method, CLIENT) for method in methods])
    editor.updates.gapless()


async def story():
    editor = Editor()
    command = [PILLION, "--model", MODEL]
    # The SDK hands on only a few variables; what names the data directory and the log is not among them.
    start = acp.spawn_agent_process(editor, *command, env=dict(os.environ), transport_kwargs={"stderr": None}, observers=[editor.observe])
    async with start as (agent, process):
        session = await begin(agent, editor)
        await a_prompt_streams(agent, editor, session)
        await a_request_stops(agent, editor, session)
        await a_notification_stops(agent, editor, session)
        await the_id_stops(agent, editor, session)
        await permission_is_asked(agent, editor, session)
        await what_is_unknown_is_refused(agent, editor, session)
        await the_export_names_the_client(agent, editor, session)
    same(process.returncode, 0, "the exit code, when the pipe was closed")


asyncio.run(story())
