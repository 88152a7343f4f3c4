// acpx, a command-line ACP client that other agents and scripts use: its `--format json` prints what goes over the wire.
//
// By its nature it cancels with the notification alone (never a request, never an id), and has no way to send a method
// that it does not know. Its persistent session belongs to a process of its own that outlives the command: `sessions close`
// ends it, and pillion with it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { assertAsker, fetched, greeting, model, story, Updates, version, within } from "./support/strangers.mjs";

const client = { name: "acpx", version: version("acpx") };
const cli = fetched("acpx", "dist", "cli.js");
const pillion = process.env.PILLION;

/** A model of one prompt, for the commands that begin a new session each time. */
function scripted(name, ...steps) {
  const file = path.join(process.env.PILLION_SCRIPTS, `${name}.json`);
  writeFileSync(file, JSON.stringify({ steps }));
  return `scripted:${file}`;
}

/** Runs one command of acpx: the messages it printed, the updates among them, how it ended. */
function acpx(which, ...args) {
  const agent = ["--agent", `${pillion} --model ${which}`, "--format", "json", "--json-strict", "--timeout", "20"];
  const child = spawn(process.execPath, [cli, ...agent, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = within(`acpx ${args.join(" ")}`, new Promise((resolve) => child.once("close", resolve)));
  const run = { child, ended, messages: [], updates: new Updates() };
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line);
    run.messages.push(message);
    if (message.method === "session/update") run.updates.push(message.params);
  });
  return run;
}

async function finished(run, code = 0) {
  const found = await run.ended;
  assert.equal(found, code, `exit code ${found}: ${run.messages.map((message) => JSON.stringify(message)).join("\n")}`);
  return run;
}

const sent = ({ messages }, method) => messages.find((message) => message.method === method);
/** The answer of a prompt: both sides count their own ids, and what acpx prints shows both. */
const answer = ({ messages }, { id }) => messages.find((message) => message.id === id && message.result?.stopReason);

/** The answer of the one prompt of a run. */
function result(run) {
  const { stopReason, _meta } = answer(run, sent(run, "session/prompt")).result;
  return { stopReason, ..._meta.pillion };
}

function exported(sessionId) {
  return JSON.parse(execFileSync(pillion, ["export", sessionId], { encoding: "utf8" }));
}

function assertCancelled(run, promptId) {
  const { stopReason, diagnostics } = result(run);
  assert.equal(stopReason, "cancelled");
  const asker = { method: "session/cancel", id: null, client, transport: "stdio_jsonl", cause: "client_cancel", initiator: "unknown", source: undefined };
  assertAsker(diagnostics.abort, asker);
  assert.equal(diagnostics.abort.prompt_request.id, promptId);
  const { aborts } = exported(diagnostics.abort.session_id).diagnostics;
  assert.deepEqual(aborts.map(({ abort_id, request }) => [abort_id, request.client]), [[diagnostics.abort.abort_id, client]]);
}

async function aPromptStreams() {
  const run = await finished(acpx(model, "exec", "Hello"));
  const { id, method } = run.messages[0];
  assert.deepEqual([id, method, run.messages[0].params.clientInfo], [0, "initialize", client]);
  const { stopReason, turnId, lastUpdate } = result(run);
  assert.equal(stopReason, "end_turn");
  assert.equal(run.updates.text(turnId), greeting);
  run.updates.assertGapless();
  const last = run.messages.findIndex(({ params }) => params?._meta?.pillion.seq === lastUpdate);
  assert.ok(last < run.messages.indexOf(answer(run, sent(run, "session/prompt"))), "the updates come before the answer");
}

async function anInterruptStops() {
  const run = acpx(scripted("stall", [{ text: "Stop me" }, "stall"]), "exec", "Hello");
  await run.updates.nextText();
  run.child.kill("SIGINT");
  await finished(run);
  assert.deepEqual(Object.keys(sent(run, "session/cancel")), ["jsonrpc", "method", "params"]);
  assertCancelled(run, sent(run, "session/prompt").id);
}

async function permissionIsAsked() {
  const write = (name) => [{ tool_call: { name: "write_file", input: { path: name, content: "by a stranger\n" } } }];
  const allowed = await finished(acpx(scripted("allow", write("allowed.txt"), [{ text: "It is written." }]), "--approve-all", "exec", "Write"));
  assert.equal(allowed.updates.text(result(allowed).turnId), "It is written.");
  assert.equal(readFileSync("allowed.txt", "utf8"), "by a stranger\n");
  // acpx reads and writes files itself.
  assert.equal(sent(allowed, "fs/write_text_file").params.content, "by a stranger\n");
  const question = sent(allowed, "session/request_permission");
  const reply = allowed.messages.find(({ method, id, result }) => !method && id === question.id && result?.outcome);
  assert.equal(reply.result.outcome.outcome, "selected");

  // acpx has an exit code for a turn in which all that was asked was refused.
  const denied = await finished(acpx(scripted("deny", write("denied.txt"), [{ text: "As you like." }]), "--deny-all", "exec", "Write"), 5);
  assert.equal(denied.updates.text(result(denied).turnId), "As you like.");
  assert.equal(existsSync("denied.txt"), false);
}

/** A session that lives from command to command, in a process of acpx's own. */
async function aSessionIsStoppedFromElsewhere() {
  await finished(acpx(model, "sessions", "new"));
  const first = await finished(acpx(model, "prompt", "Hello"));
  assert.equal(result(first).stopReason, "end_turn");

  const second = acpx(model, "prompt", "Stop me");
  await second.updates.nextText();
  const [said] = (await finished(acpx(model, "cancel"))).messages;
  assert.equal(said.cancelled, true);
  await finished(second);
  assertCancelled(second, sent(second, "session/prompt").id);
}

async function theModeIsSet() {
  await finished(acpx(model, "set-mode", "read_only"));
  const run = acpx(model, "set-mode", "plan");
  assert.notEqual(await run.ended, 0);
  assert.match(JSON.stringify(run.messages), /-32602,"message":"session\/set_mode: `modeId` must be one of `read_only`, `ask`, `auto_edit`"/);
}

async function itLeaves() {
  await finished(acpx(model, "sessions", "close"));
}

await story(
  aPromptStreams,
  anInterruptStops,
  permissionIsAsked,
  aSessionIsStoppedFromElsewhere,
  theModeIsSet,
  itLeaves,
);
