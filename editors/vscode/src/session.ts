// The reducer over one session: what was sent, said, asked and answered goes in as events, the conversation comes out.
//
// Invariant: pure. An event makes a new conversation that shares with the old one whatever it did not change, so that
// `===` tells what to draw anew. The same events give the same conversation in every editor: `editors/recordings` holds
// both, and the tests compare them.

import type {
  ContentBlock,
  PermissionChoice,
  PermissionOption,
  PromptResult,
  PromptUsage,
  PermissionParams,
  PlanEntry,
  UpdateParams,
  StopEntry,
  ToolCallContent,
  ToolLocation,
} from "./protocol.ts";

export interface Conversation {
  sessionId: string;
  title?: string;
  /** The highest `seq` seen; 0 before the first update. */
  seq: number;
  turns: Turn[];
}

export type TurnState = "running" | "completed" | "cancelled" | "failed" | "lost";

export interface Turn {
  /** The client's own key of its prompt; a replayed turn has none. */
  key?: string | number;
  turnId?: string;
  messageId?: string;
  prompt: ContentBlock[];
  items: Item[];
  /** What the model says that it is going to do, as it last said it. */
  plan?: PlanEntry[];
  state: TurnState;
  stopReason?: string;
  /** Why the turn stopped, to show in its place. */
  sentence?: string;
  cause?: string;
  initiator?: string;
  source?: string;
  abortId?: string;
  usage?: PromptUsage;
  model?: string;
}

export type Item = TextItem | ToolItem;

export interface TextItem {
  type: "text" | "thought";
  text: string;
}

export interface ToolItem {
  type: "tool";
  toolCallId: string;
  title: string;
  kind: string;
  /** `stopped`: its turn ended before it did. */
  status: "pending" | "in_progress" | "completed" | "failed" | "stopped";
  rawInput: unknown;
  locations?: ToolLocation[];
  content?: ToolCallContent[];
  permission?: Permission;
}

export type Decision = PermissionChoice | "withdrawn" | "unanswered";

export interface Permission {
  key: string | number;
  options: PermissionOption[];
  decision?: Decision;
}

/** The error answer to a prompt. */
export interface PromptError {
  message: string;
  data?: {
    cause?: string;
    turnId?: string;
    diagnostics?: { abort?: { initiator?: string; source?: string; abort_id?: string } };
  };
}

export type SessionEvent =
  | { type: "prompted"; key: string | number; content: ContentBlock[] }
  | { type: "updated"; params: UpdateParams }
  | { type: "asked"; key: string | number; params: PermissionParams }
  | { type: "decided"; key: string | number; decision: Decision }
  | { type: "answered"; key: string | number; result: PromptResult }
  | { type: "failed"; key: string | number; error: PromptError }
  | { type: "opened"; result: { stops?: StopEntry[] } }
  | { type: "lost"; sentence: string };

export function emptyConversation(sessionId: string): Conversation {
  return { sessionId, seq: 0, turns: [] };
}

export function reduce(conversation: Conversation, event: SessionEvent): Conversation {
  switch (event.type) {
    case "prompted": {
      const turn: Turn = { key: event.key, prompt: event.content, items: [], state: "running" };
      return { ...conversation, turns: [...conversation.turns, turn] };
    }
    case "updated":
      return updated(conversation, event.params);
    case "asked": {
      const { toolCall, options, _meta } = event.params;
      return changeTurn(conversation, _meta.pillion, (turn) =>
        changeTool(turn, toolCall.toolCallId, (tool) => ({
          ...(tool ?? toolItem(toolCall)),
          // A call that was planned late had no title before.
          ...present({ title: toolCall.title, locations: toolCall.locations, content: toolCall.content }),
          permission: { key: event.key, options },
        })),
      );
    }
    case "decided":
      return decided(conversation, event.key, event.decision);
    case "answered": {
      const { stopReason, turnId, messageId, usage, model, sentence, diagnostics } = event.result;
      const state: TurnState = stopReason === "cancelled" ? "cancelled" : "completed";
      const outcome = { state, stopReason, turnId, messageId, usage, model, sentence, ...abortFields(diagnostics?.abort) };
      return endTurn(conversation, (turn) => turn.key === event.key, outcome);
    }
    case "failed": {
      const { message, data } = event.error;
      const outcome = { sentence: message, cause: data?.cause, turnId: data?.turnId };
      const { initiator, source, abortId } = abortFields(data?.diagnostics?.abort);
      return endTurn(conversation, (turn) => turn.key === event.key, { state: "failed", ...outcome, initiator, source, abortId });
    }
    case "opened":
      return (event.result.stops ?? []).reduce(
        (sofar, { turnId, stop, sentence, cause, initiator, source, abortId }) => {
          const ended = stop === "max_turn_requests" ? ({ state: "completed", stopReason: stop } as const) : { state: stop };
          return endTurn(sofar, (turn) => turn.turnId === turnId, { ...ended, sentence, cause, initiator, source, abortId });
        },
        conversation,
      );
    case "lost":
      return endTurn(conversation, (turn) => turn.state === "running", { state: "lost", sentence: event.sentence });
  }
}

