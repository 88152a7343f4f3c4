// The conversations that this window has open: prompts and cancels go out, updates and answers come in as events of the
// reducer. It also remembers, for this workspace, which session was last and whether its turn still ran.
//
// Invariant: every change of a conversation is one event, told to whoever watches after it was reduced.

import * as vscode from "vscode";
import { answeredError, type Sidecar, type SidecarEvents } from "./client.ts";
import { Questions } from "./permission.ts";
import type {
  CancelResult,
  ConfigOption,
  ContentBlock,
  Mode,
  PermissionChoice,
  PermissionParams,
  PermissionResult,
  SessionMode,
  SessionModes,
  UpdateParams,
} from "./protocol.ts";
import { emptyConversation, reduce, type Conversation, type PromptError, type SessionEvent, type Turn } from "./session.ts";

/** Who pressed Stop: the `source` of the cancel, which its record keeps. */
export type StopSource = "vscode.stopButton" | "vscode.command" | "vscode.keybinding";

/** What a workspace remembers across windows. */
interface Memory {
  sessionId: string;
  cwd: string;
  /** Its last turn had not ended when this window last looked. */
  unfinished: boolean;
}

const MEMORY = "pillion.lastSession";

/** How often a turn of a window that went is looked for anew, and after what time each. */
const LOOKS = 10;
const LOOK_AGAIN_MS = 500;

/** jsonrpc: the connection ended before the answer came. The end of the sidecar tells the rest. */
const CONNECTION_GONE = [-32096, -32097, -32098, -32099];

interface Open {
  conversation: Conversation;
  cwd: string;
  configOptions: ConfigOption[];
  /** Absent: no process has been asked yet. */
  modes?: SessionModes;
  /** The process that has the session open once `opened` resolves. Absent: no process has been asked yet. */
  live?: { process: number; opened: Promise<void> };
}

function trustOf(options: ConfigOption[]): string | undefined {
  return options.find(({ id }) => id === "trust")?.currentValue;
}

export class Conversations implements SidecarEvents, vscode.Disposable {
  private readonly happened = new vscode.EventEmitter<{ sessionId: string; event: SessionEvent }>();
  /** After every event of any conversation. */
  readonly onDidHappen = this.happened.event;
  private readonly switched = new vscode.EventEmitter<void>();
  /** Another conversation is shown, the shown one was read anew, or its mode is another. */
  readonly onDidSwitch = this.switched.event;
  private readonly stopped = new vscode.EventEmitter<Turn>();
  /** A session was loaded whose last turn was stopped while no window could tell it. */
  readonly onDidFindStop = this.stopped.event;

  private readonly distrusted = new vscode.EventEmitter<{ sessionId: string; cwd: string }>();
  /** The trust in a session's workspace has ended: what the trust was given to has changed. */
  readonly onDidLoseTrust = this.distrusted.event;

  /** Counts the processes: what an older one said of a session holds no more for the next one. */
  private process = 0;
  private readonly open = new Map<string, Open>();
  /** Sessions that are being opened. */
  private readonly opening = new Map<string, Open>();
  /** Sessions whose history is just being replayed. */
  private readonly replaying = new Map<string, { conversation: Conversation }>();
  /** The modes that were chosen here: they are not stored, so that each new process is told. */
  private readonly chosenModes = new Map<string, Mode>();
  private readonly questions = new Questions();
  private shown: string | undefined;
  private prompts = 0;
  private closing = false;
  private readonly memory: vscode.Memento;
  private readonly sidecar: () => Sidecar;

  constructor(memory: vscode.Memento, sidecar: () => Sidecar) {
    this.memory = memory;
    this.sidecar = sidecar;
  }

  get current(): Conversation | undefined {
    return this.shownEntry?.conversation;
  }

  get currentCwd(): string | undefined {
    return this.shownEntry?.cwd;
  }

  get configOptions(): ConfigOption[] {
    return this.shownEntry?.configOptions ?? [];
  }

  get modes(): SessionModes | undefined {
    return this.shownEntry?.modes;
  }

  /** The mode of the shown session. */
  get mode(): SessionMode | undefined {
    return this.modes?.availableModes.find(({ id }) => id === this.modes?.currentModeId);
  }

  /** The session that this workspace had open last, in this window or an earlier one. */
  get last(): { sessionId: string; cwd: string; unfinished: boolean } | undefined {
    return this.memory.get<Memory>(MEMORY);
  }

  isWorking(sessionId: string): boolean {
    return this.open.get(sessionId)?.conversation.turns.some((turn) => turn.state === "running") ?? false;
  }

  get anyWorking(): boolean {
    return [...this.open.keys()].some((sessionId) => this.isWorking(sessionId));
  }

  get openQuestions(): number {
    return this.questions.open;
  }

