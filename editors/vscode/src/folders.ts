// The directory that a session works in.

import * as vscode from "vscode";
import { Problem } from "./binary.ts";

/** The only folder of the window, else the one that the user picks. */
export async function pickDirectory(): Promise<string> {
  const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
  const [only, ...others] = folders;
  if (only === undefined) {
    throw new Problem("A session works in a folder. Open a folder first.");
  }
  if (others.length === 0) {
    return only.uri.fsPath;
  }
  const active = vscode.window.activeTextEditor?.document.uri;
  const near = active === undefined ? undefined : vscode.workspace.getWorkspaceFolder(active);
  const ordered = [...folders.filter((folder) => folder === near), ...folders.filter((folder) => folder !== near)];
  const items = ordered.map((folder) => ({ label: folder.name, description: folder.uri.fsPath }));
  const picked = await vscode.window.showQuickPick(items, { title: "Pillion: New Session", placeHolder: "The folder that the session works in" });
  if (picked === undefined) {
    throw new Problem("No folder was chosen, so no session was started.");
  }
  return picked.description;
}
