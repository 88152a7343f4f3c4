// Read-only documents that no file stands behind: reports, and the two sides of a change that a tool shows.

import * as vscode from "vscode";
import type { ToolItem } from "./session.ts";

const SCHEME = "pillion";

export class Documents implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly texts = new Map<string, string>();
  private readonly subscriptions: vscode.Disposable[];

  constructor() {
    this.subscriptions = [
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => uri.scheme === SCHEME && this.texts.delete(uri.toString())),
    ];
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Shows a text under a name; a document of that name which is open gets the new text. */
  async show(name: string, text: string): Promise<void> {
    const document = await vscode.workspace.openTextDocument(this.put(name, text));
    await vscode.window.showTextDocument(document, { preview: false });
  }

  /** Shows what a tool call changes, or would change, in the editor's own diff. */
  async showDiff(tool: ToolItem): Promise<void> {
    for (const change of tool.content ?? []) {
      if (change.type === "diff") {
        const name = change.path.slice(change.path.lastIndexOf("/") + 1);
        const before = this.put(`${tool.toolCallId}/before/${name}`, change.oldText ?? "");
        const after = this.put(`${tool.toolCallId}/after/${name}`, change.newText);
        await vscode.commands.executeCommand("vscode.diff", before, after, `${name} (Pillion)`, { preview: true });
      }
    }
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
    this.changed.dispose();
  }

  private put(name: string, text: string): vscode.Uri {
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${name}` });
    this.texts.set(uri.toString(), text);
    this.changed.fire(uri);
    return uri;
  }
}