  async create(cwd: string): Promise<void> {
    await this.sidecar().start();
    const { process } = this;
    const { sessionId, configOptions, modes } = await this.sidecar().request("session/new", { cwd });
    const live = { process, opened: Promise.resolve() };
    this.open.set(sessionId, { conversation: emptyConversation(sessionId), cwd, configOptions, modes, live });
    await this.show(sessionId, cwd);
  }

  /** Shows a session: as it stands if it is open already, else from its stored history. */
  async load(sessionId: string, cwd: string): Promise<void> {
    const fresh = { conversation: emptyConversation(sessionId), cwd, configOptions: [] };
    const entry = this.open.get(sessionId) ?? this.opening.get(sessionId) ?? fresh;
    this.opening.set(sessionId, entry);
    await this.live(entry).finally(() => this.opening.delete(sessionId));
    this.open.set(sessionId, entry);
    await this.show(sessionId, cwd);
    await this.tellStop();
  }

  /** Reads the shown session anew if the sidecar that has just started does not have it yet. */
  async reload(): Promise<void> {
    const entry = this.shownEntry;
    if (entry !== undefined && entry.live?.process !== this.process) {
      await this.live(entry);
      this.switched.fire();
      await this.tellStop();
    }
  }

  /** Sends a prompt to the shown session. Resolves when it is on its way; `ended` when its turn has ended. */
  async prompt(content: ContentBlock[]): Promise<{ ended: Promise<void> }> {
    await this.reload();
    await this.shownEntry?.live?.opened;
    const sessionId = this.shown;
    if (sessionId === undefined) {
      throw new Error("no session is open");
    }
    const key = `prompt-${++this.prompts}`;
    this.dispatch(sessionId, { type: "prompted", key, content });
    await this.remember(sessionId);
    return { ended: this.turn(sessionId, key, content) };
  }

  /** Stops the running turn of the shown session and every prompt that waits behind it. */
  async stop(source: StopSource): Promise<CancelResult | undefined> {
    const sessionId = this.shown;
    if (sessionId === undefined || !this.isWorking(sessionId)) {
      return undefined;
    }
    return this.sidecar().request("session/cancel", { sessionId, source, initiator: "user" });
  }

  decide(key: string, decision: PermissionChoice): void {
    this.questions.decide(key, decision);
  }

  /** Sets an option of the shown session. */
  async configure(configId: "model" | "trust", value: string): Promise<void> {
    const entry = this.shownEntry;
    if (entry !== undefined) {
      await this.live(entry);
      const { sessionId } = entry.conversation;
      const { configOptions } = await this.sidecar().request("session/set_config_option", { sessionId, configId, value });
      entry.configOptions = configOptions;
    }
  }

  /** Sets the mode of the shown session, for as long as this window knows the session. */
  async chooseMode(mode: Mode): Promise<void> {
    const entry = this.shownEntry;
    if (entry !== undefined) {
      await this.live(entry);
      await this.setMode(entry, mode);
      this.chosenModes.set(entry.conversation.sessionId, mode);
      this.switched.fire();
    }
  }

  async delete(sessionId: string): Promise<void> {
    await this.sidecar().request("session/delete", { sessionId });
    this.open.delete(sessionId);
    this.chosenModes.delete(sessionId);
    if (this.last?.sessionId === sessionId) {
      await this.memory.update(MEMORY, undefined);
    }
    if (this.shown === sessionId) {
      this.shown = undefined;
      this.switched.fire();
    }
  }

  updated(params: UpdateParams): void {
    const replayed = this.replaying.get(params.sessionId);
    if (replayed !== undefined) {
      replayed.conversation = reduce(replayed.conversation, { type: "updated", params });
    } else {
      this.dispatch(params.sessionId, { type: "updated", params });
    }
    const entry = this.open.get(params.sessionId);
    if (entry !== undefined && params.update.sessionUpdate === "config_option_update") {
      const before = trustOf(entry.configOptions);
      entry.configOptions = params.update.configOptions;
      if (before === "trusted" && trustOf(entry.configOptions) === "restricted") {
        this.distrusted.fire({ sessionId: params.sessionId, cwd: entry.cwd });
      }
    }
  }

  asked(params: PermissionParams, token: vscode.CancellationToken): Promise<PermissionResult> {
    const { sessionId, options } = params;
    const { key, answer } = this.questions.ask(options, (key, decision) => this.dispatch(sessionId, { type: "decided", key, decision }));
    this.dispatch(sessionId, { type: "asked", key, params });
    token.onCancellationRequested(() => this.questions.withdraw(key));
    return answer;
  }

  leaving(): void {
    this.process += 1;
  }

