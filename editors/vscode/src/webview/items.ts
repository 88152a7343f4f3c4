// One view for each kind of item in a turn: text, thought, tool call. A view draws only what is new since it last drew.

import { describe } from "../permission.ts";
import { exactLine, plain } from "../plain.ts";
import type { Item, TextItem, ToolItem, Turn } from "../session.ts";
import { permissionCard, type CardActions } from "./card.ts";
import { element, icon } from "./dom.ts";
import { GrowingText } from "./markdown.ts";

export interface ItemView {
  readonly element: HTMLElement;
  /** Answers whether all of it is drawn; what is not comes with a later call. */
  draw(item: Item, turn: Turn, now: number): boolean;
}

export function itemView(item: Item, actions: CardActions): ItemView {
  switch (item.type) {
    case "text":
      return new TextView();
    case "thought":
      return new ThoughtView();
    case "tool":
      return new ToolView(actions);
  }
}

class TextView implements ItemView {
  private readonly text = new GrowingText();
  readonly element = this.text.element;

  draw(item: Item, turn: Turn, now: number): boolean {
    const { text } = item as TextItem;
    if (turn.state === "running" && turn.items.at(-1) === item) {
      return this.text.grow(text, now);
    }
    this.text.finish(text);
    return true;
  }
}

class ThoughtView implements ItemView {
  private readonly body = element("div", { class: "thought-text" });
  private readonly label = element("span", {}, "Thinking");
  readonly element = element("details", { class: "thought" }, element("summary", {}, icon("lightbulb"), this.label), this.body);
  private drawn = 0;

  draw(item: Item, turn: Turn): boolean {
    const { text } = item as TextItem;
    // Thoughts are plain text that only grows, so the new part is all there is to draw.
    this.body.append(plain(text.slice(this.drawn)));
    this.drawn = text.length;
    this.label.textContent = turn.state === "running" && turn.items.at(-1) === item ? "Thinking…" : "Thoughts";
    return true;
  }
}

const STATUS: Record<ToolItem["status"], { icon: string; modifier?: string; words: string }> = {
  pending: { icon: "circle-outline", words: "waiting" },
  in_progress: { icon: "loading", modifier: "codicon-modifier-spin", words: "running" },
  completed: { icon: "check", words: "done" },
  failed: { icon: "error", words: "failed" },
  stopped: { icon: "circle-slash", words: "stopped" },
};

/** The most characters of a tool's output that are shown; the rest is a file away. */
const MAX_OUTPUT = 20_000;

class ToolView implements ItemView {
  readonly element = element("div", { class: "tool" });
  private readonly actions: CardActions;
  private readonly head = element("div", { class: "tool-head" });
  private readonly body = element("div", {});
  private card: { key: string | number; element: HTMLElement } | undefined;
  private drawn: ToolItem | undefined;

  constructor(actions: CardActions) {
    this.actions = actions;
    this.element.append(this.head, this.body);
  }

  draw(item: Item): boolean {
    const tool = item as ToolItem;
    if (tool === this.drawn) {
      return true;
    }
    this.element.dataset["status"] = tool.status;
    this.head.replaceChildren(...this.headline(tool));
    const asks = tool.permission !== undefined && tool.permission.decision === undefined;
    this.element.toggleAttribute("data-asks", asks);
    if (asks) {
      this.drawCard(tool);
    } else {
      this.card = undefined;
      this.body.replaceChildren(...this.details(tool));
    }
    this.drawn = tool;
    return true;
  }

  private headline(tool: ToolItem): HTMLElement[] {
    const status = STATUS[tool.status];
    const words = tool.permission?.decision?.startsWith("reject_") ? "rejected" : status.words;
    const places = (tool.locations ?? []).map((place) => {
      const name = exactLine(place.path.slice(place.path.lastIndexOf("/") + 1)) + (place.line === undefined ? "" : `:${place.line}`);
      const open = (): void => this.actions.openFile(place.path, place.line);
      return element("button", { type: "button", class: "link", title: exactLine(place.path), click: open }, name);
    });
    return [
      element("span", { class: "tool-status", title: words }, icon(status.icon, status.modifier), element("span", { class: "unseen" }, `${words}: `)),
      element("span", { class: "tool-title" }, exactLine(tool.title)),
      ...places,
    ];
  }

  /** A question's card is made once, so that the focus stays on its buttons. */
  private drawCard(tool: ToolItem): void {
    if (this.card?.key !== tool.permission!.key) {
      this.card = { key: tool.permission!.key, element: permissionCard(tool, this.actions) };
      this.body.replaceChildren(this.card.element);
    }
  }

  private details(tool: ToolItem): HTMLElement[] {
    const described = describe(tool);
    const parts: HTMLElement[] = [];
    if (described.diffs.length > 0) {
      const open = (): void => this.actions.openDiff(tool.toolCallId);
      parts.push(element("button", { type: "button", class: "link diff-link", click: open }, icon("diff"), "Show the change"));
    }
    for (const content of tool.content ?? []) {
      if (content.type === "content" && content.content.type === "image") {
        const { mimeType, data } = content.content;
        const image = element("img", { class: "picture", attributes: { src: `data:${mimeType};base64,${data}`, alt: exactLine(tool.title) } });
        parts.push(element("details", {}, element("summary", {}, "Image"), image));
      }
    }
    const output = (tool.content ?? []).flatMap((content) => (content.type === "content" && content.content.type === "text" ? [content.content.text] : []));
    const text = output.join("\n");
    if (text !== "") {
      const cut = text.length > MAX_OUTPUT ? `\n⟨${text.length - MAX_OUTPUT} more characters⟩` : "";
      parts.push(element("details", { class: "output" }, element("summary", {}, "Output"), element("pre", {}, plain(text.slice(0, MAX_OUTPUT)) + cut)));
    }
    return parts;
  }
}
