// A story: a workspace that is not trusted, with two folders. Nothing starts in it; once it is trusted, the user picks
// the folder of a session, lets the session change files without a question, and has pillion trust the folder too.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { builtExtension } from "../support/build.ts";
import { Chat } from "../support/chat.ts";
import { Editor, PATIENCE_MS } from "../support/editor.ts";
import { pillions, scripted, variable } from "../support/room.ts";

const folders = ["first", "second"].map((name) => ({ path: path.resolve(name) }));
folders.forEach(({ path }) => mkdirSync(path));
writeFileSync("second/here.txt", "here\n");
const workspace = path.resolve("both.code-workspace");
// A workspace that names a program of its own must not get its way, trusted or not.
writeFileSync(workspace, JSON.stringify({ folders, settings: { "pillion.path": "/bin/false" } }));
const extension = { built: await builtExtension() };
const model = scripted("trust", [
  [{ text: "At work." }],
  [{ tool_call: { name: "write_file", input: { path: "second.txt", content: "written\n" } } }],
  [{ text: "It is written." }],
  [{ text: "Looked." }],
]);
const editor = await Editor.open({ workspace, extension, settings: { "pillion.model": model }, asksForTrust: true });
const { page } = editor;
const chat = new Chat(page);
await editor.tell(async () => {
  await page.getByText("Restricted Mode").first().waitFor({ timeout: PATIENCE_MS });
  const stranger = await chat.activity.count();
  if (stranger + pillions().length > 0) {
    throw new Error(`expected neither a view nor a process before the workspace is trusted, saw ${stranger} and ${pillions().length}`);
  }
  await page.locator(".part.banner").getByRole("button", { name: "Manage" }).click();
  await page.getByRole("button", { name: "Trust", exact: true }).click({ timeout: PATIENCE_MS });
  // The editor about trust may cover the window.
  await chat.activity.waitFor({ timeout: PATIENCE_MS });
  await page.locator(".monaco-modal-editor-block").getByRole("button", { name: /^Close/ }).click({ timeout: PATIENCE_MS });
  await chat.open();

  await chat.prompt("Go");
  await chat.pick("second");
  await chat.see("At work.");
  await page.locator(".monaco-list-row").filter({ hasText: /second · now/ }).waitFor({ timeout: PATIENCE_MS });

  await chat.modeButton.click();
  await chat.pick("Auto edit");
  await chat.modeButton.filter({ hasText: "Auto edit" }).waitFor({ timeout: PATIENCE_MS });
  await chat.prompt("Write it");
  await chat.see("It is written.");
  assert.equal(readFileSync("second/second.txt", "utf8"), "written\n");
  await editor.picture("auto-edit");

  const choice = (name: string) => page.locator(".quick-input-list .monaco-list-row").filter({ hasText: name });
  await chat.command("Pillion: Trust Workspace");
  await page.locator(".quick-input-title").filter({ hasText: `Trust of ${folders[1]!.path}` }).waitFor({ timeout: PATIENCE_MS });
  await choice("Restricted").filter({ hasText: "current" }).waitFor({ timeout: PATIENCE_MS });
  await chat.pick("Trusted");
  await choice("Trusted").waitFor({ state: "hidden", timeout: PATIENCE_MS });
  const { stdout } = spawnSync(variable("PILLION"), ["trust", "--list"], { encoding: "utf8" });
  assert.ok(stdout.includes(folders[1]!.path) && !stdout.includes(folders[0]!.path), stdout);
  writeFileSync("second/AGENTS.md", "Use tabs.\n");
  await chat.prompt("Look");
  await editor.notification(`Pillion no longer trusts ${folders[1]!.path}: its AGENTS.md or .pillion.toml has changed.`);
  await chat.see("Looked.");
});