  ended(sentence: string): void {
    this.questions.withdrawAll();
    for (const sessionId of [...this.open.keys()]) {
      if (this.isWorking(sessionId)) {
        this.dispatch(sessionId, { type: "lost", sentence });
      }
      if (sessionId !== this.shown) {
        this.open.delete(sessionId);
      }
    }
  }

  /** The window is going: what ends from here on is told by the next one. */
  close(): void {
    this.closing = true;
  }

  dispose(): void {
    this.happened.dispose();
    this.switched.dispose();
    this.stopped.dispose();
    this.distrusted.dispose();
  }

  private get shownEntry(): Open | undefined {
    return this.shown === undefined ? undefined : this.open.get(this.shown);
  }

  /** Waits for the answer to a prompt. */
  private async turn(sessionId: string, key: string, content: ContentBlock[]): Promise<void> {
    try {
      const result = await this.sidecar().request("session/prompt", { sessionId, prompt: content });
      this.dispatch(sessionId, { type: "answered", key, result });
      await this.remember(sessionId);
    } catch (error) {
      if (!CONNECTION_GONE.includes((error as { code?: number }).code ?? 0)) {
        const failure = answeredError(error) as PromptError;
        this.dispatch(sessionId, { type: "failed", key, error: failure });
        await this.remember(sessionId);
      }
    }
  }

  /** Makes sure that the running sidecar has the session open. */
  private live(entry: Open): Promise<void> {
    if (entry.live?.process !== this.process) {
      const live = { process: this.process, opened: this.read(entry) };
      entry.live = live;
      live.opened.catch(() => {
        if (entry.live === live) {
          delete entry.live;
        }
      });
    }
    return entry.live.opened;
  }

  private async read(entry: Open): Promise<void> {
    // What a process that is going still says belongs to the conversation as it stands.
    await this.sidecar().start();
    const { sessionId, title } = entry.conversation;
    const replay = { conversation: { ...emptyConversation(sessionId), ...(title === undefined ? {} : { title }) } };
    this.replaying.set(sessionId, replay);
    try {
      const result = await this.sidecar().request("session/load", { sessionId });
      entry.conversation = reduce(replay.conversation, { type: "opened", result });
      entry.configOptions = result.configOptions;
      entry.modes = result.modes;
      const chosen = this.chosenModes.get(sessionId);
      if (chosen !== undefined && chosen !== result.modes.currentModeId) {
        await this.setMode(entry, chosen);
      }
    } finally {
      if (this.replaying.get(sessionId) === replay) {
        this.replaying.delete(sessionId);
      }
    }
  }

  private async setMode(entry: Open, modeId: Mode): Promise<void> {
    await this.sidecar().request("session/set_mode", { sessionId: entry.conversation.sessionId, modeId });
    entry.modes = { availableModes: entry.modes?.availableModes ?? [], currentModeId: modeId };
  }

  private async show(sessionId: string, cwd: string): Promise<void> {
    this.shown = sessionId;
    const { last } = this;
    const unfinished = this.isWorking(sessionId) || (last?.sessionId === sessionId && last.unfinished);
    await this.memory.update(MEMORY, { sessionId, cwd, unfinished } satisfies Memory);
    this.switched.fire();
  }

  /** Tells a stop once. The process of a window that goes may end the turn a moment after this one has read it. */
  private async tellStop(looks = LOOKS): Promise<void> {
    const { current, last, shownEntry: entry } = this;
    if (current === undefined || entry === undefined || last?.sessionId !== current.sessionId || !last.unfinished) {
      return;
    }
    const turn = current.turns.at(-1);
    if (turn?.sentence === undefined && looks > 0) {
      setTimeout(() => void this.lookAgain(entry, looks - 1).catch(() => {}), LOOK_AGAIN_MS);
      return;
    }
    await this.remember(current.sessionId);
    if (turn?.sentence !== undefined) {
      this.stopped.fire(turn);
    }
  }

  /** Reads the shown session anew, unless something else has happened with it since. */
  private async lookAgain(entry: Open, looks: number): Promise<void> {
    if (this.closing || entry !== this.shownEntry || this.isWorking(entry.conversation.sessionId) || entry.live?.process !== this.process) {
      return;
    }
    delete entry.live;
    await this.live(entry);
    this.switched.fire();
    await this.tellStop(looks);
  }

  /** Keeps whether the last session works. What ends while the window goes is left for the next one to tell. */
  private async remember(sessionId: string): Promise<void> {
    const { last } = this;
    if (last?.sessionId === sessionId && !this.closing) {
      await this.memory.update(MEMORY, { ...last, unfinished: this.isWorking(sessionId) } satisfies Memory);
    }
  }

  private dispatch(sessionId: string, event: SessionEvent): void {
    const entry = this.open.get(sessionId);
    if (entry !== undefined) {
      entry.conversation = reduce(entry.conversation, event);
      this.happened.fire({ sessionId, event });
    }
  }
}
