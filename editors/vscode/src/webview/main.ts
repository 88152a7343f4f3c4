// The chat's page: takes messages from the extension, keeps the conversation with the same reducer, draws it once a frame.

import { describe } from "../permission.ts";
import { plain } from "../plain.ts";
import { reduce, type Conversation, type SessionEvent } from "../session.ts";
import type { Attach } from "../context.ts";
import { Announcer } from "./announcer.ts";
import { Composer } from "./composer.ts";
import { ConversationView } from "./conversation.ts";
import { button, element, icon } from "./dom.ts";
import type { FromPage, Readiness, ToPage } from "./messages.ts";

/** What outlives the page while its view is hidden: what the user was writing. */
interface Draft {
  text: string;
  attach: Attach;
}

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void; getState(): Draft | undefined; setState(draft: Draft): void };

/** Closer than this to the end, and the end stays in view while the conversation grows. */
const NEAR_END = 40;

/** When a frame could not draw everything, another one tries after this time. */
const AGAIN_MS = 50;

const vscode = acquireVsCodeApi();
const post = (message: FromPage): void => vscode.postMessage(message);

const announcer = new Announcer();
const view = new ConversationView({
  decide: (key, decision) => post({ type: "decide", key, decision }),
  openFile: (path, line) => post({ type: "openFile", path, ...(line === undefined ? {} : { line }) }),
  openDiff: (toolCallId) => post({ type: "openDiff", toolCallId }),
  command: (command) => post({ type: "command", command }),
});
const composer = new Composer({
  send: (text, attach) => post({ type: "prompt", text, attach }),
  stop: () => post({ type: "stop" }),
  selectMode: () => post({ type: "command", command: "selectMode" }),
  changed: () => vscode.setState({ text: composer.text, attach: composer.attach }),
});
const notice = element("div", { class: "notice", hidden: true });
const log = element("main", { class: "log", attributes: { tabindex: "0", "aria-label": "Conversation" } }, view.element, notice);
document.body.append(log, composer.element, announcer.element);

let conversation: Conversation | undefined;
let readiness: Readiness = { kind: "stopped" };
let framed = false;
let noticeSays: string | undefined;

window.addEventListener("message", ({ data }: MessageEvent<ToPage>) => {
  switch (data.type) {
    case "show": {
      conversation = data.conversation;
      readiness = data.readiness;
      const draft = vscode.getState();
      composer.attach = draft?.attach ?? data.attach;
      composer.press();
      composer.offer(data.offer);
      composer.mode(data.mode);
      forgetSentDraft();
      break;
    }
    case "happened":
      for (const event of data.events) take(event);
      break;
    case "readiness":
      readiness = data.readiness;
      break;
    case "offer":
      return composer.offer(data.offer);
    case "accepted":
      log.scrollTop = log.scrollHeight;
      return composer.accepted();
    case "refused":
      return composer.refused(plain(data.message));
    case "focus":
      return composer.focus();
  }
  schedule();
});

composer.text = vscode.getState()?.text ?? "";
post({ type: "loaded" });

/** An editor that went in a hurry may have kept a draft that was sent after all. */
function forgetSentDraft(): void {
  const sent = conversation?.turns.at(-1)?.prompt.find((block) => block.type === "text");
  if (sent?.text === composer.text) {
    composer.text = "";
  }
}

function take(event: SessionEvent): void {
  if (conversation === undefined) {
    return;
  }
  conversation = reduce(conversation, event);
  if (event.type === "updated" && event.params.update.sessionUpdate === "agent_message_chunk") {
    const { content } = event.params.update;
    announcer.stream(content.type === "text" ? plain(content.text) : "");
  } else if (event.type === "asked") {
    announcer.say(`Permission needed: ${describe(event.params.toolCall).title}`);
  } else if (event.type === "answered" || event.type === "failed" || event.type === "lost") {
    const sentence = conversation.turns.findLast((turn) => turn.state !== "running")?.sentence;
    announcer.say(sentence === undefined ? "The answer is complete." : plain(sentence));
  }
}

function schedule(): void {
  if (!framed) {
    framed = true;
    requestAnimationFrame(draw);
  }
}

function draw(now: number): void {
  framed = false;
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
  view.element.hidden = conversation === undefined;
  const whole = conversation === undefined || view.draw(conversation, now);
  drawNotice();
  composer.working(conversation?.turns.some((turn) => turn.state === "running") ?? false);
  if (follows) {
    log.scrollTop = log.scrollHeight;
  }
  if (!whole) {
    setTimeout(schedule, AGAIN_MS);
  }
}

/** Drawn when it says something else, so that the focus stays where it is and nothing is read out twice. */
function drawNotice(): void {
  const said = JSON.stringify([readiness, (conversation?.turns.length ?? 0) === 0]);
  if (said === noticeSays) {
    return;
  }
  noticeSays = said;
  const parts = noticeParts();
  notice.hidden = parts.length === 0;
  notice.dataset["kind"] = readiness.kind;
  notice.replaceChildren(...parts);
}

function noticeParts(): HTMLElement[] {
  const isEmpty = (conversation?.turns.length ?? 0) === 0;
  switch (readiness.kind) {
    case "failed":
      return [
        element("p", { attributes: { role: "alert" } }, icon("error"), plain(readiness.message)),
        element(
          "div",
          { class: "answers" },
          button("Restart", "primary", () => post({ type: "command", command: "restart" })),
          button("Settings", "secondary", () => post({ type: "command", command: "openSettings" })),
          button("Health", "secondary", () => post({ type: "command", command: "health" })),
          button("Log", "secondary", () => post({ type: "command", command: "showLog" })),
        ),
      ];
    case "starting":
      return [element("p", {}, icon("loading", "codicon-modifier-spin"), "Starting pillion")];
    case "stopped":
    case "ready":
      return isEmpty
        ? [
            element("p", { class: "welcome" }, "Ask about the code in this workspace, or for a change to it."),
            element("p", { class: "welcome" }, "Reading and searching is free; what may be done without a question is up to the mode. Enter sends, Shift+Enter begins a new line."),
          ]
        : [];
  }
}
