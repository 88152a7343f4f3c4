// vscode-jsonrpc, the library under every VS Code language client, speaks the LSP dialect with pillion.
//
// It numbers its requests itself, from 0, and tells the number only in its trace, which is read here.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { assertAsker, greeting, load, pieces, start, story, Updates, version, within } from "./support/strangers.mjs";

const rpc = await load("vscode-jsonrpc/node");
const client = { name: "vscode-jsonrpc", version: version("vscode-jsonrpc") };
const sessionId = "a-stranger";

const { child, ended } = start();
const connection = rpc.createMessageConnection(
  new rpc.StreamMessageReader(child.stdout),
  new rpc.StreamMessageWriter(child.stdin),
);
const updates = new Updates();
const sentIds = {};
const asked = [];
let decision;
connection.onNotification("session/update", (params) => updates.push(params));
connection.onRequest("session/request_permission", (params) => {
  asked.push(params.toolCall.toolCallId);
  return { outcome: { outcome: "selected", optionId: params.options.find(({ kind }) => kind === decision).optionId } };
});
connection.listen();
await connection.trace(rpc.Trace.Messages, {
  log: (line) => {
    const sent = /^Sending request '(.*) - \((\d+)\)'/.exec(line);
    if (sent) sentIds[sent[1]] = Number(sent[2]);
  },
});

const request = (method, ...params) => within(`the answer of ${method}`, connection.sendRequest(method, ...params));
const prompt = (text, ...token) => request("session/prompt", { sessionId, prompt: [{ type: "text", text }] }, ...token);
const transport = "stdio_lsp";

async function begin() {
  const { serverInfo, capabilities } = await request("initialize", { processId: process.pid, capabilities: {}, clientInfo: client });
  assert.equal(serverInfo.name, "pillion");
  assert.equal(capabilities.experimental.pillion.protocolVersion, 1);
  connection.sendNotification("initialized", {});
  assert.equal((await request("session/new", { sessionId, cwd: process.cwd() })).sessionId, sessionId);
}

async function aPromptStreams() {
  const result = await prompt("Hello");
  updates.assertComplete(result);
  assert.equal(result.stopReason, "end_turn");
  assert.equal(updates.text(result.turnId), greeting);
  assert.equal(updates.ofTurn(result.turnId).length, pieces, "one update for each piece");
  assert.deepEqual(result.usage, { source: "provider", inputTokens: 9, outputTokens: 11 });
}

async function aRequestStops() {
  const running = updates.nextText();
  const answered = [];
  const stopped = prompt("Stop me").finally(() => answered.push("prompt"));
  const { _meta } = await running;
  const cancel = await request("session/cancel", { sessionId, initiator: "user", source: "stranger.stop" });
  answered.push("cancel");
  const result = await stopped;
  assert.deepEqual(answered, ["prompt", "cancel"], "the prompt is answered before the cancel that ended it");
  assert.equal(result.stopReason, "cancelled");
  assert.equal(result.sentence, "The turn was cancelled by the user (stranger.stop).");
  assert.equal(result.turnId, _meta.pillion.turnId);
  assert.equal(cancel.outcome, "cancelled");
  assert.deepEqual(cancel.abort, result.diagnostics.abort);
  assert.equal(cancel.abort.prompt_request.id, sentIds["session/prompt"]);
  const id = sentIds["session/cancel"];
  assertAsker(cancel.abort, { method: "session/cancel", id, client, transport, cause: "client_cancel", initiator: "user", source: "stranger.stop" });
  const again = await request("session/cancel", { sessionId });
  assert.deepEqual([again.outcome, again.abortId], ["already_settled", cancel.abortId]);
}

async function aNotificationStops() {
  const running = updates.nextText();
  const stopped = prompt("Stop me");
  await running;
  await connection.sendNotification("session/cancel", { sessionId });
  const { stopReason, diagnostics } = await stopped;
  assert.equal(stopReason, "cancelled");
  assertAsker(diagnostics.abort, { method: "session/cancel", id: null, client, transport, cause: "client_cancel", initiator: "unknown", source: undefined });
}

async function theIdStops() {
  const running = updates.nextText();
  const token = new rpc.CancellationTokenSource();
  const stopped = prompt("Stop me", token.token);
  await running;
  token.cancel();
  const { stopReason, diagnostics } = await stopped;
  assert.equal(stopReason, "cancelled", "an answer, not the error -32800");
  assertAsker(diagnostics.abort, { method: "$/cancelRequest", id: null, client, transport, cause: "rpc_cancel", initiator: "unknown", source: undefined });
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
  await assert.rejects(request("stranger/things", {}), { code: -32601, message: "there is no method stranger/things here" });
}

async function theExportNamesTheClient() {
  const { export: whole } = await request("session/export", { sessionId });
  const askers = whole.diagnostics.aborts.map(({ request }) => [request.method, request.client]);
  assert.deepEqual(askers, [["session/cancel", client], ["session/cancel", client], ["$/cancelRequest", client]]);
  updates.assertGapless();
}

async function itLeaves() {
  assert.equal(await request("shutdown"), null);
  await connection.sendNotification("exit");
  assert.equal(await within("the end of pillion", ended), 0);
  connection.dispose();
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
