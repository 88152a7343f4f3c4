// The reducer over what the real binary sent: every recording comes to the conversation that stands beside it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { joined } from "../../src/batch.ts";
import { emptyConversation, reduce, type Conversation, type SessionEvent } from "../../src/session.ts";
import { extensionRoot } from "../support/room.ts";

const directory = path.resolve(extensionRoot, "../recordings");
const names = readdirSync(directory).flatMap((file) => /^(.*)\.events\.jsonl$/.exec(file)?.[1] ?? []);

function recording(name: string): { events: SessionEvent[]; expected: Conversation } {
  const lines = readFileSync(path.join(directory, `${name}.events.jsonl`), "utf8").split("\n").filter((line) => line !== "");
  const expected = JSON.parse(readFileSync(path.join(directory, `${name}.conversation.json`), "utf8")) as Conversation;
  return { events: lines.map((line) => JSON.parse(line) as SessionEvent), expected };
}

function reduced(sessionId: string, events: SessionEvent[]): Conversation {
  return events.reduce(reduce, emptyConversation(sessionId));
}

test("there are recordings", () => assert.notEqual(names.length, 0));

for (const name of names) {
  describe(name, () => {
    const { events, expected } = recording(name);

    test("comes to its conversation", () => assert.deepEqual(reduced(expected.sessionId, events), expected));

    test("comes to the same when the pieces of a text are joined", () => {
      assert.deepEqual(reduced(expected.sessionId, joined(events)), expected);
    });

    test("changes nothing of the conversation before", () => {
      const deepFrozen = <T>(value: T): T => {
        if (typeof value === "object" && value !== null) {
          Object.values(value).forEach(deepFrozen);
          Object.freeze(value);
        }
        return value;
      };
      events.reduce((sofar, event) => deepFrozen(reduce(sofar, deepFrozen(event))), emptyConversation(expected.sessionId));
    });
  });
}

const chunk = (seq: number, turnId: string, text: string): SessionEvent => ({
  type: "updated",
  params: {
    sessionId: "s",
    update: { sessionUpdate: "agent_message_chunk", content: { type: "text", text } },
    _meta: { pillion: { seq, turnId, messageId: "m" } },
  },
});

test("a turn that an event does not concern stays the same object, so that it is not drawn again", () => {
  const before = reduced("s", [chunk(1, "a", "one"), chunk(2, "b", "two")]);
  const after = reduce(before, chunk(3, "b", " more"));
  assert.equal(after.turns[0], before.turns[0]);
  assert.deepEqual(after.turns[1]!.items, [{ type: "text", text: "two more" }]);
});

test("an update of a kind that is not known yet counts its number and changes nothing else", () => {
  const before = reduced("s", [chunk(1, "a", "one")]);
  const unknown = { sessionId: "s", update: { sessionUpdate: "current_mode_update" }, _meta: { pillion: { seq: 7, turnId: "z" } } };
  const after = reduce(before, { type: "updated", params: unknown as never });
  assert.deepEqual(after, { ...before, seq: 7 });
});

test("joining keeps the order of what lies between two pieces", () => {
  const lost: SessionEvent = { type: "lost", sentence: "gone" };
  const events = [chunk(1, "a", "1"), chunk(2, "a", "2"), lost, chunk(3, "a", "3"), chunk(4, "b", "4")];
  assert.deepEqual(joined(events), [chunk(2, "a", "12"), lost, chunk(3, "a", "3"), chunk(4, "b", "4")]);
});
