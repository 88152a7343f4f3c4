// A story: the packaged extension as its user lives it. The VSIX is installed, a key is set, a prompt streams, a permission
// is answered, a turn is stopped, its sentence is read, the session is exported.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { builtVsix } from "../support/build.ts";
import { Chat } from "../support/chat.ts";
import { Editor, PATIENCE_MS } from "../support/editor.ts";
import { eventually, fresh, marked, pillions, scripted, variable } from "../support/room.ts";

const key = "sk-canary-4f9d2c7b1a";
const before = 'def greet(name):\n    return f"Hello, {name}!"\n';
const after = 'HELLO = {"en": "Hello", "fr": "Bonjour"}\n\n\ndef greet(name, language="en"):\n    return f"{HELLO[language]}, {name}!"\n';
writeFileSync("greet.py", before);
const model = scripted(
  "chat",
  [
    [
      { reasoning: "The greeting lives in greet.py." },
      { text: { text: "I will read **greet.py** first.", chunks: 5, every_ms: 20 } },
      { tool_call: { name: "read_file", input: { path: "greet.py" } } },
    ],
    [{ text: "It greets in English only. Here is a change:" }, { tool_call: { name: "write_file", input: { path: "greet.py", content: after } } }],
    [
      { text: { text: "`greet` takes a language now:\n\n- `en` is the default,\n- `fr` says *Bonjour*.\n\n<b>raw</b> \u202e", chunks: 6, every_ms: 30 } },
      { usage: { input_tokens: 420, output_tokens: 96 } },
    ],
    [{ text: { text: "Let me think about the tests. ", chunks: 3, every_ms: 20 } }, "stall"],
  ],
  "Greet in French",
);

const theme = process.env["PILLION_THEME"] ?? "Default Light Modern";
const extension = { vsix: await builtVsix() };
const editor = await Editor.open({ workspace: process.cwd(), extension, settings: { "pillion.model": model }, user: { "workbench.colorTheme": theme } });
const { page } = editor;
const chat = new Chat(page);
const refused: string[] = [];
page.on("console", (message) => /content security policy/i.test(message.text()) && message.text().includes("chat.js") && refused.push(message.text()));

await editor.tell(async () => {
  await page.getByRole("treeitem", { name: "greet.py" }).click({ timeout: PATIENCE_MS });
  await chat.open();
  await setKey();
  await promptAndPermission();
  await editor.picture("answer");
  await stop();
  await editor.picture("stopped");
  await hiddenAndShown();
  await exported();
  await editor.picture("exported");
  assert.deepEqual(refused, [], "nothing is refused by the page's content security policy");
});

/** The key goes in by the command, reaches pillion, and is nowhere else. */
async function setKey(): Promise<void> {
  await chat.command("Pillion: Set API Key");
  const input = page.locator(".quick-input-widget input[type=password]");
  await input.waitFor({ timeout: PATIENCE_MS });
  await input.fill(key);
  await input.press("Enter");
  // pillion writes over it as soon as it has read it: what is left is as long as the key.
  const wiped = `\0PILLION_API_KEY=${"\0".repeat(key.length)}\0`;
  await eventually("a pillion that was given the key, and has written over it", () => {
    const running = pillions();
    return running.length === 1 && `\0${readFileSync(`/proc/${running[0]!.pid}/environ`, "latin1")}\0`.includes(wiped) ? running : undefined;
  });
  assert.deepEqual(marked().filter(({ env }) => [...env.values()].includes(key)), [], "no process shows the key");
}

