// The status-bar item and the context keys that menus and keybindings look at.

import * as vscode from "vscode";
import type { Sidecar } from "./client.ts";
import type { Conversations } from "./conversations.ts";

interface Look {
  text: string;
  tooltip: string;
  command: string;
  background?: string;
}

export class Status implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("pillion", vscode.StatusBarAlignment.Right, 100);
  private readonly subscriptions: vscode.Disposable[];
  private readonly sidecar: Sidecar;
  private readonly conversations: Conversations;

  constructor(sidecar: Sidecar, conversations: Conversations) {
    this.sidecar = sidecar;
    this.conversations = conversations;
    this.item.name = "Pillion";
    this.subscriptions = [
      this.item,
      sidecar.onDidChangeState(() => this.update()),
      conversations.onDidSwitch(() => this.update()),
      conversations.onDidHappen(({ event }) => event.type !== "updated" && this.update()),
    ];
    this.update();
    this.item.show();
  }

  get text(): string {
    return this.item.text;
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }

  private update(): void {
    const { current } = this.conversations;
    const working = current !== undefined && this.conversations.isWorking(current.sessionId);
    const { text, tooltip, command, background } = this.look();
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.command = command;
    this.item.backgroundColor = background === undefined ? undefined : new vscode.ThemeColor(background);
    this.item.accessibilityInformation = { label: tooltip, role: "button" };
    void vscode.commands.executeCommand("setContext", "pillion.working", working);
    void vscode.commands.executeCommand("setContext", "pillion.hasSession", current !== undefined);
    void vscode.commands.executeCommand("setContext", "pillion.state", this.sidecar.state.kind);
  }

  private look(): Look {
    const { state } = this.sidecar;
    if (this.conversations.openQuestions > 0) {
      const background = "statusBarItem.warningBackground";
      return { text: "$(shield) Pillion", tooltip: "Pillion needs a permission. Click to see for what", command: "pillion.prompt", background };
    }
    if (this.conversations.anyWorking) {
      return { text: "$(loading~spin) Pillion", tooltip: "Pillion is working. Click to watch, or to stop it", command: "pillion.prompt" };
    }
    switch (state.kind) {
      case "running":
        return { text: "$(comment-discussion) Pillion", tooltip: `Pillion ${state.version} is idle. Click to write a prompt`, command: "pillion.prompt" };
      case "starting":
        return { text: "$(loading~spin) Pillion", tooltip: "Pillion is starting", command: "pillion.showLog" };
      case "stopped":
        return { text: "$(circle-slash) Pillion", tooltip: "Pillion is not running. Click to start it", command: "pillion.restart" };
      case "failed":
        return { text: "$(error) Pillion", tooltip: `${state.message} Click for its health`, command: "pillion.health", background: "statusBarItem.errorBackground" };
    }
  }
}
