// The chat view: the extension's end of the page. Sends it what happened, in batches; does what it asks for.
//
// Invariant: the page holds nothing that cannot be posted anew but the user's draft, which it keeps itself. It runs one
// script with a nonce, and loads nothing but this extension's own style sheet and font.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { joined } from "./batch.ts";
import type { Sidecar } from "./client.ts";
import type { Attach } from "./context.ts";
import type { Conversations } from "./conversations.ts";
import type { SessionEvent, ToolItem } from "./session.ts";
import { PAGE_COMMANDS, type FromPage, type Offer, type Readiness, type ToPage } from "./webview/messages.ts";

export const CHAT_VIEW = "pillion.chat";

/** Updates of this time travel together: a page that draws 60 frames a second needs no more. */
const BATCH_MS = 16;

/** What the view needs of the rest of the extension. */
export interface ChatHost {
  prompt(text: string, attach: Attach): Promise<void>;
  stop(): Promise<void>;
  offer(): Offer;
  attach(): Attach;
  openFile(path: string, line: number | undefined): Promise<void>;
  openDiff(tool: ToolItem): Promise<void>;
  /** The view became visible. */
  shown(): void;
  /** Something that the page asked for failed. */
  failed(error: unknown): void;
}

export class ChatView implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly subscriptions: vscode.Disposable[];
  private view: vscode.WebviewView | undefined;
  private isLoaded = false;
  private wantsFocus = false;
  private batch: SessionEvent[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly extensionUri: vscode.Uri;
  private readonly sidecar: Sidecar;
  private readonly conversations: Conversations;
  private readonly host: ChatHost;

  constructor(extensionUri: vscode.Uri, sidecar: Sidecar, conversations: Conversations, host: ChatHost) {
    this.extensionUri = extensionUri;
    this.sidecar = sidecar;
    this.conversations = conversations;
    this.host = host;
    this.subscriptions = [
      conversations.onDidHappen(({ sessionId, event }) => this.happened(sessionId, event)),
      conversations.onDidSwitch(() => this.show()),
      sidecar.onDidChangeState(() => this.post({ type: "readiness", readiness: this.readiness() })),
    ];
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.isLoaded = false;
    const dist = vscode.Uri.joinPath(this.extensionUri, "dist");
    view.webview.options = { enableScripts: true, localResourceRoots: [dist], enableCommandUris: false };
    view.webview.onDidReceiveMessage((message: FromPage) => void this.received(message).catch((error: unknown) => this.host.failed(error)));
    view.onDidChangeVisibility(() => this.visibility());
    view.onDidDispose(() => {
      this.view = undefined;
      this.isLoaded = false;
    });
    view.webview.html = page(view.webview, dist);
    this.visibility();
  }

  get isVisible(): boolean {
    return this.view?.visible ?? false;
  }

  /** Brings the chat into view with the cursor in its composer. */
  async focus(): Promise<void> {
    this.wantsFocus = true;
    await vscode.commands.executeCommand(`${CHAT_VIEW}.focus`);
    this.giveFocus();
  }

  /** The number on the view's icon. */
  badge(questions: number): void {
    if (this.view !== undefined) {
      this.view.badge = questions === 0 ? undefined : { value: questions, tooltip: "Pillion waits for a permission" };
    }
  }

  offer(): void {
    this.post({ type: "offer", offer: this.host.offer() });
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }

  private visibility(): void {
    if (this.isVisible) {
      this.host.shown();
    }
  }

  private async received(message: FromPage): Promise<void> {
    switch (message.type) {
      case "loaded":
        this.isLoaded = true;
        this.show();
        return this.giveFocus();
      case "prompt":
        try {
          await this.host.prompt(message.text, message.attach);
          this.post({ type: "accepted" });
        } catch (error) {
          this.post({ type: "refused", message: error instanceof Error ? error.message : String(error) });
        }
        return;
      case "stop":
        return this.host.stop();
      case "decide":
        return this.conversations.decide(message.key, message.decision);
      case "openFile":
        return this.host.openFile(message.path, message.line);
      case "openDiff": {
        const items = this.conversations.current?.turns.flatMap((turn) => turn.items) ?? [];
        const tool = items.findLast((item) => item.type === "tool" && item.toolCallId === message.toolCallId);
        return tool?.type === "tool" ? this.host.openDiff(tool) : undefined;
      }
      case "command":
        if (PAGE_COMMANDS.includes(message.command)) {
          await vscode.commands.executeCommand(`pillion.${message.command}`);
        }
    }
  }

  /** Posts everything; what was waiting is in it. */
  private show(): void {
    this.batch = [];
    const { current: conversation, mode } = this.conversations;
    this.post({ type: "show", conversation, readiness: this.readiness(), mode, offer: this.host.offer(), attach: this.host.attach() });
  }

  private happened(sessionId: string, event: SessionEvent): void {
    if (!this.isLoaded || sessionId !== this.conversations.current?.sessionId) {
      return;
    }
    this.batch.push(event);
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  private flush(): void {
    this.timer = undefined;
    if (this.batch.length > 0) {
      this.post({ type: "happened", events: joined(this.batch) });
      this.batch = [];
    }
  }

  private giveFocus(): void {
    if (this.wantsFocus && this.isLoaded) {
      this.wantsFocus = false;
      this.post({ type: "focus" });
    }
  }

  private readiness(): Readiness {
    const { state } = this.sidecar;
    return state.kind === "running" ? { kind: "ready" } : state;
  }

  private post(message: ToPage): void {
    if (this.isLoaded) {
      void this.view?.webview.postMessage(message);
    }
  }
}

function page(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomBytes(16).toString("base64");
  const uri = (file: string): string => webview.asWebviewUri(vscode.Uri.joinPath(dist, file)).toString();
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource}; font-src ${webview.cspSource}; img-src data:`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${uri("chat.css")}">
<title>Pillion</title>
</head>
<body>
<script nonce="${nonce}" src="${uri("chat.js")}"></script>
</body>
</html>`;
}
