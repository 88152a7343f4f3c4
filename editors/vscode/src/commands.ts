// The commands. A failure is a notification that says what to do; it never ends in an unhandled rejection.

import { randomBytes } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { Problem } from "./binary.ts";
import { selectMode, selectModel, selectTrust } from "./choices.ts";
import { answeredError, type Sidecar } from "./client.ts";
import type { Attach } from "./context.ts";
import type { Conversations, StopSource } from "./conversations.ts";
import type { Documents } from "./documents.ts";
import { pickDirectory } from "./folders.ts";
import { explainSession, healthReport } from "./health.ts";
import type { Keys } from "./keys.ts";
import type { Mode, SessionEntry } from "./protocol.ts";
import type { SessionNode, SessionTree } from "./sessions.ts";
import type { ChatView } from "./view.ts";

/** The parts that commands act on. */
export interface Parts {
  context: vscode.ExtensionContext;
  log: vscode.LogOutputChannel;
  sidecar: Sidecar;
  conversations: Conversations;
  chat: ChatView;
  tree: SessionTree;
  documents: Documents;
  keys: Keys;
  prompt(text: string, attach?: Attach): Promise<void>;
}

/** What `pillion.prompt` takes from a keybinding or another extension; without a text it only shows the chat. */
interface PromptArguments {
  text?: string;
  attach?: Attach;
}

/** What `pillion.exportSession` takes: a session of the list, or where to write. */
type ExportArguments = SessionEntry | { file?: vscode.Uri };

export function registerCommands(parts: Parts): vscode.Disposable[] {
  const { context, log, sidecar, conversations, chat, tree, documents, keys } = parts;
  const commands: Record<string, (...given: never[]) => unknown> = {
    prompt: async ({ text, attach }: PromptArguments = {}) => (text === undefined ? chat.focus() : parts.prompt(text, attach)),
    newSession: async () => {
      await conversations.create(await pickDirectory());
      await chat.focus();
    },
    openSession: async ({ sessionId, cwd }: SessionEntry) => {
      await conversations.load(sessionId, cwd);
      await chat.focus();
    },
    deleteSession: (session: SessionEntry) => deleteSession(parts, session),
    refreshSessions: () => tree.refresh(),
    moreSessions: (node: SessionNode) => "cursor" in node && tree.more(node),
    stop: async ({ source }: { source?: StopSource } = {}) => {
      if ((await conversations.stop(source ?? "vscode.command")) === undefined) {
        void vscode.window.showInformationMessage("Pillion is not working on anything in this session.");
      }
    },
    exportSession: (given?: ExportArguments) => exportSession(parts, given),
    explainLastStop: async (session?: SessionEntry) => {
      const sessionId = session?.sessionId ?? conversations.current?.sessionId ?? conversations.last?.sessionId;
      if (sessionId === undefined) {
        throw new Problem("There is no session to explain. Open one from the list first.");
      }
      await documents.show(`Explain ${sessionId}`, await explainSession(sidecar, sessionId));
    },
    showLog: () => log.show(),
    health: async () => {
      const version = (context.extension.packageJSON as { version: string }).version;
      await documents.show("Pillion Health", await healthReport(sidecar, version, (await keys.get()) !== undefined));
    },
    setApiKey: async () => {
      if (await keys.ask()) {
        await offerRestart(parts, "The key is stored.");
      }
    },
    clearApiKey: async () => {
      await keys.clear();
      await offerRestart(parts, "The key is removed from the editor's secret storage.");
    },
    restart: () => sidecar.restart(),
    selectModel: () => selectModel(conversations),
    selectMode: ({ mode }: { mode?: Mode } = {}) => selectMode(conversations, mode),
    selectTrust: () => selectTrust(conversations),
    openSettings: () => vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${context.extension.id}`),
  };
  return Object.entries(commands).map(([name, run]) =>
    vscode.commands.registerCommand(`pillion.${name}`, async (...given: never[]) => {
      try {
        await run(...given);
      } catch (error) {
        tellFailure(parts, error);
      }
    }),
  );
}

/** Tells a failure, with the steps that mend most of them. */
export function tellFailure({ log, sidecar }: Pick<Parts, "log" | "sidecar">, error: unknown): void {
  const { message } = answeredError(error);
  log.error(message);
  // A sidecar that is not there is a matter of settings; anything else is in the log.
  const actions = sidecar.state.kind === "failed" ? ["Open Settings", "Health"] : ["Show Log"];
  const commands: Record<string, string> = { "Open Settings": "pillion.openSettings", Health: "pillion.health", "Show Log": "pillion.showLog" };
  void vscode.window.showErrorMessage(message, ...actions).then((action) => {
    if (action !== undefined) {
      void vscode.commands.executeCommand(commands[action]!);
    }
  });
}

/** The new environment reaches only a new process: at once if nobody waits for the old one, else when the user says so. */
export async function offerRestart({ sidecar, conversations }: Pick<Parts, "sidecar" | "conversations">, what: string): Promise<void> {
  if (sidecar.state.kind === "stopped") {
    return;
  }
  if (!conversations.anyWorking) {
    return sidecar.restart();
  }
  const action = await vscode.window.showInformationMessage(`${what} It counts from the next start; a restart stops the running turn.`, "Restart");
  if (action !== undefined) {
    await sidecar.restart();
  }
}

async function deleteSession({ conversations, tree }: Parts, { sessionId, title }: SessionEntry): Promise<void> {
  const detail = "Its conversation and its records are gone for good.";
  const question = `Delete the session "${title ?? sessionId}"?`;
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, "Delete")) === "Delete") {
    await conversations.delete(sessionId);
    tree.refresh();
  }
}

async function exportSession({ sidecar, conversations }: Parts, given: ExportArguments = {}): Promise<void> {
  const sessionId = "sessionId" in given ? given.sessionId : conversations.current?.sessionId;
  if (sessionId === undefined) {
    throw new Problem("There is no session to export. Open one from the list first.");
  }
  const proposal = vscode.Uri.file(path.join(homedir(), `pillion-${sessionId}.json`));
  const chosen = "file" in given ? given.file : undefined;
  const file = chosen ?? (await vscode.window.showSaveDialog({ title: "Export Session", defaultUri: proposal, filters: { JSON: ["json"] } }));
  if (file === undefined) {
    return;
  }
  if (file.scheme !== "file") {
    throw new Problem("A session is exported to a file on the machine that pillion runs on; choose one there.");
  }
  // pillion writes over nothing. That an older file may go was answered in the dialog.
  const fresh = `${file.fsPath}.${randomBytes(6).toString("hex")}`;
  await sidecar.request("session/export", { sessionId, path: fresh });
  await rename(fresh, file.fsPath).catch(async (error: unknown) => {
    await rm(fresh, { force: true });
    throw error;
  });
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(file), { preview: false });
}
