// The sidecar's process and the language client that speaks to it: start, stop, restart, requests.
//
// Invariants: at most one process. One that ends unasked is told at once and started anew, but not over and over. When
// `stop` resolves the process is gone. The key is read from the secret storage right before a start, goes into the
// child's environment, and is kept nowhere else.

import { spawn, type ChildProcessByStdio } from "node:child_process";
import { homedir } from "node:os";
import type { Readable, Writable } from "node:stream";
import * as vscode from "vscode";
import { CloseAction, ErrorAction, LanguageClient, ResponseError, type ApplyWorkspaceEditResult } from "vscode-languageclient/node";
import { exitSentence, findBinary, mismatch, Problem, type Hello } from "./binary.ts";
import { childEnvironment, flags, type Settings } from "./config.ts";
import { applyAndSave } from "./edits.ts";
import type {
  CancelParams,
  CancelResult,
  ConfigResult,
  ExportParams,
  ExportResult,
  ListSessionsParams,
  ListSessionsResult,
  NewSessionParams,
  NewSessionResult,
  OpenSessionParams,
  OpenSessionResult,
  PermissionParams,
  PermissionResult,
  PromptParams,
  PromptResult,
  SessionParams,
  SetConfigOptionParams,
  SetModeParams,
  UpdateParams,
} from "./protocol.ts";

export type SidecarState =
  | { kind: "stopped" }
  | { kind: "starting" }
  | { kind: "running"; path: string; version: string }
  | { kind: "failed"; message: string };

/** What is sent, and what comes back. */
export interface Methods {
  "session/new": [NewSessionParams, NewSessionResult];
  "session/load": [OpenSessionParams, OpenSessionResult];
  "session/list": [ListSessionsParams, ListSessionsResult];
  "session/delete": [SessionParams, object];
  "session/prompt": [PromptParams, PromptResult];
  "session/cancel": [CancelParams, CancelResult];
  "session/export": [ExportParams, ExportResult];
  "session/set_config_option": [SetConfigOptionParams, ConfigResult];
  "session/set_mode": [SetModeParams, object];
}

/** What the sidecar says of itself. */
export interface SidecarEvents {
  updated(params: UpdateParams): void;
  asked(params: PermissionParams, token: vscode.CancellationToken): Promise<PermissionResult>;
  /** The process was asked to end, or is gone: what is asked from now on is asked of the next one. */
  leaving(): void;
  /** The process is gone; `sentence` says why. */
  ended(sentence: string): void;
}

/** Nobody takes an edit back while it is made. */
const NO_TOKEN = new vscode.CancellationTokenSource().token;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

interface Run {
  client: LanguageClient;
  child: Child;
  /** Resolves when the process is gone. */
  gone: Promise<void>;
}

/** How long a program may take to answer `initialize`. */
const START_MS = 20_000;

/** How long after its connection a process may end that took it along. */
const SHADOW_MS = 1_000;

/** How long the process may take to leave by itself; its own promise is two seconds. */
const LEAVE_MS = 3_000;

/** This many ends within this time, and it is not started again by itself. */
const CRASHES = { most: 3, withinMs: 180_000 };

/** The most of stderr that is told when a start fails. */
const STDERR_CHARS = 2_000;

