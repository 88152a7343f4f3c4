// What the manifest and the README say against what the code does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { age } from "../../src/age.ts";
import { childEnvironment, DEFAULTS, flags, LAUNCH, readSettings } from "../../src/config.ts";
import { extensionRoot } from "../support/room.ts";

const manifest = JSON.parse(readFileSync(path.join(extensionRoot, "package.json"), "utf8"));
const readme = readFileSync(path.join(extensionRoot, "README.md"), "utf8");
const properties = manifest.contributes.configuration.properties as Record<string, { default: unknown; scope: string }>;

test("the manifest has the settings of the code, with the same defaults", () => {
  const declared = Object.fromEntries(Object.entries(properties).map(([key, property]) => [key.replace(/^pillion\./, ""), property.default]));
  assert.deepEqual(declared, DEFAULTS);
});

test("what decides which program runs, and whom it talks to, cannot be set by a workspace", () => {
  for (const key of LAUNCH) {
    assert.equal(properties[`pillion.${key}`]!.scope, "machine", key);
  }
  assert.deepEqual(manifest.capabilities.untrustedWorkspaces.supported, false);
  assert.deepEqual(manifest.capabilities.virtualWorkspaces.supported, false);
  assert.deepEqual(manifest.extensionKind, ["workspace"]);
});

test("the README has every setting with its default, every command and every key", () => {
  for (const [key, property] of Object.entries(properties)) {
    const byDefault = property.default === "" ? "empty" : `\`${String(property.default)}\``;
    assert.ok(readme.includes(`| \`${key}\` | ${byDefault} |`), `a row for ${key} with its default, ${byDefault}`);
  }
  const hidden = new Set(manifest.contributes.menus.commandPalette.map(({ command }: { command: string }) => command));
  for (const { command, title } of manifest.contributes.commands) {
    assert.equal(readme.includes(`Pillion: ${title}`), !hidden.has(command), `Pillion: ${title}`);
  }
  for (const { key } of manifest.contributes.keybindings) {
    assert.ok(readme.toLowerCase().includes(key), key);
  }
  assert.match(readme, /Windows.*untested/is);
});

test("a setting of the wrong type counts as not set", () => {
  const given: Record<string, unknown> = { model: "openai:x", "context.file": "yes", path: 7 };
  assert.deepEqual(readSettings((key) => given[key]), { ...DEFAULTS, model: "openai:x" });
});

test("only what is set becomes a flag", () => {
  assert.deepEqual(flags(DEFAULTS), []);
  const set = { ...DEFAULTS, path: "/p", model: " ollama:m ", titleModel: "none", baseUrl: "http://x/", logLevel: "debug" };
  assert.deepEqual(flags(set), ["--model=ollama:m", "--title-model=none", "--base-url=http://x/", "--log-level=debug"]);
});

test("the child gets the key and nothing of the editor's own", () => {
  const own = { PATH: "/bin", VSCODE_IPC_HOOK_CLI: "x", ELECTRON_RUN_AS_NODE: "1", PILLION_API_KEY: "theirs" };
  assert.deepEqual(childEnvironment(own, "ours"), { PATH: "/bin", PILLION_API_KEY: "ours" });
  assert.deepEqual(childEnvironment(own, undefined), { PATH: "/bin", PILLION_API_KEY: "theirs" });
});

test("an age is one short word", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  const ages = ["2026-01-02T00:00:09Z", "2026-01-01T23:59:30Z", "2026-01-01T23:10:00Z", "2026-01-01T00:00:00Z", "2025-11-01T00:00:00Z", "2024-01-01T00:00:00Z"];
  assert.deepEqual(ages.map((at) => age(at, now)), ["now", "now", "50 min", "1 d", "2 mo", "2 y"]);
});