async function promptAndPermission(): Promise<void> {
  await chat.input.waitFor({ timeout: PATIENCE_MS });
  await chat.frame.getByRole("button", { name: "greet.py" }).click();
  await chat.prompt("Teach greet to say hello in French.");
  await chat.see("I will read");
  assert.equal(await chat.lastTurn.locator(".markdown strong").first().innerText(), "greet.py");
  const card = chat.lastTurn.getByRole("group", { name: "Permission: Replace greet.py" });
  await card.waitFor({ timeout: PATIENCE_MS });
  assert.equal(await card.locator(".path").innerText(), path.resolve("greet.py"));
  const rows = (sign: string) => card.locator(`.row.${sign}`).evaluateAll((rows) => rows.map((row) => row.textContent?.slice(1)));
  assert.deepEqual(await rows("removed"), before.trimEnd().split("\n"));
  assert.deepEqual(await rows("added"), after.trimEnd().split("\n"));
  assert.equal(readFileSync("greet.py", "utf8"), before, "nothing is written before it is allowed");
  await page.locator(".statusbar-item").filter({ hasText: "Pillion" }).and(page.locator("[aria-label*='permission']")).waitFor({ timeout: PATIENCE_MS });
  await editor.picture("permission");
  // By the keyboard alone: from the composer back to the card's buttons.
  const allow = card.getByRole("button", { name: "Allow once" });
  await allow.focus();
  await page.keyboard.press("Enter");
  await chat.see("takes a language now");
  await chat.see("scripted:chat.json · 420 in, 96 out");
  await chat.see("<b>raw</b> ⟨U+202E⟩");
  assert.equal(readFileSync("greet.py", "utf8"), after);
  await chat.frame.locator("[role=log]").getByText("The answer is complete.").waitFor({ state: "attached", timeout: PATIENCE_MS });
}

async function stop(): Promise<void> {
  await chat.prompt("Now the tests.");
  await chat.see("Let me think about the tests.");
  await chat.stopButton.click();
  await chat.see("The turn was cancelled by the user (vscode.stopButton).");
  await chat.stopButton.waitFor({ state: "hidden", timeout: PATIENCE_MS });
}

/** The page is thrown away with its view and made anew from what the extension keeps. */
async function hiddenAndShown(): Promise<void> {
  await chat.input.fill("a draft");
  await page.locator(".activitybar").getByRole("tab", { name: /Explorer/ }).click();
  await chat.input.waitFor({ state: "hidden", timeout: PATIENCE_MS });
  await chat.open();
  await chat.see("The turn was cancelled by the user (vscode.stopButton).");
  assert.equal(await chat.input.inputValue(), "a draft");
  await chat.input.fill("");
}

async function exported(): Promise<void> {
  await chat.lastTurn.getByRole("button", { name: "Export" }).click();
  const file = path.join(fresh("export"), "session.json");
  const input = page.locator(".quick-input-widget input[type=text]");
  // The dialog sets its proposal when it has looked into the directory; what is typed before is lost.
  await eventually("the dialog's proposal", async () => /pillion-ses_.*\.json$/.test(await input.inputValue()), PATIENCE_MS);
  await input.fill(file);
  // It takes an answer only when it has looked into that directory too.
  await eventually(
    "the exported file in an editor",
    async () => {
      if (await input.isVisible()) {
        await input.press("Enter");
      }
      return page.getByRole("tab", { name: /session\.json/ }).isVisible();
    },
    PATIENCE_MS,
  );
  const text = readFileSync(file, "utf8");
  const { diagnostics } = JSON.parse(text);
  assert.deepEqual(
    diagnostics.aborts.map(({ cause, initiator, source }: Record<string, string>) => [cause, initiator, source]),
    [["client_cancel", "user", "vscode.stopButton"]],
  );
  // Everything that was written on the way, by the editor and by pillion, but the secret storage itself.
  const room = path.dirname(variable("TMPDIR"));
  const places = filesIn(room).filter((file) => readFileSync(file).includes(key));
  assert.deepEqual(places, [], "the key stands in no file");
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(directory, name))
    .filter((file) => !/\/(extension|vsix|extensions)-?[^/]*\/|playwright/.test(file) && isFile(file));
}

function isFile(file: string): boolean {
  try {
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
