// What the suites inside the extension host share: the extension's own exports, prompts with a script of their own, waiting.

import * as assert from "node:assert/strict";
import * as vscode from "vscode";
import type { Exports } from "../../src/extension.ts";
import type { Turn, ToolItem } from "../../src/session.ts";
import { eventually, scripted, type Step } from "../support/room.ts";

export async function extension(): Promise<Exports> {
  return (await vscode.extensions.getExtension<Exports>("pillion.pillion")!.activate());
}

/** A new session whose model follows a script. */
export async function session(name: string, steps: Step[]): Promise<string> {
  const { conversations } = await extension();
  await conversations.create(vscode.workspace.workspaceFolders![0]!.uri.fsPath);
  await conversations.configure("model", scripted(name, steps));
  return conversations.current!.sessionId;
}

/** The last turn of the shown session, once it is as wanted. */
export async function lastTurn(what: string, wanted: (turn: Turn) => boolean): Promise<Turn> {
  const { conversations } = await extension();
  return eventually(what, () => {
    const turn = conversations.current?.turns.at(-1);
    return turn !== undefined && wanted(turn) ? turn : undefined;
  });
}

export const ended = (turn: Turn): boolean => turn.state !== "running";

export function text(turn: Turn): string {
  return turn.items.flatMap((item) => (item.type === "text" ? [item.text] : [])).join("");
}

export function tool(turn: Turn): ToolItem {
  const found = turn.items.find((item) => item.type === "tool");
  assert.ok(found?.type === "tool", "the turn has a tool call");
  return found;
}

export async function prompt(words: string, attach = { selection: false, file: false }): Promise<void> {
  await vscode.commands.executeCommand("pillion.prompt", { text: words, attach });
}

/** The text of the document that is shown under a name. */
export async function shownDocument(what: string, matches: (document: vscode.TextDocument) => boolean): Promise<string> {
  return eventually(what, () => {
    const document = vscode.window.activeTextEditor?.document;
    return document !== undefined && matches(document) && document.getText() !== "" ? document.getText() : undefined;
  });
}
