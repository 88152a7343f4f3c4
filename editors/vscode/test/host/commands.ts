// The commands and the contexts, against the real binary with scripted models.

import * as assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { pillions, scripted, variable } from "../support/room.ts";
import { ended, extension, lastTurn, prompt, session, shownDocument, text, tool } from "./support.ts";

const folder = (): string => vscode.workspace.workspaceFolders![0]!.uri.fsPath;
const command = (name: string, ...given: unknown[]): Thenable<unknown> => vscode.commands.executeCommand(`pillion.${name}`, ...given);

async function open(file: string, words: string): Promise<vscode.TextEditor> {
  writeFileSync(path.join(folder(), file), words);
  return vscode.window.showTextDocument(vscode.Uri.file(path.join(folder(), file)));
}

/** What the store has of a session, texts included. */
async function fullExport(sessionId: string): Promise<string> {
  const { sidecar } = await extension();
  return JSON.stringify(await sidecar.request("session/export", { sessionId, sanitize: false }));
}

export function commands(): void {
  it("opening a window starts no process", async () => {
    const { sidecar, status } = await extension();
    assert.deepEqual([sidecar.state.kind, pillions().length], ["stopped", 0]);
    assert.match(status.text, /circle-slash/);
  });

  it("has every command of its manifest", async () => {
    const { packageJSON } = vscode.extensions.getExtension("pillion.pillion")!;
    const declared = packageJSON.contributes.commands.map((entry: { command: string }) => entry.command) as string[];
    const known = await vscode.commands.getCommands(true);
    assert.deepEqual(declared.filter((name) => !known.includes(name)), []);
  });

  it("streams an answer to a prompt, starting pillion for it", async () => {
    const { sidecar, status } = await extension();
    await session("hello", [[{ text: { text: "Hello there, user.", chunks: 6, every_ms: 5 } }, { usage: { input_tokens: 5, output_tokens: 4 } }]]);
    await prompt("Hi");
    const turn = await lastTurn("the end of the turn", ended);
    assert.equal(text(turn), "Hello there, user.");
    assert.deepEqual([turn.state, turn.stopReason, turn.usage?.outputTokens], ["completed", "end_turn", 4]);
    assert.deepEqual([sidecar.state.kind, pillions().length], ["running", 1]);
    assert.match(status.text, /comment-discussion/);
  });

  it("sends the selection as text with its lines, and the file as a pointer", async () => {
    const editor = await open("poem.txt", "roses\nviolets\nsugar\n");
    editor.selection = new vscode.Selection(1, 0, 2, 0);
    const sessionId = await session("context", [[{ text: "ok" }]]);
    await prompt("What is this?", { selection: true, file: true });
    const turn = await lastTurn("the end of the turn", ended);
    const uri = vscode.Uri.file(path.join(folder(), "poem.txt")).toString();
    const resource = { type: "resource", resource: { uri: `${uri}#L2-L2`, mimeType: "text/plain", text: "violets\n" } };
    assert.deepEqual(turn.prompt, [{ type: "text", text: "What is this?" }, resource, { type: "resource_link", uri, name: "poem.txt" }]);
    assert.match(await fullExport(sessionId), /violets/);
  });

  it("lets tools read what is not saved", async () => {
    const editor = await open("draft.txt", "saved\n");
    await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), "UNSAVED "));
    await session("unsaved", [[{ tool_call: { name: "read_file", input: { path: "draft.txt" } } }], [{ text: "read" }]]);
    await prompt("Read the draft");
    const turn = await lastTurn("the end of the turn", ended);
    assert.match(JSON.stringify(tool(turn).content), /UNSAVED saved/);
    await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
  });

  const write = (file: string) => [[{ tool_call: { name: "write_file", input: { path: file, content: "new\n" } } }], [{ text: "done" }]];

  it("writes what is allowed, and not what is rejected", async () => {
    const { conversations, status } = await extension();
    for (const [decision, file] of [["allow_once", "allowed.txt"], ["reject_once", "rejected.txt"]] as const) {
      await session(decision, write(file));
      await prompt("Write it");
      const asking = await lastTurn("a question", (turn) => turn.items.some((item) => item.type === "tool" && item.permission !== undefined));
      const { key, options } = tool(asking).permission!;
      assert.deepEqual(options.map(({ kind }) => kind), ["allow_once", "allow_always", "reject_once", "reject_always"]);
      assert.match(status.text, /shield/);
      conversations.decide(String(key), decision);
      const turn = await lastTurn("the end of the turn", ended);
      assert.equal(tool(turn).permission!.decision, decision);
      assert.equal(tool(turn).status, decision === "allow_once" ? "completed" : "failed");
      assert.equal(existsSync(path.join(folder(), file)), decision === "allow_once");
    }
  });

  it("has a mode for each session, also after pillion was started anew", async () => {
    const { conversations } = await extension();
    await session("mode", []);
    assert.equal(conversations.mode?.name, "Ask");
    const written = async (mode: string, file: string): Promise<unknown[]> => {
      await conversations.configure("model", scripted(file, write(file)));
      await prompt("Write it");
      const turn = await lastTurn("the end of the turn", (turn) => ended(turn) && JSON.stringify(turn.items).includes(file));
      assert.equal(conversations.mode?.id, mode);
      return [tool(turn).status, tool(turn).permission, existsSync(path.join(folder(), file))];
    };
    await command("selectMode", { mode: "auto_edit" });
    assert.deepEqual(await written("auto_edit", "first.txt"), ["completed", undefined, true]);
    await conversations.configure("model", scripted("second.txt", write("second.txt")));
    // The prompt comes while the old process is still going.
    const restarted = command("restart");
    await prompt("Write it");
    await restarted;
    const second = await lastTurn("the end of the turn", (turn) => ended(turn) && JSON.stringify(turn.items).includes("second.txt"));
    assert.deepEqual([second.state, second.sentence, tool(second).status, tool(second).permission], ["completed", undefined, "completed", undefined]);
    assert.ok(existsSync(path.join(folder(), "second.txt")));
    await command("selectMode", { mode: "read_only" });
    assert.deepEqual(await written("read_only", "third.txt"), ["failed", undefined, false]);
    await session("another mode", []);
    assert.equal(conversations.mode?.name, "Ask");
  });

  it("goes on with a session that was made or opened just when pillion was to leave", async () => {
    const { conversations, sidecar } = await extension();
    const answers = async (words: string): Promise<void> => {
      await conversations.configure("model", scripted(words, [[{ text: words }]]));
      await prompt("Go");
      const turn = await lastTurn(words, (turn) => ended(turn) && text(turn) === words);
      assert.equal(turn.state, "completed");
    };
    await sidecar.start();
    await Promise.all([conversations.create(folder()), sidecar.restart()]);
    await answers("made");
    const { sessionId } = conversations.current!;
    await conversations.create(folder());
    await sidecar.restart();
    // Twice at once, as by two clicks.
    await Promise.all([conversations.load(sessionId, folder()), conversations.load(sessionId, folder())]);
    assert.deepEqual(conversations.current!.turns.map(text), ["made"]);
    await answers("opened");
  });

  it("changes a document with unsaved changes in the editor, as one undo, and leaves saving to the user", async () => {
    const { conversations } = await extension();
    for (const isDirty of [true, false]) {
      const file = isDirty ? "dirty.txt" : "clean.txt";
      const editor = await open(file, "one\ntwo\nthree\n");
      if (isDirty) {
        await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), "MINE "));
      }
      const before = editor.document.getText();
      await session(file, [[{ tool_call: { name: "edit_file", input: { path: file, edits: [{ old_text: "two", new_text: "TWO" }, { old_text: "three", new_text: "THREE" }] } } }], [{ text: "done" }]]);
      await prompt("Edit it");
      const asking = await lastTurn("a question", (turn) => turn.items.some((item) => item.type === "tool" && item.permission !== undefined));
      conversations.decide(String(tool(asking).permission!.key), "allow_once");
      const turn = await lastTurn("the end of the turn", ended);
      assert.equal(tool(turn).status, "completed");
      const after = before.replace("two", "TWO").replace("three", "THREE");
      const onDisk = () => readFileSync(path.join(folder(), file), "utf8");
      assert.deepEqual([editor.document.getText(), editor.document.isDirty, onDisk()], [after, isDirty, isDirty ? "one\ntwo\nthree\n" : after]);
      await vscode.commands.executeCommand("undo");
      assert.equal(editor.document.getText(), before);
      await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
    }
  });

  it("stops by command: the sentence in its place, the source in the records, the question withdrawn", async () => {
    const sessionId = await session("stop", write("never.txt"));
    await prompt("Write it");
    await lastTurn("a question", (turn) => turn.items.some((item) => item.type === "tool" && item.permission !== undefined));
    await command("stop");
    const turn = await lastTurn("the end of the turn", ended);
    assert.deepEqual(
      [turn.state, turn.sentence, turn.initiator, turn.source, turn.cause],
      ["cancelled", "The turn was cancelled by the user (vscode.command).", "user", "vscode.command", "client_cancel"],
    );
    assert.deepEqual([tool(turn).permission!.decision, tool(turn).status], ["withdrawn", "stopped"]);
    assert.equal(existsSync(path.join(folder(), "never.txt")), false);
    const { sidecar } = await extension();
    const { export: records } = await sidecar.request("session/export", { sessionId });
    const abort = JSON.stringify(records);
    assert.ok(abort.includes('"source":"vscode.command"') && abort.includes('"initiator":"user"') && abort.includes(turn.abortId!), abort);
  });

  it("exports to a file, over an older one, and opens it", async () => {
    const file = path.join(folder(), "export.json");
    writeFileSync(file, "older");
    await command("exportSession", { file: vscode.Uri.file(file) });
    const shown = await shownDocument("the export", ({ uri }) => uri.fsPath === file);
    assert.equal(shown, readFileSync(file, "utf8"));
    assert.ok(shown.includes("vscode.command"));
    assert.deepEqual(readdirSync(folder()).filter((name) => name.startsWith("export.json")), ["export.json"]);
  });

  it("explains the stop in a document", async () => {
    await command("explainLastStop");
    const story = await shownDocument("the explanation", ({ uri }) => uri.scheme === "pillion" && uri.path.includes("Explain"));
    assert.match(story, /The turn was cancelled by the user \(vscode\.command\)\./);
  });

  it("tells its health in a document", async () => {
    await command("health");
    const report = await shownDocument("the report", ({ uri }) => uri.scheme === "pillion" && uri.path.includes("Health"));
    for (const part of ["Pillion for VS Code", "for protocol version 1", `running: ${variable("PILLION")}`, "none is in the editor's secret storage", "\nstore\n", "SQLite"]) {
      assert.ok(report.includes(part), `${part} in: ${report}`);
    }
  });

  it("shows a session of the list as it was", async () => {
    const { conversations } = await extension();
    const sessionId = await session("earlier", [[{ text: "I was here." }]]);
    await prompt("Remember");
    await lastTurn("the end of the turn", ended);
    await session("later", []);
    await command("restart");
    await command("openSession", { sessionId, cwd: folder() });
    assert.equal(conversations.current!.sessionId, sessionId);
    const turn = conversations.current!.turns.at(-1)!;
    assert.deepEqual([turn.prompt, text(turn)], [[{ type: "text", text: "Remember" }], "I was here."]);
    await conversations.delete(sessionId);
    assert.equal(conversations.current, undefined);
  });

  it("keeps up with a burst of 20,000 tokens", async () => {
    await session("burst", [[{ text: { text: "token ", repeat: 20_000 } }]]);
    await prompt("Go");
    const turn = await lastTurn("the end of the turn", ended);
    assert.equal(text(turn).length, 120_000);
  });

  it("a failure of the provider stands in the turn", async () => {
    await session("failure", [[{ http_error: { status: 403, message: "not today" } }]]);
    await prompt("Hi");
    const turn = await lastTurn("the end of the turn", ended);
    assert.deepEqual([turn.state, turn.cause], ["failed", "provider_http"]);
    assert.match(turn.sentence!, /403/);
  });

  it("a killed pillion is started again, and the turn says what happened to it", async () => {
    await session("crash", [[{ text: "I am busy" }, "stall"]]);
    await prompt("Go");
    await lastTurn("some text", (turn) => text(turn) !== "");
    const { pid } = pillions()[0]!;
    process.kill(pid, "SIGKILL");
    const turn = await lastTurn("what happened", (turn) => turn.cause === "crash_recovered");
    assert.equal(turn.state, "cancelled");
    assert.match(turn.sentence!, /The process that ran the turn ended/);
    assert.equal(pillions().filter((process) => process.pid !== pid).length, 1);
  });
}
