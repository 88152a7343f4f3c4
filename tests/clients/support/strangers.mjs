// What the stories in JavaScript share: the strangers' packages from the cache, pillion's process, the updates that came.
// Every wait has a deadline and says what it waited for.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const clients = path.join(process.env.PILLION_CACHE, "clients");

/** The scripted model of the stories: one prompt for each thing that a client does. */
export const model = `scripted:${path.join(here, "..", "turns.json")}`;
export const pieces = 9;
export const greeting = "Hello, stranger: this comes in nine small pieces.";

/** The path of a file in a package that `scripts/setup-clients.sh` fetched. */
export function fetched(...parts) {
  const lock = readFileSync(path.join(here, "..", "package-lock.json"), "utf8");
  const mark = path.join(clients, "package-lock.json");
  if (!existsSync(mark) || readFileSync(mark, "utf8") !== lock) {
    console.error("the pinned npm packages are not there: run `bash scripts/setup-clients.sh`, then this again");
    process.exit(1);
  }
  return path.join(clients, "node_modules", ...parts);
}

/** Imports a package by the name that its users write. */
export function load(name) {
  return import(pathToFileURL(createRequire(fetched("any.js")).resolve(name)).href);
}

export function version(name) {
  return JSON.parse(readFileSync(fetched(name, "package.json"), "utf8")).version;
}

/** Runs the chapters one after the other; the first that fails is named and ends the story. */
export async function story(...chapters) {
  for (const chapter of chapters) {
    try {
      await chapter();
    } catch (error) {
      console.error(`${chapter.name}:`, error);
      process.exit(1);
    }
  }
}

/** Starts pillion as an editor would: pipes, and what it has to say on its stderr goes to ours. */
export function start(...flags) {
  const child = spawn(process.env.PILLION, ["--model", model, ...flags], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
  return { child, ended };
}

/** Fails when `promise` has not settled after 20 seconds. */
export async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited 20 s for ${what}`)), 20_000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The `session/update` notifications of one session, in the order in which the client handed them over. */
export class Updates {
  #waiting = [];
  all = [];

  push(params) {
    this.all.push(params);
    this.#waiting = this.#waiting.filter(({ holds, resolve }) => !holds(params) || resolve(params));
  }

  /** The first update, from now on, of which `holds` is true. Ask before the request that causes it. */
  next(what, holds) {
    return within(what, new Promise((resolve) => this.#waiting.push({ holds, resolve })));
  }

  /** The first text of the next turn: it runs. */
  nextText() {
    return this.next("the first text of a turn", ({ update }) => update.sessionUpdate === "agent_message_chunk");
  }

  ofTurn(turnId) {
    return this.all.filter(({ _meta }) => _meta.pillion.turnId === turnId);
  }

  text(turnId) {
    const chunks = this.ofTurn(turnId).filter(({ update }) => update.sessionUpdate === "agent_message_chunk");
    return chunks.map(({ update }) => update.content.text).join("");
  }

  /** All that a turn had to say came before its answer. To be called in the very moment the answer is there. */
  assertComplete({ turnId, lastUpdate }) {
    assert.equal(this.ofTurn(turnId).at(-1)._meta.pillion.seq, lastUpdate, "an update came after the answer of its turn");
  }

  assertGapless() {
    assert.deepEqual(this.all.map(({ _meta }) => _meta.pillion.seq), this.all.map((_, index) => index + 1));
  }
}

/** What the abort must say: which client asked, in which message. */
export function assertAsker(abort, { method, id, client, transport, cause, initiator, source }) {
  const { connection_id, ...request } = abort.request;
  assert.match(connection_id, /^conn_/);
  assert.deepEqual(
    { request, cause: abort.cause, initiator: abort.initiator, source: abort.source },
    { request: { method, id, client, transport }, cause, initiator, source },
  );
}