export class Sidecar implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<SidecarState>();
  readonly onDidChangeState = this.changed.event;
  private current: SidecarState = { kind: "stopped" };
  private run: Run | undefined;
  private starting: Promise<Run> | undefined;
  private stopping: Promise<void> | undefined;
  private crashes: number[] = [];
  private isClosed = false;
  private readonly log: vscode.LogOutputChannel;
  private readonly settings: () => Settings;
  private readonly key: () => Thenable<string | undefined>;
  private readonly events: SidecarEvents;

  constructor(log: vscode.LogOutputChannel, settings: () => Settings, key: () => Thenable<string | undefined>, events: SidecarEvents) {
    this.log = log;
    this.settings = settings;
    this.key = key;
    this.events = events;
  }

  get state(): SidecarState {
    return this.current;
  }

  /** Starts the sidecar unless it runs. A failure is in the state as well, with what to do about it. */
  async start(): Promise<void> {
    await this.running();
  }

  /** Sends a request, starting the sidecar if need be. */
  async request<Method extends keyof Methods>(method: Method, params: Methods[Method][0]): Promise<Methods[Method][1]> {
    const { client } = await this.running();
    return client.sendRequest(method, params);
  }

  /** Resolves when no process is left. */
  async stop(): Promise<void> {
    this.stopping ??= this.end().finally(() => (this.stopping = undefined));
    return this.stopping;
  }

  /** Stops it for good: the window goes. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    this.crashes = [];
    await this.start();
  }

  /** The program with this extension's settings, for a command of its own such as `doctor`. */
  async program(): Promise<{ file: string; flags: string[]; env: NodeJS.ProcessEnv }> {
    const settings = this.settings();
    const file = await findBinary(settings.path, process.env, homedir());
    return { file, flags: flags(settings), env: childEnvironment(process.env, await this.key()) };
  }

  dispose(): void {
    this.changed.dispose();
  }

  private async running(): Promise<Run> {
    await this.stopping;
    if (this.run !== undefined) {
      return this.run;
    }
    this.starting ??= this.launch().finally(() => (this.starting = undefined));
    return this.starting;
  }

  private async launch(): Promise<Run> {
    if (this.isClosed) {
      throw new Problem("The window is closing, so pillion is not started.");
    }
    this.become({ kind: "starting" });
    try {
      const program = await this.program();
      const child = await spawned(program.file, program.flags, program.env);
      const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      const client = this.clientOf(child);
      const run: Run = { client, child, gone };
      try {
        await this.greet(run, program.file);
      } catch (error) {
        await this.discard(run);
        throw error;
      }
      this.run = run;
      void gone.then(() => this.left(run));
      const hello = client.initializeResult as Hello;
      const version = hello.serverInfo?.version ?? "";
      this.log.info(`started ${program.file} ${version}, process ${child.pid}`);
      this.become({ kind: "running", path: program.file, version });
      return run;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.log.error(message);
      this.become({ kind: "failed", message });
      throw error;
    }
  }

  /** Waits for the answer to `initialize`, or says why there is none that can be used. */
  private async greet(run: Run, file: string): Promise<void> {
    let said = "";
    run.child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-STDERR_CHARS)));
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      const problem = `${file} did not answer within ${START_MS / 1000} s. Is it a pillion? The setting pillion.path can name another program.`;
      timer = setTimeout(() => reject(new Problem(problem)), START_MS);
    });
    const end = run.gone.then(() => {
      const words = said.trim() === "" ? "" : ` It said: ${said.trim()}`;
      throw new Problem(`${file} ended before it answered. ${exitSentence(run.child.exitCode, run.child.signalCode)}${words}`);
    });
    // A client whose connection closes while it starts may count as started, without an answer.
    const answer = run.client.start().then(() => {
      if (run.client.initializeResult === undefined) {
        throw new Error(`${file} closed its output before it answered.`);
      }
    });
    try {
      await Promise.race([answer, silence, end]);
    } catch (error) {
      // A closed connection is the shadow of an ended process, whose own words say more.
      if (!(error instanceof Problem) && (await within(run.gone, SHADOW_MS))) {
        await end;
      }
      throw error;
    } finally {
      clearTimeout(timer);
      end.catch(() => {});
      answer.catch(() => {});
    }
    const problem = mismatch(file, run.client.initializeResult as Hello);
    if (problem !== undefined) {
      throw problem;
    }
  }

  private clientOf(child: Child): LanguageClient {
    const client: LanguageClient = new QuietClient("pillion", "Pillion", async () => child, {
      // What is open in the editor is what pillion's tools read, saved or not.
      documentSelector: [{ scheme: "file" }],
      outputChannel: this.log,
      // Whether and when to start again is decided in `left`.
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          // Who cannot be spoken to any more is to leave.
          child.stdin.end();
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      initializationFailedHandler: () => false,
      middleware: {
        workspace: {
          handleApplyEdit: (params, next) =>
            applyAndSave(params, async () => (await next(params, NO_TOKEN)) as ApplyWorkspaceEditResult, {
              find: (uri) => vscode.workspace.textDocuments.find((document) => document.uri.toString() === vscode.Uri.parse(uri).toString()),
              // The client gathers changes for a moment; before any other notification it sends them.
              tell: () => client.sendNotification("workspace/didChangeConfiguration", { settings: null }),
              saves: () => this.settings().saveEdits,
              failed: (document, why) => this.log.warn(`${document.uri.toString()} was changed and not saved: ${why}`),
            }),
        },
      },
    });
    client.onNotification("session/update", (params: UpdateParams) => this.events.updated(params));
    client.onRequest("session/request_permission", (params: PermissionParams, token: vscode.CancellationToken) =>
      this.events.asked(params, token),
    );
    return client;
  }

  private async end(): Promise<void> {
    await this.starting?.catch(() => {});
    const { run } = this;
    if (run === undefined) {
      return;
    }
    this.run = undefined;
    this.events.leaving();
    this.become({ kind: "stopped" });
    // The answers to the running prompts come before the end, so they are not lost.
    await this.discard(run);
    this.events.ended("pillion was stopped.");
  }

  /** Ends a process: politely, then by closing its stdin, then by signals. */
  private async discard({ client, child, gone }: Run): Promise<void> {
    await client.stop(LEAVE_MS).catch((error: unknown) => this.log.debug(`shutdown: ${String(error)}`));
    child.stdin.end();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      if (await within(gone, LEAVE_MS)) {
        break;
      }
      child.kill(signal);
    }
    await gone;
    await client.dispose().catch(() => {});
  }

  /** The process ended. If nobody asked for it, it is started again, unless that has happened too often. */
  private left(run: Run): void {
    if (this.run !== run) {
      return;
    }
    this.run = undefined;
    void run.client.dispose().catch(() => {});
    const sentence = exitSentence(run.child.exitCode, run.child.signalCode);
    this.log.error(`process ${run.child.pid}: ${sentence}`);
    this.events.leaving();
    this.events.ended(sentence);
    const now = Date.now();
    this.crashes = [...this.crashes.filter((at) => now - at < CRASHES.withinMs), now];
    if (this.crashes.length > CRASHES.most) {
      const message = `${sentence} It has ended ${this.crashes.length} times within ${CRASHES.withinMs / 60_000} minutes and is not started again by itself. See the log, then restart it.`;
      this.become({ kind: "failed", message });
    } else {
      this.running().catch(() => {});
    }
  }

  private become(state: SidecarState): void {
    this.current = state;
    this.changed.fire(state);
  }
}

/** Logs what goes wrong and leaves telling it to this extension, which knows what to do about it. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** The message and the data of an error answer. */
export function answeredError(error: unknown): { message: string; data?: unknown } {
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof ResponseError && error.data !== undefined ? { message, data: error.data } : { message };
}

function spawned(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<Child> {
  return new Promise((resolve, reject) => {
    // Not in the workspace: nothing in it may decide how the sidecar starts.
    const child = spawn(file, args, { cwd: homedir(), env, stdio: ["pipe", "pipe", "pipe"] });
    child.once("spawn", () => resolve(child));
    child.once("error", (error) => reject(new Problem(`${file} could not be started: ${error.message}`)));
    // Writing to a process that has just ended is told by its end.
    child.stdin.on("error", () => {});
  });
}

/** Whether `promise` resolves in time. */
async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  const result = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return result;
}
