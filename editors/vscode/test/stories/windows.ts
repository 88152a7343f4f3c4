// A story: windows that go while a turn runs. Nothing is left of them, and the next one tells what happened to the turn.

import { builtExtension } from "../support/build.ts";
import { Chat } from "../support/chat.ts";
import { Editor } from "../support/editor.ts";
import { eventually, pillions, scripted } from "../support/room.ts";

const busy = (word: string) => [{ text: `I am busy with ${word}.` }, "stall"];
const model = scripted("windows", [busy("one"), busy("two"), [{ text: "Free again." }]]);
const extension = { built: await builtExtension() };
const editor = await Editor.open({ workspace: process.cwd(), extension, settings: { "pillion.model": model } });

/** Waits until the process of the old window is gone and the new window has one of its own. */
async function replaced(pid: number): Promise<void> {
  await eventually("the end of the old window's pillion", () => !pillions().some((process) => process.pid === pid), 10_000);
  await eventually("one pillion for the new window", () => pillions().length === 1, 60_000);
}

async function busyWith(word: string): Promise<number> {
  await chat.prompt(`Do ${word}`);
  await chat.see(`I am busy with ${word}.`);
  return pillions()[0]!.pid;
}

const chat = new Chat(editor.page);
await editor.tell(async () => {
  await chat.open();
  const first = await busyWith("one");
  await editor.page.reload();
  await replaced(first);
  const shutdown = "The editor asked pillion to shut down while the turn was running.";
  await editor.notification(shutdown);
  await chat.open();
  await chat.see("I am busy with one.");
  await chat.see(shutdown);

  const second = await busyWith("two");
  const [host] = editor.hosts();
  process.kill(host!, "SIGKILL");
  await replaced(second);
  const closed = "The editor closed the connection while the turn was running.";
  await editor.notification(closed);
  await chat.open();
  await chat.see(closed);

  await chat.prompt("And now?");
  await chat.see("Free again.");
});
