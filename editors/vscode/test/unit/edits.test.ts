import assert from "node:assert/strict";
import { test } from "node:test";
import { applyAndSave, type Savable } from "../../src/edits.ts";

class Document implements Savable {
  isDirty: boolean;
  private readonly saving: () => Promise<boolean>;
  readonly name: string;

  constructor(name: string, isDirty: boolean, saving: () => Promise<boolean>) {
    this.name = name;
    this.isDirty = isDirty;
    this.saving = saving;
  }

  save(): Promise<boolean> {
    return this.saving();
  }
}

/** What happens, in its order, when a.txt is changed. */
async function story({ isDirty = false, applied = true, saves = true, saving = async () => true, isOpen = true }): Promise<string[]> {
  const seen: string[] = [];
  const document = new Document("a.txt", isDirty, () => {
    seen.push("saved");
    return saving();
  });
  const params = { edit: { documentChanges: [{ textDocument: { uri: "file:///a.txt", version: 1 }, edits: [] }, { kind: "create" }] } };
  const next = async (): Promise<{ applied: boolean }> => {
    seen.push("applied");
    document.isDirty = applied || isDirty;
    return { applied };
  };
  const result = await applyAndSave(params, next, {
    find: (uri) => (isOpen && uri === "file:///a.txt" ? document : undefined),
    tell: async () => void seen.push("told"),
    saves: () => saves,
    failed: ({ name }, why) => seen.push(`${name}: ${why}`),
  });
  assert.deepEqual(result, { applied });
  return seen;
}

test("a document that was clean is saved after pillion has heard of its text", async () => {
  assert.deepEqual(await story({}), ["applied", "told", "saved"]);
});

test("a document with the user's changes, a refused change and another wish leave saving to the user", async () => {
  for (const which of [{ isDirty: true }, { applied: false }, { saves: false }, { isOpen: false }]) {
    assert.deepEqual(await story(which), ["applied"]);
  }
});

test("what cannot be saved is told, and the change still counts as made", async () => {
  assert.deepEqual(await story({ saving: async () => false }), ["applied", "told", "saved", "a.txt: the editor did not save it"]);
  const full = (): Promise<boolean> => Promise.reject(new Error("disk full"));
  assert.deepEqual(await story({ saving: full }), ["applied", "told", "saved", "a.txt: Error: disk full"]);
});
