// The ACP project's TypeScript SDK, as an editor uses it: the ACP dialect on JSON lines.
//
// ACP knows `session/cancel` as a notification only; the request form is sent through the SDK's door for methods that
// it does not know. ACP has no farewell: the client closes the pipe.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import { assertAsker, greeting, load, pieces, start, story, Updates, version, within } from "./support/strangers.mjs";

const acp = await load("@agentclientprotocol/sdk");
const client = { name: "acp-typescript-sdk", version: version("@agentclientprotocol/sdk") };
const transport = "stdio_jsonl";

const { child, ended } = start();
const updates = new Updates();
const sentIds = {};
const asked = [];
let decision;
let sessionId;

// The SDK keeps its request ids to itself: they are read on their way out.
const wire = acp.ndJsonStream(Writable.toWeb(child.stdin), Readable.toWeb(child.stdout));
const { readable, writable } = new TransformStream({
  transform(message, controller) {
    if (message.method && "id" in message) sentIds[message.method] = message.id;
    controller.enqueue(message);
  },
});
readable.pipeTo(wire.writable);

const connection = acp
  .client({ name: client.name })
  .onNotification("session/update", ({ params }) => updates.push(params))
  .onRequest("session/request_permission", ({ params }) => {
    asked.push(params.toolCall.toolCallId);
    return { outcome: { outcome: "selected", optionId: params.options.find(({ kind }) => kind === decision).optionId } };
  })
  .connect({ readable: wire.readable, writable });

const request = (method, ...rest) => within(`the answer of ${method}`, connection.agent.request(method, ...rest));

/** A prompt's answer: ACP's own field, and pillion's from `_meta`. */
async function prompt(text, options) {
  const { stopReason, _meta } = await request("session/prompt", { sessionId, prompt: [{ type: "text", text }] }, options);
  return { stopReason, ..._meta.pillion };
}

async function begin() {
  const { protocolVersion, agentInfo, agentCapabilities } = await request("initialize", {
    protocolVersion: acp.PROTOCOL_VERSION,
    clientCapabilities: {},
    clientInfo: client,
  });
  assert.equal(protocolVersion, acp.PROTOCOL_VERSION);
  assert.equal(agentInfo.name, "pillion");
  assert.equal(agentCapabilities._meta.pillion.protocolVersion, 1);
  ({ sessionId } = await request("session/new", { cwd: process.cwd(), mcpServers: [] }));
  assert.match(sessionId, /^ses_/);
}

async function aPromptStreams() {
  const result = await prompt("Hello");
  updates.assertComplete(result);
  assert.equal(result.stopReason, "end_turn");
  assert.equal(updates.text(result.turnId), greeting);
  assert.equal(updates.ofTurn(result.turnId).length, pieces, "one update for each piece");
}

async function aRequestStops() {
  const running = updates.nextText();
  const answered = [];
  const stopped = prompt("Stop me").finally(() => answered.push("prompt"));
  await running;
  const cancelled = await request("session/cancel", { sessionId, _meta: { pillion: { initiator: "user", source: "stranger.stop" } } });
  answered.push("cancel");
  const cancel = cancelled._meta.pillion;
  const { stopReason, sentence, diagnostics } = await stopped;
  assert.deepEqual(answered, ["prompt", "cancel"], "the prompt is answered before the cancel that ended it");
  assert.deepEqual([stopReason, sentence, cancel.outcome], ["cancelled", "The turn was cancelled by the user (stranger.stop).", "cancelled"]);
  assert.deepEqual(cancel.abort, diagnostics.abort);
  const id = sentIds["session/cancel"];
  assertAsker(cancel.abort, { method: "session/cancel", id, client, transport, cause: "client_cancel", initiator: "user", source: "stranger.stop" });
  assert.equal(cancel.abort.prompt_request.id, sentIds["session/prompt"]);
}

async function aNotificationStops() {
  const running = updates.nextText();
  const stopped = prompt("Stop me");
  await running;
  await connection.agent.notify("session/cancel", { sessionId });
  const { stopReason, diagnostics } = await stopped;
  assert.equal(stopReason, "cancelled");
  assertAsker(diagnostics.abort, { method: "session/cancel", id: null, client, transport, cause: "client_cancel", initiator: "unknown", source: undefined });
}

async function theIdStops() {
  const running = updates.nextText();
  const stop = new AbortController();
  const stopped = prompt("Stop me", { cancellationSignal: stop.signal });
  await running;
  stop.abort();
  const { stopReason, diagnostics } = await stopped;
  assert.equal(stopReason, "cancelled", "an answer, not the error -32800");
  assertAsker(diagnostics.abort, { method: "$/cancel_request", id: null, client, transport, cause: "rpc_cancel", initiator: "unknown", source: undefined });
  assert.equal(diagnostics.abort.prompt_request.id, sentIds["session/prompt"]);
}

async function permissionIsAsked() {
  decision = "allow_once";
  assert.equal(updates.text((await prompt("Write")).turnId), "It is written.");
  assert.equal(readFileSync("allowed.txt", "utf8"), "by a stranger\n");
  decision = "reject_once";
  assert.equal(updates.text((await prompt("Write")).turnId), "As you like.");
  assert.equal(existsSync("denied.txt"), false);
  assert.deepEqual(asked, ["allowed", "denied"]);
}

async function whatIsUnknownIsRefused() {
  await assert.rejects(request("_stranger/things", {}), { code: -32601 });
  await assert.rejects(request("session/set_mode", { sessionId, modeId: "none" }), { code: -32602 }, "no such mode");
}

async function theExportNamesTheClient() {
  const { export: whole } = (await request("_pillion/session/export", { sessionId }))._meta.pillion;
  const askers = whole.diagnostics.aborts.map(({ request }) => [request.method, request.client]);
  assert.deepEqual(askers, [["session/cancel", client], ["session/cancel", client], ["$/cancel_request", client]]);
  updates.assertGapless();
}

async function itLeaves() {
  // Not `connection.close()`: it also lets go of pillion's stdout, which is how an editor looks that died (exit code 3).
  child.stdin.end();
  assert.equal(await within("the end of pillion", ended), 0);
  await within("the SDK to see it", connection.closed);
}

await story(
  begin,
  aPromptStreams,
  aRequestStops,
  aNotificationStops,
  theIdStops,
  permissionIsAsked,
  whatIsUnknownIsRefused,
  theExportNamesTheClient,
  itLeaves,
);
