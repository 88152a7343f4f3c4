"""pytest-lsp, with which authors of language servers test them: pygls and a pytest fixture, in the LSP dialect.

It numbers its requests by random strings, unless it is told which id to use."""

import asyncio
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the checkout stays as it is
sys.path.insert(0, str(Path(__file__).parent))
from support.strangers import GREETING, MODEL, PIECES, PILLION, Updates, asker, asker_of, within

import pytest

if __name__ == "__main__":
    # pytest imports this file once more. It reads no settings of a checkout, and writes nothing beside this file.
    settings = ["-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=module"]
    sys.exit(pytest.main(["--quiet", "--exitfirst", *settings, __file__]))

import pytest_lsp
from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.exceptions import JsonRpcMethodNotFound
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage

CLIENT = {"name": "pytest-lsp", "version": pytest_lsp.__version__}
TRANSPORT = "stdio_lsp"
SESSION = "a-stranger"

pytestmark = pytest.mark.asyncio(loop_scope="module")
updates = Updates()
questions = []
decision = None


def plain_dicts():
    """pygls makes named tuples of what it has no type for, and a tuple has no field named `_meta`."""
    converter = get_converter()
    for message in (JsonRPCRequestMessage, JsonRPCResponseMessage, JsonRPCNotification):
        converter.register_structure_hook(message, lambda obj, cls: cls(**obj))
    return converter


def make_client():
    client = pytest_lsp.LanguageClient(converter_factory=plain_dicts)

    @client.feature("session/update")
    def updated(params):
        updates.push(params["_meta"]["pillion"], params["update"])

    @client.feature("session/request_permission")
    def asked(params):
        questions.append(params["toolCall"]["toolCallId"])
        option = next(option for option in params["options"] if option["kind"] == decision)
        return {"outcome": {"outcome": "selected", "optionId": option["optionId"]}}

    return client


CONFIG = pytest_lsp.ClientServerConfig(server_command=[PILLION, "--model", MODEL], client_factory=make_client)


@pytest_lsp.fixture(scope="module", config=CONFIG)
async def pillion(lsp_client: pytest_lsp.LanguageClient):
    said = await lsp_client.initialize_session(
        types.InitializeParams(capabilities=types.ClientCapabilities(), client_info=types.ClientInfo(**CLIENT))
    )
    assert said.server_info.name == "pillion"
    assert said.capabilities.experimental["pillion"]["protocolVersion"] == 1
    new = await request(lsp_client, "session/new", {"sessionId": SESSION, "cwd": os.getcwd()})
    assert new["sessionId"] == SESSION
    yield
    await lsp_client.shutdown_session()
    assert lsp_client._server.returncode == 0


def request(client, method, params, id=None):
    return within(f"the answer of {method}", client.protocol.send_request_async(method, params, msg_id=id))


def prompt(client, text, id=None):
    return request(client, "session/prompt", {"sessionId": SESSION, "prompt": [{"type": "text", "text": text}]}, id)


async def running(client, id):
    """A prompt that has begun to answer and will not end by itself."""
    begun = asyncio.ensure_future(updates.next_text())
    stopped = asyncio.ensure_future(prompt(client, "Stop me", id))
    await begun
    return stopped


async def test_a_prompt_streams(pillion):
    result = await prompt(pillion, "Hello")
    updates.same_last(result)
    assert result["stopReason"] == "end_turn"
    assert updates.text(result["turnId"]) == GREETING
    assert len(updates.of_turn(result["turnId"])) == PIECES


async def test_a_request_stops(pillion):
    stopped = await running(pillion, "the prompt")
    params = {"sessionId": SESSION, "initiator": "user", "source": "stranger.stop"}
    cancel = await request(pillion, "session/cancel", params, "the cancel")
    result = await stopped
    assert result["stopReason"] == "cancelled"
    assert result["sentence"] == "The turn was cancelled by the user (stranger.stop)."
    assert cancel["outcome"] == "cancelled"
    assert cancel["abort"] == result["diagnostics"]["abort"]
    assert asker_of(cancel["abort"]) == asker(CLIENT, TRANSPORT, "session/cancel", "client_cancel", "the cancel", "user", "stranger.stop")
    assert cancel["abort"]["prompt_request"]["id"] == "the prompt"


async def test_a_notification_stops(pillion):
    stopped = await running(pillion, 2**53)
    pillion.protocol.notify("session/cancel", {"sessionId": SESSION})
    result = await stopped
    assert result["stopReason"] == "cancelled"
    assert asker_of(result["diagnostics"]["abort"]) == asker(CLIENT, TRANSPORT, "session/cancel", "client_cancel")
    assert result["diagnostics"]["abort"]["prompt_request"]["id"] == 2**53


async def test_the_id_stops(pillion):
    stopped = await running(pillion, "by its id")
    pillion.cancel_request(types.CancelParams(id="by its id"))
    result = await stopped
    assert result["stopReason"] == "cancelled"
    assert asker_of(result["diagnostics"]["abort"]) == asker(CLIENT, TRANSPORT, "$/cancelRequest", "rpc_cancel")
    assert result["diagnostics"]["abort"]["prompt_request"]["id"] == "by its id"


@pytest.mark.parametrize("answer, said", [("allow_once", "It is written."), ("reject_once", "As you like.")])
async def test_permission_is_asked(pillion, answer, said):
    global decision
    decision = answer
    result = await prompt(pillion, "Write")
    assert updates.text(result["turnId"]) == said
    assert Path("allowed.txt").read_text() == "by a stranger\n"
    assert not Path("denied.txt").exists()
    assert questions == ["allowed", "denied"][: 1 if answer == "allow_once" else 2]


async def test_what_is_unknown_is_refused(pillion):
    with pytest.raises(JsonRpcMethodNotFound, match="there is no method stranger/things here"):
        await request(pillion, "stranger/things", {})


async def test_the_export_names_the_client(pillion):
    whole = (await request(pillion, "session/export", {"sessionId": SESSION}))["export"]
    askers = [(abort["request"]["method"], abort["request"]["client"]) for abort in whole["diagnostics"]["aborts"]]
    assert askers == [("session/cancel", CLIENT), ("session/cancel", CLIENT), ("$/cancelRequest", CLIENT)]
    updates.gapless()
