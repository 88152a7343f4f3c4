// The conversation as it is drawn: a view for each turn, and only the turns that changed are looked at.

import { blockLabel } from "../context.ts";
import { exactLine, plain } from "../plain.ts";
import type { PlanEntry } from "../protocol.ts";
import type { Conversation, Item, Turn } from "../session.ts";
import type { CardActions } from "./card.ts";
import { button, element, icon } from "./dom.ts";
import { itemView, type ItemView } from "./items.ts";
import type { FromPage } from "./messages.ts";

export interface Actions extends CardActions {
  command(command: Extract<FromPage, { type: "command" }>["command"]): void;
}

/** Turns that are drawn at first, and more with each press of the button. */
const PAGE = 40;

export class ConversationView {
  readonly element = element("div", { class: "turns" });
  private readonly actions: Actions;
  private readonly earlier: HTMLElement;
  private sessionId: string | undefined;
  private views: TurnView[] = [];
  /** The index of the first turn that is drawn. */
  private first = 0;

  constructor(actions: Actions) {
    this.actions = actions;
    this.earlier = button("Show earlier turns", "link earlier", () => this.showEarlier());
  }

  /** Answers whether all of it is drawn; if not, draw again soon. */
  draw(conversation: Conversation, now: number): boolean {
    const { turns } = conversation;
    if (conversation.sessionId !== this.sessionId || turns.length < this.first + this.views.length) {
      this.sessionId = conversation.sessionId;
      this.first = Math.max(0, turns.length - PAGE);
      this.views = [];
      this.element.replaceChildren(this.earlier);
    }
    this.last = conversation;
    this.earlier.hidden = this.first === 0;
    let whole = true;
    for (let at = this.first; at < turns.length; at++) {
      const shown = at - this.first;
      const view = (this.views[shown] ??= this.add(this.element, undefined));
      whole = view.draw(turns[at]!, now) && whole;
    }
    return whole;
  }

  private last: Conversation | undefined;

  private add(parent: HTMLElement, before: Node | undefined): TurnView {
    const view = new TurnView(this.actions);
    parent.insertBefore(view.element, before ?? null);
    return view;
  }

  private showEarlier(): void {
    const until = this.first;
    this.first = Math.max(0, until - PAGE);
    const anchor = this.views[0]?.element;
    const added = this.last!.turns.slice(this.first, until).map((turn) => {
      const view = this.add(this.element, anchor);
      view.draw(turn, performance.now());
      return view;
    });
    this.views = [...added, ...this.views];
    this.earlier.hidden = this.first === 0;
    anchor?.scrollIntoView();
  }
}

class TurnView {
  readonly element = element("section", { class: "turn" });
  private readonly actions: Actions;
  private readonly prompt = element("div", { class: "prompt" });
  private readonly items = element("div", { class: "items" });
  private readonly plan = element("ul", { class: "plan", attributes: { "aria-label": "Plan" } });
  private readonly end = element("div", { class: "end" });
  private views: ItemView[] = [];
  private drawn: Turn | undefined;
  private whole = true;

  constructor(actions: Actions) {
    this.actions = actions;
    this.plan.hidden = true;
    this.element.append(this.prompt, this.items, this.plan, this.end);
  }

  draw(turn: Turn, now: number): boolean {
    const before = this.drawn;
    if (turn === before && this.whole) {
      return true;
    }
    if (turn.prompt !== before?.prompt) {
      this.drawPrompt(turn);
    }
    this.whole = this.drawItems(turn, before, now);
    if (turn.plan !== before?.plan) {
      this.plan.hidden = turn.plan === undefined || turn.plan.length === 0;
      this.plan.replaceChildren(...(turn.plan ?? []).map(planLine));
    }
    if (turn.state !== before?.state || turn.sentence !== before.sentence || turn.items.length === 0 !== (before.items.length === 0)) {
      this.drawEnd(turn);
    }
    this.element.dataset["state"] = turn.state;
    this.drawn = turn;
    return this.whole;
  }

