// What the chat's page and the extension say to each other, and nothing else.

import type { Attach } from "../context.ts";
import type { PermissionChoice, SessionMode } from "../protocol.ts";
import type { Conversation, SessionEvent } from "../session.ts";

/** What can go along with the next prompt, as its toggles show it; `undefined`: there is nothing of the kind. */
export interface Offer {
  selection: string | undefined;
  file: string | undefined;
}

/** Why there is no conversation to show, or that there is one. */
export type Readiness =
  | { kind: "ready" }
  | { kind: "starting" }
  | { kind: "stopped" }
  | { kind: "failed"; message: string };

export type ToPage =
  /** All of it: after the page was made, or when another session is shown. */
  | { type: "show"; conversation: Conversation | undefined; readiness: Readiness; mode: SessionMode | undefined; offer: Offer; attach: Attach }
  /** What happened since, in order. */
  | { type: "happened"; events: SessionEvent[] }
  | { type: "readiness"; readiness: Readiness }
  | { type: "offer"; offer: Offer }
  /** The prompt is on its way, so the composer can be emptied. */
  | { type: "accepted" }
  /** It is not, and why; the text stays in the composer. */
  | { type: "refused"; message: string }
  | { type: "focus" };

/** Commands that the page has buttons for. */
export const PAGE_COMMANDS = ["newSession", "explainLastStop", "exportSession", "showLog", "restart", "openSettings", "health", "selectMode"] as const;

export type FromPage =
  | { type: "loaded" }
  | { type: "prompt"; text: string; attach: Attach }
  | { type: "stop" }
  | { type: "decide"; key: string; decision: PermissionChoice }
  | { type: "openFile"; path: string; line?: number }
  | { type: "openDiff"; toolCallId: string }
  | { type: "command"; command: (typeof PAGE_COMMANDS)[number] };
