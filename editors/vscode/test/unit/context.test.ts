import assert from "node:assert/strict";
import { test } from "node:test";
import { blockLabel, promptBlocks, uriLabel, type EditorSnapshot } from "../../src/context.ts";

const editor: EditorSnapshot = {
  uri: "file:///w/src/a%20b.rs",
  name: "src/a b.rs",
  selection: { startLine: 3, endLine: 4, text: "let x = 1;\n" },
};
const text = { type: "text", text: "Why?" };
const resource = { type: "resource", resource: { uri: "file:///w/src/a%20b.rs#L3-L4", mimeType: "text/plain", text: "let x = 1;\n" } };
const link = { type: "resource_link", uri: "file:///w/src/a%20b.rs", name: "src/a b.rs" };

test("what is attached goes along: the selection as its text, the file as a pointer", () => {
  const blocks = (selection: boolean, file: boolean, from?: EditorSnapshot) => promptBlocks("Why?", { selection, file }, from);
  assert.deepEqual(blocks(true, true, editor), [text, resource, link]);
  assert.deepEqual(blocks(true, false, editor), [text, resource]);
  assert.deepEqual(blocks(false, true, editor), [text, link]);
  assert.deepEqual(blocks(false, false, editor), [text]);
});

test("without a selection, or without an editor, there is less to attach", () => {
  const { selection: _, ...unselected } = editor;
  assert.deepEqual(promptBlocks("Why?", { selection: true, file: true }, unselected), [text, link]);
  assert.deepEqual(promptBlocks("Why?", { selection: true, file: true }, undefined), [text]);
});

test("a block is called by its file and lines", () => {
  assert.equal(blockLabel(promptBlocks("", { selection: true, file: false }, editor)[1]!), "a b.rs:3-4");
  assert.equal(blockLabel(promptBlocks("", { selection: false, file: true }, editor)[1]!), "src/a b.rs");
  assert.equal(uriLabel("file:///w/a.rs#L7-L7"), "a.rs:7");
  assert.equal(uriLabel("file:///w/100%.txt"), "100%.txt", "what cannot be decoded stays as it is");
});