  private drawItems(turn: Turn, before: Turn | undefined, now: number): boolean {
    let whole = true;
    turn.items.forEach((item: Item, at) => {
      let view = this.views[at];
      if (view === undefined) {
        view = itemView(item, this.actions);
        this.views.push(view);
        this.items.append(view.element);
      } else if (item === before?.items[at] && turn.state === before.state && turn.items.length === before.items.length && this.whole) {
        return;
      }
      whole = view.draw(item, turn, now) && whole;
    });
    return whole;
  }

  private drawPrompt(turn: Turn): void {
    const words = turn.prompt.flatMap((block) => (block.type === "text" ? [plain(block.text)] : []));
    const attached = turn.prompt.filter((block) => block.type !== "text");
    this.prompt.hidden = turn.prompt.length === 0;
    this.prompt.replaceChildren(
      element("h2", { class: "unseen" }, "You"),
      element("div", { class: "prompt-text" }, words.join("\n\n")),
      ...attached.map((block) => element("span", { class: "chip" }, icon(block.type === "resource" ? "list-selection" : "file"), exactLine(blockLabel(block)))),
    );
  }

  private drawEnd(turn: Turn): void {
    const parts: (HTMLElement | undefined)[] = [];
    if (turn.state === "running") {
      parts.push(element("div", { class: "working" }, icon("loading", "codicon-modifier-spin"), turn.items.length === 0 ? "Waiting for the model" : "Working"));
    } else if (turn.sentence !== undefined) {
      parts.push(this.stop(turn, turn.sentence));
    } else if (turn.stopReason === "max_tokens") {
      parts.push(element("div", { class: "note" }, "The model reached its token limit."));
    } else if (turn.stopReason === "refusal") {
      parts.push(element("div", { class: "note" }, "The model refused to go on."));
    }
    if (turn.state !== "running" && turn.model !== undefined) {
      parts.push(element("div", { class: "meta" }, exactLine(spent(turn))));
    }
    this.end.replaceChildren(...parts.filter((part) => part !== undefined));
  }

  private stop(turn: Turn, sentence: string): HTMLElement {
    const image = turn.state === "cancelled" || turn.stopReason === "max_turn_requests" ? "debug-stop" : "warning";
    const { command } = this.actions;
    // Without a cause there was no turn to explain: the request itself was refused.
    const more =
      turn.cause === undefined
        ? [button("Settings", "link", () => command("openSettings")), button("Log", "link", () => command("showLog"))]
        : [button("Explain", "link", () => command("explainLastStop")), button("Export", "link", () => command("exportSession"))];
    return element("div", { class: `stop ${turn.state}` }, icon(image), element("span", { class: "sentence" }, plain(sentence)), element("span", { class: "more" }, ...more));
  }
}

const PLAN_STATUS: Record<PlanEntry["status"], { icon: string; words: string }> = {
  pending: { icon: "circle-outline", words: "to do" },
  in_progress: { icon: "arrow-right", words: "under way" },
  completed: { icon: "check", words: "done" },
};

function planLine({ content, priority, status }: PlanEntry): HTMLElement {
  const { icon: image, words } = PLAN_STATUS[status];
  const urgent = priority === "high" ? "important, " : "";
  return element(
    "li",
    { class: `plan-entry ${priority} ${status}`, title: `${urgent}${words}` },
    icon(image),
    element("span", { class: "unseen" }, `${urgent}${words}: `),
    element("span", {}, exactLine(content)),
  );
}

function spent({ model, usage }: Turn): string {
  const counts = [
    usage?.inputTokens === undefined ? undefined : `${usage.inputTokens} in`,
    usage?.outputTokens === undefined ? undefined : `${usage.outputTokens} out`,
  ].filter((count) => count !== undefined);
  return counts.length === 0 ? model! : `${model} · ${counts.join(", ")}`;
}
