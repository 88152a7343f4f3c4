import assert from "node:assert/strict";
import { test } from "node:test";
import { lastBlockStart, rendered } from "../../src/webview/markdown.ts";

test("HTML in a text is shown, not obeyed, and nothing is fetched", () => {
  const hostile = [
    "<img src=x onerror=alert(1)>",
    "![pixel](https://tracker.example/p.png)",
    "<script>alert(1)</script>",
    "[go](javascript:alert(1))",
    "[go](data:text/html,x)",
    "[run](command:workbench.action.terminal.new)",
    "[open](vscode://x.y/z)",
    "<https://ok.example>",
  ].join("\n\n");
  const tags = [...rendered(hostile).matchAll(/<\/?([a-z0-9]+)/g)].map(([, tag]) => tag);
  assert.deepEqual([...new Set(tags)].sort(), ["a", "p"]);
  const links = [...rendered(hostile).matchAll(/href="([^"]*)"/g)].map(([, href]) => href);
  assert.deepEqual(links, ["https://tracker.example/p.png", "https://ok.example"]);
});

test("a link shows where it leads, and direction marks are written out", () => {
  assert.match(rendered("[docs](https://a.example/x)"), /<a href="https:\/\/a\.example\/x" title="https:\/\/a\.example\/x">docs<\/a>/);
  assert.match(rendered("a\u202eb"), /a⟨U\+202E⟩b/);
});

/** How a text is cut into finished blocks while it grows by one character after the other. */
function blocks(text: string): string[] {
  const cuts = [0];
  for (let length = 1; length <= text.length; length++) {
    const start = lastBlockStart(text.slice(0, length), cuts.at(-1)!);
    if (start > cuts.at(-1)!) {
      cuts.push(start);
    }
  }
  return cuts.map((cut, at) => text.slice(cut, cuts[at + 1]));
}

test("a paragraph is finished when the next one has begun", () => {
  assert.deepEqual(blocks("one\ntwo\n\nthree\n\nfour\n"), ["one\ntwo\n\n", "three\n\n", "four\n"]);
});

test("a fence, a loose list and indented text are never cut", () => {
  for (const text of ["```js\na\n\nb\n\nc\n```\n", "~~~\n```\n\nx\n~~~\n", "- a\n\n- b\n\n  more\n", "1. a\n\n2. b\n", "> a\n\n> b\n"]) {
    assert.deepEqual(blocks(text), [text]);
  }
  assert.deepEqual(blocks("```\na\n\nb\n```\n\nend\n"), ["```\na\n\nb\n```\n\n", "end\n"]);
});
