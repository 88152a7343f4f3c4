// What a screen reader is told: streamed text sentence by sentence, questions and stops at once.
//
// Invariant: the visible conversation is no live region, so that nothing is read out twice when it is drawn anew.

import { element } from "./dom.ts";

/** The most pieces that are kept; older ones have been read out. */
const KEPT = 50;

export class Announcer {
  readonly element = element("div", { class: "unseen", attributes: { role: "log", "aria-live": "polite" } });
  private pending = "";

  /** Takes streamed text and tells it as far as its sentences are whole. */
  stream(text: string): void {
    this.pending += text;
    const end = Math.max(...[". ", "! ", "? ", ".\n", "\n"].map((mark) => this.pending.lastIndexOf(mark)));
    if (end >= 0) {
      const whole = this.pending.slice(0, end + 1);
      this.pending = this.pending.slice(end + 1);
      this.add(whole);
    }
  }

  /** Tells what is left of the stream, then `text`. */
  say(text: string): void {
    const rest = this.pending;
    this.pending = "";
    this.add(rest);
    this.add(text);
  }

  private add(text: string): void {
    if (text.trim() !== "") {
      this.element.append(element("div", {}, text.trim()));
      while (this.element.childElementCount > KEPT) this.element.firstElementChild!.remove();
    }
  }
}
