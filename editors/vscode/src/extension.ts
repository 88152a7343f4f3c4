// Puts the parts together when the editor starts the extension, and takes them down with its window.
//
// Invariant: opening a window starts no process. One is started when the chat is looked at, when a command needs it, or
// when the last turn in this workspace was still running when its window went, so that its end can be told.

import * as vscode from "vscode";
import { Sidecar, type SidecarState } from "./client.ts";
import { offerRestart, registerCommands, tellFailure } from "./commands.ts";
import { LAUNCH, readSettings, SECTION, type Settings } from "./config.ts";
import { promptBlocks, type Attach } from "./context.ts";
import { Conversations } from "./conversations.ts";
import { Documents } from "./documents.ts";
import { Editors } from "./editors.ts";
import { pickDirectory } from "./folders.ts";
import { Keys } from "./keys.ts";
import { exactLine } from "./plain.ts";
import type { Turn } from "./session.ts";
import { SESSIONS_VIEW, SessionTree } from "./sessions.ts";
import { Status } from "./status.ts";
import { CHAT_VIEW, ChatView } from "./view.ts";

/** What `activate` hands out, for this extension's own tests. */
export interface Exports {
  sidecar: Sidecar;
  conversations: Conversations;
  status: Status;
}

let going: (() => Promise<void>) | undefined;

export function activate(context: vscode.ExtensionContext): Exports {
  const log = vscode.window.createOutputChannel("Pillion", { log: true });
  const keys = new Keys(context.secrets);
  const conversations: Conversations = new Conversations(context.workspaceState, () => sidecar);
  const sidecar: Sidecar = new Sidecar(log, settings, () => keys.get(), conversations);
  const documents = new Documents();
  const tree = new SessionTree(sidecar, conversations);
  const status = new Status(sidecar, conversations);
  const editors = new Editors();

  const prompt = async (text: string, attach: Attach = attachByDefault()): Promise<void> => {
    await ready();
    if (conversations.current === undefined) {
      await conversations.create(await pickDirectory());
    }
    const { ended } = await conversations.prompt(promptBlocks(text, attach, editors.snapshot()));
    ended.catch((error: unknown) => log.error(String(error)));
  };

  /** Starts the sidecar and opens what this workspace had open last. */
  let restoring: Promise<void> | undefined;
  const ready = (): Promise<void> =>
    (restoring ??= restore(sidecar, conversations, log).finally(() => {
      restoring = undefined;
    }));

  const chat = new ChatView(context.extensionUri, sidecar, conversations, {
    prompt,
    stop: async () => void (await conversations.stop("vscode.stopButton")),
    offer: () => editors.offer(),
    attach: attachByDefault,
    openFile,
    openDiff: (tool) => documents.showDiff(tool),
    shown: () => void ready().catch(() => {}),
    failed: (error) => tellFailure({ log, sidecar }, error),
  });

  context.subscriptions.push(
    log,
    conversations,
    sidecar,
    documents,
    tree,
    status,
    chat,
    editors,
    vscode.window.registerWebviewViewProvider(CHAT_VIEW, chat),
    vscode.window.registerTreeDataProvider(SESSIONS_VIEW, tree),
    ...registerCommands({ context, log, sidecar, conversations, chat, tree, documents, keys, prompt }),
    editors.onDidChange(() => chat.offer()),
    conversations.onDidFindStop((turn) => tellStop(turn)),
    conversations.onDidLoseTrust((session) => tellDistrust(session)),
    conversations.onDidHappen(({ event }) => {
      if (event.type === "asked" || event.type === "decided") {
        chat.badge(conversations.openQuestions);
      }
      if (event.type === "asked" && !chat.isVisible) {
        tellQuestion(event.params.toolCall.title);
      }
    }),
    sidecar.onDidChangeState((state) => startedAnew(state, conversations, log)),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (LAUNCH.some((key) => event.affectsConfiguration(`${SECTION}.${key}`))) {
        offerRestart({ sidecar, conversations }, "The settings of pillion changed.").catch((error: unknown) => log.error(String(error)));
      }
    }),
  );
  going = async () => {
    conversations.close();
    await sidecar.close();
  };
  if (conversations.last?.unfinished === true) {
    ready().catch(() => {});
  }
  return { sidecar, conversations, status };
}

/** The window closes or reloads: the process goes with it. */
export async function deactivate(): Promise<void> {
  await going?.();
}

async function restore(sidecar: Sidecar, conversations: Conversations, log: vscode.LogOutputChannel): Promise<void> {
  await sidecar.start();
  const { current, last } = conversations;
  if (current === undefined && last !== undefined) {
    // A session may have been deleted elsewhere; that must not keep the user from a new one.
    await conversations.load(last.sessionId, last.cwd).catch((error: unknown) => log.warn(`the last session: ${String(error)}`));
  }
}

/** A new process knows nothing of the session on the screen. */
function startedAnew(state: SidecarState, conversations: Conversations, log: vscode.LogOutputChannel): void {
  if (state.kind === "running") {
    conversations.reload().catch((error: unknown) => log.error(`the session could not be read again: ${String(error)}`));
  }
}

function tellStop({ sentence }: Turn): void {
  void vscode.window.showInformationMessage(`Pillion, about the last turn: ${exactLine(sentence ?? "")}`, "Show", "Explain").then((action) => {
    if (action !== undefined) {
      void vscode.commands.executeCommand(action === "Show" ? "pillion.prompt" : "pillion.explainLastStop");
    }
  });
}

function tellDistrust(session: { sessionId: string; cwd: string }): void {
  const sentence = `Pillion no longer trusts ${exactLine(session.cwd)}: its AGENTS.md or .pillion.toml has changed.`;
  void vscode.window.showWarningMessage(sentence, "Trust Workspace").then(async (action) => {
    if (action !== undefined) {
      // Another session, of another folder, may be shown by now.
      await vscode.commands.executeCommand("pillion.openSession", session);
      await vscode.commands.executeCommand("pillion.selectTrust");
    }
  });
}

function tellQuestion(title: string): void {
  void vscode.window.showInformationMessage(`Pillion asks for a permission: ${exactLine(title)}`, "Show").then((action) => {
    if (action !== undefined) {
      void vscode.commands.executeCommand("pillion.prompt");
    }
  });
}

async function openFile(path: string, line: number | undefined): Promise<void> {
  const position = new vscode.Position(Math.max(0, (line ?? 1) - 1), 0);
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(path));
  await vscode.window.showTextDocument(document, { selection: new vscode.Range(position, position) });
}

function settings(): Settings {
  const configuration = vscode.workspace.getConfiguration(SECTION);
  return readSettings((key) => configuration.get(key));
}

function attachByDefault(): Attach {
  const { "context.selection": selection, "context.file": file } = settings();
  return { selection, file };
}
