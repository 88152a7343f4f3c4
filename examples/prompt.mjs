#!/usr/bin/env node
// One prompt from Node, with nothing but what Node brings: the text streams to stdout, Ctrl-C stops the turn.
//
//   prompt.mjs TEXT
//
// The exit codes are those of `pillion prompt`: 0 the model ended, 130 stopped, 3 or 4 a limit, 5 refused, 1 an error.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const child = spawn(process.env.PILLION ?? "pillion", { stdio: ["pipe", "pipe", "inherit"] });
const ended = once(child, "exit");
const waiting = new Map();

const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);

function request(method, params) {
  const id = waiting.size + 1;
  send({ id, method, params });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

createInterface({ input: child.stdout }).on("line", (line) => {
  const { id, method, params, result, error } = JSON.parse(line);
  if (method === "session/update" && params.update.sessionUpdate === "agent_message_chunk") {
    process.stdout.write(params.update.content.text ?? "");
  } else if (method === "session/request_permission") {
    // A script has nobody to ask: it says no.
    const { optionId } = params.options.find(({ kind }) => kind === "reject_once");
    send({ id, result: { outcome: { outcome: "selected", optionId } } });
  } else if (!method) {
    const { resolve, reject } = waiting.get(id);
    error ? reject(new Error(error.message)) : resolve(result);
  }
});

async function main(text) {
  await request("initialize", { capabilities: {}, processId: process.pid, clientInfo: { name: "prompt.mjs", version: "1" } });
  const { sessionId } = await request("session/new", { cwd: process.cwd() });
  process.on("SIGINT", () => {
    // A notification: the answer to look at is the prompt's own.
    send({ method: "session/cancel", params: { sessionId, initiator: "user", source: "prompt.mjs.sigint" } });
  });
  const { stopReason, sentence } = await request("session/prompt", { sessionId, prompt: [{ type: "text", text }] });
  process.stdout.write("\n");
  if (sentence) console.error(sentence);
  child.stdin.end();
  await ended;
  return { end_turn: 0, cancelled: 130, max_tokens: 3, max_turn_requests: 4, refusal: 5 }[stopReason] ?? 1;
}

try {
  process.exitCode = await Promise.race([
    main(process.argv[2]),
    ended.then(([code]) => Promise.reject(new Error(`pillion left with code ${code}`))),
  ]);
} catch (error) {
  console.error(`prompt.mjs: ${error.message}`);
  process.exit(1);
}
