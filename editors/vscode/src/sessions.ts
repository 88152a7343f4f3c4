// The session list: the sessions of this window's folders, newest first.

import * as vscode from "vscode";
import { age } from "./age.ts";
import type { Sidecar } from "./client.ts";
import type { Conversations } from "./conversations.ts";
import { exactLine } from "./plain.ts";
import type { ListSessionsResult, SessionEntry } from "./protocol.ts";

export const SESSIONS_VIEW = "pillion.sessions";

/** Stands for the sessions behind those that were fetched. */
interface More {
  cwd: string;
  cursor: string;
}

export type SessionNode = SessionEntry | More;

export class SessionTree implements vscode.TreeDataProvider<SessionNode>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly subscriptions: vscode.Disposable[];
  /** How far the list of each folder was asked for: its pages so far. */
  private readonly pages = new Map<string, number>();
  private readonly sidecar: Sidecar;
  private readonly conversations: Conversations;

  constructor(sidecar: Sidecar, conversations: Conversations) {
    this.sidecar = sidecar;
    this.conversations = conversations;
    this.subscriptions = [
      sidecar.onDidChangeState(() => this.refresh()),
      conversations.onDidSwitch(() => this.refresh()),
      conversations.onDidHappen(({ event }) => {
        // A turn begins or ends, or the session gets its title; the words in between change nothing here.
        if (event.type !== "updated" || event.params.update.sessionUpdate === "session_info_update") {
          this.refresh();
        }
      }),
    ];
  }

  refresh(): void {
    this.changed.fire();
  }

  /** Fetches one page more of a folder's sessions. */
  more({ cwd }: More): void {
    this.pages.set(cwd, (this.pages.get(cwd) ?? 1) + 1);
    this.refresh();
  }

  async getChildren(node?: SessionNode): Promise<SessionNode[]> {
    if (node !== undefined || this.sidecar.state.kind !== "running") {
      return [];
    }
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
    const lists = await Promise.all(folders.map(({ uri }) => this.list(uri.fsPath)));
    const isMore = (node: SessionNode): node is More => "cursor" in node;
    const nodes = lists.flat();
    const entries = nodes.filter((node): node is SessionEntry => !isMore(node)).sort((a, b) => b.updatedAt.localeCompare(a.updatedAt));
    return [...entries, ...nodes.filter(isMore)];
  }

  getTreeItem(node: SessionNode): vscode.TreeItem {
    if ("cursor" in node) {
      const item = new vscode.TreeItem("Show more sessions");
      item.command = { command: "pillion.moreSessions", title: "Show More", arguments: [node] };
      return item;
    }
    const { sessionId, cwd, title, updatedAt } = node;
    const isShown = this.conversations.current?.sessionId === sessionId;
    const item = new vscode.TreeItem(title === undefined ? "Untitled session" : exactLine(title));
    const folders = vscode.workspace.workspaceFolders ?? [];
    const folder = folders.length > 1 ? folders.find(({ uri }) => uri.fsPath === cwd)?.name : undefined;
    item.id = sessionId;
    item.description = [folder, age(updatedAt, Date.now())].filter((part) => part !== undefined).join(" · ");
    item.tooltip = `${sessionId}\n${exactLine(cwd)}\n${updatedAt}`;
    item.contextValue = "session";
    const image = this.conversations.isWorking(sessionId) ? "loading~spin" : isShown ? "comment-discussion" : "comment";
    item.iconPath = new vscode.ThemeIcon(image);
    item.command = { command: "pillion.openSession", title: "Open Session", arguments: [node] };
    return item;
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
    this.changed.dispose();
  }

  private async list(cwd: string): Promise<SessionNode[]> {
    const nodes: SessionNode[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < (this.pages.get(cwd) ?? 1); page++) {
      const list: ListSessionsResult = await this.sidecar.request("session/list", { cwd, ...(cursor === undefined ? {} : { cursor }) });
      nodes.push(...list.sessions);
      cursor = list.nextCursor;
      if (cursor === undefined) {
        return nodes;
      }
    }
    return cursor === undefined ? nodes : [...nodes, { cwd, cursor }];
  }
}
