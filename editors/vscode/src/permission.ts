// Permission questions: what a card shows of a tool call, and who waits for which answer.
//
// Invariant: a question is answered exactly once: by the user, by its withdrawal, or by the end of the sidecar. What a
// card shows is what will be done, every character of it visible.

import { exact, exactLine } from "./plain.ts";
import type { PermissionChoice, PermissionOption, PermissionResult, ToolCallContent } from "./protocol.ts";
import type { Decision, ToolItem } from "./session.ts";

/** A tool call as a person may decide about it. */
export interface Description {
  title: string;
  paths: string[];
  diffs: { path: string; oldText: string | undefined; newText: string }[];
  /** What pillion tells of the call, such as the command that would run. */
  texts: string[];
  /** The whole input of the tool, unless something else shows what it does. */
  input: string | undefined;
}

export function describe(tool: Pick<ToolItem, "title" | "rawInput" | "locations" | "content">): Description {
  const diffs = (tool.content ?? []).filter((content): content is Extract<ToolCallContent, { type: "diff" }> => content.type === "diff");
  const texts = (tool.content ?? []).flatMap((content) =>
    content.type === "content" && content.content.type === "text" ? [exact(content.content.text)] : [],
  );
  return {
    title: exactLine(tool.title),
    paths: [...new Set([...(tool.locations ?? []), ...diffs].map((place) => exactLine(place.path)))],
    diffs: diffs.map(({ path, oldText, newText }) => ({
      path: exactLine(path),
      oldText: oldText === undefined ? undefined : exact(oldText),
      newText: exact(newText),
    })),
    texts,
    input: diffs.length + texts.length > 0 ? undefined : exact(JSON.stringify(tool.rawInput, null, 2) ?? ""),
  };
}

interface Waiting {
  options: PermissionOption[];
  settle: (decision: Decision) => void;
}

/** The questions that nobody has answered yet. */
export class Questions {
  private asked = 0;
  private readonly waiting = new Map<string, Waiting>();

  /** Takes up a question; `settled` is told how it ended, before the answer goes out. */
  ask(options: PermissionOption[], settled: (key: string, decision: Decision) => void): { key: string; answer: Promise<PermissionResult> } {
    const key = `ask-${++this.asked}`;
    const answer = new Promise<PermissionResult>((resolve) => {
      const settle = (decision: Decision): void => {
        this.waiting.delete(key);
        settled(key, decision);
        const option = options.find((option) => option.kind === decision);
        resolve({ outcome: option === undefined ? { outcome: "cancelled" } : { outcome: "selected", optionId: option.optionId } });
      };
      this.waiting.set(key, { options, settle });
    });
    return { key, answer };
  }

  /** The user's decision. One that comes too late, or that the question does not offer, changes nothing. */
  decide(key: string, decision: PermissionChoice): void {
    const waiting = this.waiting.get(key);
    if (waiting?.options.some((option) => option.kind === decision)) {
      waiting.settle(decision);
    }
  }

  withdraw(key: string): void {
    this.waiting.get(key)?.settle("withdrawn");
  }

  withdrawAll(): void {
    [...this.waiting.values()].forEach(({ settle }) => settle("withdrawn"));
  }

  get open(): number {
    return this.waiting.size;
  }
}