function updated(conversation: Conversation, params: UpdateParams): Conversation {
  const { update, _meta } = params;
  const place = _meta.pillion;
  const seen = { ...conversation, seq: Math.max(conversation.seq, place.seq) };
  switch (update.sessionUpdate) {
    case "user_message_chunk":
      return changeTurn(seen, place, (turn) => ({ ...turn, prompt: [...turn.prompt, update.content] }));
    case "agent_message_chunk":
      return changeTurn(seen, place, (turn) => addText(turn, "text", update.content));
    case "agent_thought_chunk":
      return changeTurn(seen, place, (turn) => addText(turn, "thought", update.content));
    case "tool_call":
    case "tool_call_update":
      return changeTurn(seen, place, (turn) =>
        changeTool(turn, update.toolCallId, (tool) => ({ ...(tool ?? toolItem(update)), ...toolFields(update) })),
      );
    case "plan":
      return changeTurn(seen, place, (turn) => ({ ...turn, plan: update.entries }));
    case "session_info_update":
      return { ...seen, ...present({ title: update.title }) };
    default:
      return seen;
  }
}

function decided(conversation: Conversation, key: string | number, decision: Decision): Conversation {
  const decide = (item: Item): Item =>
    item.type === "tool" && item.permission?.key === key ? { ...item, permission: { ...item.permission, decision } } : item;
  return { ...conversation, turns: conversation.turns.map((turn) => withItems(turn, decide)) };
}

/** Changes the turn that an update belongs to: the one with its id, else the first prompt without one, else a replayed turn. */
function changeTurn(
  conversation: Conversation,
  place: { turnId?: string; messageId?: string },
  change: (turn: Turn) => Turn,
): Conversation {
  const { turnId } = place;
  if (turnId === undefined) {
    return conversation;
  }
  const turns = [...conversation.turns];
  let at = turns.findLastIndex((turn) => turn.turnId === turnId);
  if (at < 0) {
    at = turns.findIndex((turn) => turn.state === "running" && turn.turnId === undefined);
  }
  const turn = turns[at] ?? { prompt: [], items: [], state: "completed" };
  turns[at < 0 ? turns.length : at] = change({ ...turn, turnId, ...present({ messageId: place.messageId }) });
  return { ...conversation, turns };
}

function addText(turn: Turn, type: TextItem["type"], content: ContentBlock): Turn {
  if (content.type !== "text") {
    return turn;
  }
  const last = turn.items.at(-1);
  if (last?.type !== type) {
    return { ...turn, items: [...turn.items, { type, text: content.text }] };
  }
  return { ...turn, items: [...turn.items.slice(0, -1), { type, text: last.text + content.text }] };
}

function changeTool(turn: Turn, toolCallId: string, change: (tool: ToolItem | undefined) => ToolItem): Turn {
  const at = turn.items.findLastIndex((item) => item.type === "tool" && item.toolCallId === toolCallId);
  const items = [...turn.items];
  items[at < 0 ? items.length : at] = change(items[at] as ToolItem | undefined);
  return { ...turn, items };
}

type ToolCallLike = Partial<Omit<ToolItem, "type" | "permission">> & { toolCallId: string };

/** A tool item of its own; what an update alone does not say is as plain as can be. */
function toolItem(call: ToolCallLike): ToolItem {
  const { toolCallId, title = toolCallId, kind = "other", status = "pending", rawInput = {} } = call;
  return { type: "tool", toolCallId, title, kind, status, rawInput, ...toolFields(call) };
}

function toolFields({ title, kind, status, rawInput, locations, content }: ToolCallLike): Partial<ToolItem> {
  return present({ title, kind, status, rawInput, locations, content });
}

type Outcome = { state: TurnState } & { [Field in keyof Turn]?: Turn[Field] | undefined };

/** Ends the turns that match. Nothing of an ended turn stays open: its questions are withdrawn, its tools stopped. */
function endTurn(conversation: Conversation, matches: (turn: Turn) => boolean, outcome: Outcome): Conversation {
  const close = (item: Item): Item => {
    if (item.type !== "tool") {
      return item;
    }
    const asked = item.permission !== undefined && item.permission.decision === undefined;
    const open = item.status === "pending" || item.status === "in_progress";
    return {
      ...item,
      ...(open ? { status: "stopped" } : {}),
      ...(asked ? { permission: { ...item.permission!, decision: "withdrawn" } } : {}),
    };
  };
  const end = (turn: Turn): Turn => {
    if (!matches(turn)) {
      return turn;
    }
    const closed = turn.state === "running" ? withItems(turn, close) : turn;
    return { ...closed, ...(present(outcome) as Partial<Turn>) };
  };
  return { ...conversation, turns: conversation.turns.map(end) };
}

function withItems(turn: Turn, change: (item: Item) => Item): Turn {
  const items = turn.items.map(change);
  return items.some((item, at) => item !== turn.items[at]) ? { ...turn, items } : turn;
}

function abortFields(abort: { cause?: string; initiator?: string; source?: string; abort_id?: string } | undefined) {
  return present({ cause: abort?.cause, initiator: abort?.initiator, source: abort?.source, abortId: abort?.abort_id });
}

/** Without the fields that are undefined: absent means absent. */
function present<T extends object>(fields: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
