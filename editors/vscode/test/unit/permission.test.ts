import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, Questions } from "../../src/permission.ts";
import { exact, exactLine, plain } from "../../src/plain.ts";
import type { PermissionOption } from "../../src/protocol.ts";
import { diffRows } from "../../src/webview/diff.ts";

const options: PermissionOption[] = [
  { optionId: "allow_once", name: "Allow once", kind: "allow_once" },
  { optionId: "reject_once", name: "Reject once", kind: "reject_once" },
];

function ask(questions: Questions): { key: string; answer: Promise<unknown>; settled: string[] } {
  const settled: string[] = [];
  return { ...questions.ask(options, (key, decision) => settled.push(`${key}: ${decision}`)), settled };
}

test("a decision answers with the option of its kind, once", async () => {
  const questions = new Questions();
  const [first, second] = [ask(questions), ask(questions)];
  assert.equal(questions.open, 2);
  questions.decide(first.key, "allow_once");
  questions.decide(first.key, "reject_once");
  questions.withdraw(first.key);
  questions.decide(second.key, "reject_once");
  assert.deepEqual(await first.answer, { outcome: { outcome: "selected", optionId: "allow_once" } });
  assert.deepEqual(await second.answer, { outcome: { outcome: "selected", optionId: "reject_once" } });
  assert.deepEqual([...first.settled, ...second.settled], [`${first.key}: allow_once`, `${second.key}: reject_once`]);
  assert.equal(questions.open, 0);
});

test("a question that is withdrawn, alone or with all others, is answered as cancelled", async () => {
  const questions = new Questions();
  const asked = [ask(questions), ask(questions), ask(questions)];
  questions.withdraw(asked[1]!.key);
  assert.equal(questions.open, 2);
  questions.withdrawAll();
  for (const { key, answer, settled } of asked) {
    assert.deepEqual(await answer, { outcome: { outcome: "cancelled" } });
    assert.deepEqual(settled, [`${key}: withdrawn`]);
  }
});

test("an answer that the question does not offer changes nothing", () => {
  const questions = new Questions();
  const { key } = questions.ask([options[1]!], () => {});
  questions.decide(key, "allow_once");
  assert.equal(questions.open, 1);
});

test("a card shows every character that acts or hides", () => {
  const tool = { title: "Create a\u202etxt.sh", rawInput: {}, locations: [{ path: "/w/a\u202etxt.sh\n" }] };
  const diff = { type: "diff" as const, path: "/w/a\u202etxt.sh\n", newText: "ok\u200b\u001b[2K\r\nend" };
  assert.deepEqual(describe({ ...tool, content: [diff] }), {
    title: "Create a⟨U+202E⟩txt.sh",
    paths: ["/w/a⟨U+202E⟩txt.sh⟨U+000A⟩"],
    diffs: [{ path: "/w/a⟨U+202E⟩txt.sh⟨U+000A⟩", oldText: undefined, newText: "ok⟨U+200B⟩⟨U+001B⟩[2K\nend" }],
    texts: [],
    input: undefined,
  });
  const words = { type: "content" as const, content: { type: "text" as const, text: "A script for /bin/sh:\n  rm\u2066 x" } };
  const command = describe({ title: "Run rm", rawInput: { command: "rm" }, content: [words] });
  assert.deepEqual(command, { title: "Run rm", paths: [], diffs: [], texts: ["A script for /bin/sh:\n  rm⟨U+2066⟩ x"], input: undefined });
  assert.equal(describe({ ...tool, rawInput: { command: "rm\u2066" } }).input, '{\n  "command": "rm⟨U+2066⟩"\n}');
});

test("prose keeps what joins letters and emoji, an exact text does not hide it", () => {
  const family = "👩\u200d👧";
  assert.equal(plain(`${family}\tx\r\n\u202b`), `${family}\tx\n⟨U+202B⟩`);
  assert.equal(exact(family), "👩⟨U+200D⟩👧");
  assert.equal(exactLine("a\tb\nc"), "a⟨U+0009⟩b⟨U+000A⟩c");
  assert.equal(plain("tag\u{e0041}"), "tag⟨U+E0041⟩");
});

const shown = (before: string | undefined, after: string): string[] => diffRows(before, after).map(({ sign, text }) => `${sign}${text}`);

test("a change shows what goes, what comes, and what is around it", () => {
  assert.deepEqual(shown(undefined, "a\nb\n"), ["+a", "+b"]);
  assert.deepEqual(shown("a\nb\nc\n", "a\nx\nc\nd\n"), [" a", "-b", "+x", " c", "+d"]);
  assert.deepEqual(shown("a\n", ""), ["-a"]);
  assert.deepEqual(shown("", ""), []);
  assert.deepEqual(shown("a\n", "a"), ["-a", "+a ⟨no newline at the end⟩"]);
});

test("what is far from every change is folded, and a huge change is shown whole", () => {
  const lines = Array.from({ length: 12 }, (_, at) => `${at}`);
  const changed = [...lines.slice(0, 11), "end"];
  assert.deepEqual(shown(lines.join("\n") + "\n", changed.join("\n") + "\n"), ["…8 unchanged lines", " 8", " 9", " 10", "-11", "+end"]);
  const many = (word: string): string => Array.from({ length: 2_000 }, (_, at) => `${word}${at}\n`).join("");
  const rows = diffRows(many("a"), many("b"));
  assert.equal(rows.filter(({ sign }) => sign === "-").length, 2_000);
  assert.equal(rows.filter(({ sign }) => sign === "+").length, 2_000);
});
