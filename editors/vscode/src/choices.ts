// What a person chooses for a session: its model, its mode, and whether its workspace is trusted. The names and the
// descriptions are the server's.

import * as vscode from "vscode";
import { Problem } from "./binary.ts";
import type { Conversations } from "./conversations.ts";
import { exactLine } from "./plain.ts";
import type { ConfigOption, Mode } from "./protocol.ts";

export async function selectModel(conversations: Conversations): Promise<void> {
  const option = offered(conversations, "model", "A model is chosen for a session. Open one first, or set pillion.model for all new ones.");
  const other = "Another model…";
  const items = [
    ...option.options.map(({ value }) => ({ label: value, description: current(value === option.currentValue) })),
    { label: other, description: "as provider:model" },
  ];
  const picked = await vscode.window.showQuickPick(items, { title: "Pillion: Select Model", placeHolder: option.description });
  const prompt = "The model as provider:model, such as openai:gpt-5.2 or ollama:qwen3-coder";
  const value = picked?.label === other ? await vscode.window.showInputBox({ title: "Pillion: Select Model", prompt }) : picked?.label;
  if (value !== undefined && value.trim() !== "") {
    await conversations.configure("model", value.trim());
  }
}

/** `given`: from a keybinding, without a question. */
export async function selectMode(conversations: Conversations, given?: Mode): Promise<void> {
  const { modes } = conversations;
  if (modes === undefined) {
    throw new Problem("A mode is chosen for a session. Open one first; what new ones begin with is permission.mode in pillion's own configuration.");
  }
  const items = modes.availableModes.map(({ id, name, description }) => ({
    label: name,
    description: current(id === modes.currentModeId),
    detail: description,
    id,
  }));
  const picked = given === undefined ? await vscode.window.showQuickPick(items, { title: "Pillion: Select Mode" }) : { id: given };
  if (picked !== undefined) {
    await conversations.chooseMode(picked.id);
  }
}

export async function selectTrust(conversations: Conversations): Promise<void> {
  const option = offered(conversations, "trust", "A workspace is trusted where a session works. Open one first.");
  const items = option.options.map(({ name, value }) => ({ label: name, description: current(value === option.currentValue), value }));
  // Which workspace it is has to be seen: in a window with several folders it is the session's.
  const title = `Pillion: Trust of ${exactLine(conversations.currentCwd ?? "")}`;
  const picked = await vscode.window.showQuickPick(items, { title, placeHolder: option.description });
  if (picked !== undefined) {
    await conversations.configure("trust", picked.value);
  }
}

function offered({ configOptions }: Conversations, id: string, otherwise: string): ConfigOption {
  const option = configOptions.find((option) => option.id === id);
  if (option === undefined) {
    throw new Problem(otherwise);
  }
  return option;
}

function current(isCurrent: boolean): string {
  return isCurrent ? "current" : "";
}
