// How a plugin is tested without a model and without a key: pillion plays a script. Run by `node --test client.test.ts`.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { open } from "./client.ts";

// What the model does: the first prompt is answered, the second one writes a file, the third one never ends.
const model = {
  steps: [
    [{ text: { text: "Hello, TypeScript!", chunks: 4 } }],
    [{ tool_call: { name: "write_file", input: { path: "note.txt", content: "from the model\n" } } }],
    [{ text: "Written." }],
    [{ text: "Wait for it" }, "stall"],
  ],
};
const workspace = mkdtempSync(path.join(tmpdir(), "my-plugin-"));
const script = path.join(workspace, "turn.json");
const shown: string[] = [];
const asked: string[] = [];
const ended = Promise.withResolvers<number | string>();
let onText = () => {};
let session: Awaited<ReturnType<typeof open>>;

before(async () => {
  writeFileSync(script, JSON.stringify(model));
  // Its sessions are not among yours.
  process.env.PILLION_DATA_DIR = path.join(workspace, "data");
  const command = [process.env.PILLION ?? "pillion", "--model", `scripted:${script}`, "--title-model", "none"];
  session = await open(command, workspace, {
    show: (text) => {
      shown.push(text);
      onText();
    },
    allow: async (title) => asked.push(title) > 0,
    ended: ended.resolve,
  });
});

after(() => rmSync(workspace, { recursive: true }));

test("a prompt streams", async () => {
  const { stopReason } = await session.prompt("Hello");
  assert.equal(stopReason, "end_turn");
  assert.equal(shown.join(""), "Hello, TypeScript!");
});

test("a write is asked for", async () => {
  await session.prompt("Write a note");
  assert.deepEqual(asked, ["Create note.txt"]);
  assert.equal(readFileSync(path.join(workspace, "note.txt"), "utf8"), "from the model\n");
});

test("Stop stops, and says who it was", async () => {
  onText = () => session.stop("my-plugin.stopButton");
  const { stopReason, sentence } = await session.prompt("Take your time");
  assert.equal(stopReason, "cancelled");
  assert.equal(sentence, "The turn was cancelled by the user (my-plugin.stopButton).");
});

test("it leaves when the editor does", async () => {
  await session.close();
  assert.equal(await ended.promise, 0);
});
