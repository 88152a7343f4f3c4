// The permission card: what exactly would be done, and the two answers.

import { describe } from "../permission.ts";
import type { PermissionChoice } from "../protocol.ts";
import type { ToolItem } from "../session.ts";
import { diffRows } from "./diff.ts";
import { button, element, icon } from "./dom.ts";

export interface CardActions {
  decide(key: string, decision: PermissionChoice): void;
  openFile(path: string, line?: number): void;
  openDiff(toolCallId: string): void;
}

/** The most rows of a change that the card draws; the editor's own diff has no such limit. */
const MAX_ROWS = 1_000;

export function permissionCard(tool: ToolItem, actions: CardActions): HTMLElement {
  const { key, options } = tool.permission!;
  const { title, paths, diffs, texts, input } = describe(tool);
  const answers = options.map((option) => {
    const decision = option.kind;
    const answer = button(option.name, decision === "allow_once" ? "primary" : "secondary", () => {
      for (const other of answers) other.disabled = true;
      actions.decide(String(key), decision);
    });
    answer.dataset["decision"] = decision;
    return answer;
  });
  const open = (): void => actions.openDiff(tool.toolCallId);
  return element(
    "div",
    { class: "card", attributes: { role: "group", "aria-label": `Permission: ${title}` } },
    element("div", { class: "card-title" }, icon("shield"), `Allow this? ${title}`),
    ...paths.map((path) => element("div", { class: "path" }, path)),
    ...diffs.map((diff) => diffTable(diff.oldText, diff.newText)),
    ...texts.map((text) => element("pre", {}, text)),
    input === undefined ? undefined : element("pre", {}, input),
    element(
      "div",
      { class: "answers" },
      ...answers,
      diffs.length === 0 ? undefined : button("Open the change", "link", open, icon("diff")),
    ),
  );
}

function diffTable(oldText: string | undefined, newText: string): HTMLElement {
  const rows = diffRows(oldText, newText);
  const names: Record<string, string> = { " ": "same", "-": "removed", "+": "added", "…": "folded" };
  const drawn = rows.slice(0, MAX_ROWS).map((row) =>
    element("div", { class: `row ${names[row.sign]}` }, element("span", { class: "sign" }, row.sign), row.text),
  );
  if (rows.length > MAX_ROWS) {
    drawn.push(element("div", { class: "row folded" }, element("span", { class: "sign" }, "…"), `${rows.length - MAX_ROWS} more lines: open the change to see them all`));
  }
  if (rows.length === 0) {
    drawn.push(element("div", { class: "row folded" }, element("span", { class: "sign" }, "…"), "an empty file"));
  }
  // A region that scrolls must be reachable by the keyboard.
  return element("div", { class: "diff", attributes: { tabindex: "0", role: "region", "aria-label": "The change" } }, ...drawn);
}
