// The composer: the text of the next prompt, what goes along with it, Send and Stop.

import type { Attach } from "../context.ts";
import { exactLine } from "../plain.ts";
import type { SessionMode } from "../protocol.ts";
import { element, icon, iconButton } from "./dom.ts";
import type { Offer } from "./messages.ts";

export interface ComposerActions {
  send(text: string, attach: Attach): void;
  stop(): void;
  selectMode(): void;
  /** The text or the toggles changed, and should outlive the page. */
  changed(): void;
}

export class Composer {
  readonly element: HTMLFormElement;
  private readonly actions: ComposerActions;
  private readonly input = element("textarea", {
    attributes: { rows: "1", "aria-label": "Prompt", placeholder: "Ask about this workspace" },
  });
  private readonly selection: HTMLButtonElement;
  private readonly file: HTMLButtonElement;
  private readonly modeButton = element("button", { type: "button", class: "mode", hidden: true });
  private readonly sendButton: HTMLButtonElement;
  private readonly stopButton: HTMLButtonElement;
  private readonly refusal = element("div", { class: "refusal", hidden: true, attributes: { role: "alert" } });
  private sending = false;
  attach: Attach = { selection: true, file: false };

  constructor(actions: ComposerActions) {
    this.actions = actions;
    this.selection = this.toggle("selection");
    this.file = this.toggle("file");
    this.modeButton.addEventListener("click", () => actions.selectMode());
    this.sendButton = iconButton("send", "Send (Enter)", () => this.send());
    this.stopButton = iconButton("debug-stop", "Stop", () => actions.stop());
    this.stopButton.classList.add("stop-button");
    this.stopButton.hidden = true;
    const bar = element("div", { class: "bar" }, this.modeButton, this.selection, this.file, element("span", { class: "space" }), this.stopButton, this.sendButton);
    this.element = element("form", { class: "composer" }, this.refusal, element("div", { class: "box" }, this.input, bar));
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send();
      }
    });
    this.input.addEventListener("input", () => {
      this.fit();
      actions.changed();
    });
    this.fit();
  }

  get text(): string {
    return this.input.value;
  }

  set text(text: string) {
    this.input.value = text;
    this.fit();
  }

  focus(): void {
    this.input.focus();
  }

  offer({ selection, file }: Offer): void {
    this.label(this.selection, "list-selection", selection);
    this.label(this.file, "file", file);
  }

  /** What the session may do without a question. */
  mode(mode: SessionMode | undefined): void {
    this.modeButton.hidden = mode === undefined;
    if (mode !== undefined) {
      const name = exactLine(mode.name);
      this.modeButton.title = `Mode: ${name}. ${exactLine(mode.description)}`;
      this.modeButton.dataset["mode"] = mode.id;
      this.modeButton.replaceChildren(icon("shield"), element("span", {}, name));
    }
  }

  working(working: boolean): void {
    // Stop has the focus of who pressed it; once it is gone, the next thing to do is to write.
    if (!working && document.activeElement === this.stopButton) {
      this.input.focus();
    }
    this.stopButton.hidden = !working;
  }

  accepted(): void {
    this.sending = false;
    this.text = "";
    this.refusal.hidden = true;
    this.actions.changed();
  }

  refused(message: string): void {
    this.sending = false;
    this.fit();
    this.refusal.textContent = message;
    this.refusal.hidden = false;
  }

  private send(): void {
    if (!this.sending && this.text.trim() !== "") {
      this.sending = true;
      this.fit();
      this.actions.send(this.text, this.attach);
    }
  }

  /** As high as its text, within what the style sheet allows. */
  private fit(): void {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
    this.sendButton.disabled = this.sending || this.text.trim() === "";
  }

  private toggle(what: keyof Attach): HTMLButtonElement {
    const made = element("button", { type: "button", class: "toggle", hidden: true });
    made.addEventListener("click", () => {
      this.attach = { ...this.attach, [what]: !this.attach[what] };
      this.press();
      this.actions.changed();
    });
    return made;
  }

  /** Shows which toggles are pressed. */
  press(): void {
    this.selection.setAttribute("aria-pressed", String(this.attach.selection));
    this.file.setAttribute("aria-pressed", String(this.attach.file));
  }

  private label(toggle: HTMLButtonElement, image: string, name: string | undefined): void {
    toggle.hidden = name === undefined;
    if (name !== undefined) {
      const shown = exactLine(name);
      toggle.title = `Send ${shown} along`;
      toggle.replaceChildren(icon(image), element("span", { class: "toggle-name" }, shown));
    }
  }
}
