// The editor that a prompt is about, read for `context`.

import * as vscode from "vscode";
import { uriLabel, type EditorSnapshot } from "./context.ts";

/** The text editor that was active last: it stays the subject while the focus is in the chat. */
export class Editors implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private readonly subscriptions: vscode.Disposable[];
  private last: vscode.TextEditor | undefined;

  constructor() {
    this.take(vscode.window.activeTextEditor);
    this.subscriptions = [
      this.changed,
      vscode.window.onDidChangeActiveTextEditor((editor) => this.take(editor)),
      vscode.window.onDidChangeVisibleTextEditors(() => this.take(vscode.window.activeTextEditor)),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => textEditor === this.last && this.changed.fire()),
    ];
  }

  snapshot(): EditorSnapshot | undefined {
    const editor = this.last;
    if (editor === undefined) {
      return undefined;
    }
    const { document, selection } = editor;
    const snapshot = { uri: document.uri.toString(), name: vscode.workspace.asRelativePath(document.uri) };
    if (selection.isEmpty) {
      return snapshot;
    }
    // A selection that ends at the start of a line does not reach into it.
    const endLine = selection.end.character === 0 ? selection.end.line : selection.end.line + 1;
    return { ...snapshot, selection: { startLine: selection.start.line + 1, endLine, text: document.getText(selection) } };
  }

  offer(): { selection: string | undefined; file: string | undefined } {
    const snapshot = this.snapshot();
    const { startLine, endLine } = snapshot?.selection ?? {};
    return {
      selection: startLine === undefined ? undefined : uriLabel(`${snapshot!.uri}#L${startLine}-L${endLine}`),
      file: snapshot === undefined ? undefined : uriLabel(snapshot.uri),
    };
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }

  private take(editor: vscode.TextEditor | undefined): void {
    if (editor?.document.uri.scheme === "file") {
      this.last = editor;
    } else if (this.last !== undefined && !vscode.window.visibleTextEditors.includes(this.last)) {
      this.last = undefined;
    }
    this.changed.fire();
  }
}
