// Markdown that grows: a text is drawn block by block, and what is finished is never drawn again while it streams.
//
// Invariants: no raw HTML (markdown-it escapes it), no images and nothing else that would be fetched, links only to the
// web. The text of one message costs time in proportion to its length, not to its square.

import markdownIt from "markdown-it";
import { plain } from "../plain.ts";

const markdown = markdownIt({ html: false, linkify: false, breaks: false }).disable("image");
markdown.validateLink = (url) => /^(https?:|mailto:)/i.test(url.trim());
markdown.renderer.rules["link_open"] = (tokens, index, options, _env, self) => {
  const token = tokens[index]!;
  // Where it leads is to be seen before it is followed.
  token.attrSet("title", String(token.attrGet("href") ?? ""));
  return self.renderToken(tokens, index, options);
};

/** A tail that took this long to draw is drawn again only after ten times as long. */
const PATIENCE = 10;

export class GrowingText {
  readonly element = document.createElement("div");
  private readonly tail = document.createElement("div");
  /** The text that stands there. */
  private drawn = "";
  /** How much of it stands in finished blocks. */
  private finished = 0;
  private drawAfter = 0;

  constructor() {
    this.element.className = "markdown";
    this.tail.className = "block";
    this.element.append(this.tail);
  }

  /** Draws what is new of `text`, which begins with what was drawn before. Answers whether all of it is drawn now. */
  grow(text: string, now: number): boolean {
    const end = lastBlockStart(text, this.finished);
    if (end > this.finished) {
      const block = document.createElement("div");
      block.className = "block";
      draw(block, text.slice(this.finished, end));
      this.tail.before(block);
      this.finished = end;
      this.drawAfter = 0;
    }
    if (now < this.drawAfter) {
      return false;
    }
    const before = performance.now();
    draw(this.tail, text.slice(this.finished));
    this.drawn = text;
    this.drawAfter = now + (performance.now() - before) * PATIENCE;
    return true;
  }

  /** The text is whole: drawn once more as one document, for what blocks cannot know of each other. */
  finish(text: string): void {
    if (this.finished > 0 || this.drawn !== text) {
      draw(this.tail, text);
      this.element.replaceChildren(this.tail);
      this.drawn = text;
      this.finished = 0;
    }
  }
}

/** The HTML of a Markdown text; whatever HTML stands in the text is shown, not obeyed. */
export function rendered(text: string): string {
  return markdown.render(plain(text));
}

function draw(element: HTMLElement, text: string): void {
  element.innerHTML = rendered(text);
}

/**
 * Where the last block of `text` begins, looking from `from`: behind the last blank line that stands outside of a fence
 * and is followed by a line that begins something new (an indented line continues a list, or code).
 */
export function lastBlockStart(text: string, from: number): number {
  let start = from;
  let fence: string | undefined;
  let blank = false;
  let at = from;
  while (at < text.length) {
    const newline = text.indexOf("\n", at);
    if (newline < 0) {
      break;
    }
    const line = text.slice(at, newline);
    const marker = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (blank && fence === undefined && /^[^\s\-*+\d>]/.test(line)) {
      start = at;
    }
    if (marker !== undefined) {
      fence = fence === undefined ? marker[0] : fence === marker[0] ? undefined : fence;
    }
    blank = line.trim() === "";
    at = newline + 1;
  }
  return start;
}
