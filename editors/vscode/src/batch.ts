// Fewer, larger events for the page: a burst of tokens is one piece of text by the time it is drawn.
//
// Invariant: reducing the joined events gives the same conversation.

import type { SessionEvent } from "./session.ts";

/** The same events with pieces of one text, one behind the other, as one piece. */
export function joined(events: SessionEvent[]): SessionEvent[] {
  const result: SessionEvent[] = [];
  for (const event of events) {
    const last = result.at(-1);
    const both = last === undefined ? undefined : joinedPair(last, event);
    if (both === undefined) {
      result.push(event);
    } else {
      result[result.length - 1] = both;
    }
  }
  return result;
}

function joinedPair(first: SessionEvent, second: SessionEvent): SessionEvent | undefined {
  if (first.type !== "updated" || second.type !== "updated") {
    return undefined;
  }
  const [before, after] = [first.params.update, second.params.update];
  const isText = (before.sessionUpdate === "agent_message_chunk" || before.sessionUpdate === "agent_thought_chunk") && before.content.type === "text";
  if (!isText || after.sessionUpdate !== before.sessionUpdate || after.content.type !== "text") {
    return undefined;
  }
  if (first.params._meta.pillion.turnId !== second.params._meta.pillion.turnId) {
    return undefined;
  }
  const content = { ...after.content, text: (before.content as { text: string }).text + after.content.text };
  return { type: "updated", params: { ...second.params, update: { ...after, content } } };
}
