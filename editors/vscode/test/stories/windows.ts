// A story: windows that go while a turn runs. Nothing is left of them, and the next one tells what happened to the turn.

import { builtExtension } from "../support/build.ts";
import { Chat } from "../support/chat.ts";
import { Editor, PATIENCE_MS } from "../support/editor.ts";
import { eventually, pillions, scripted } from "../support/room.ts";

const words = "I am busy.";
const model = scripted("windows", [[{ text: words }, "stall"]]);
const extension = { built: await builtExtension() };
const editor = await Editor.open({ workspace: process.cwd(), extension, settings: { "pillion.model": model } });

/** Waits until the process of the old window is gone and the new window has one of its own. */
async function replaced(pid: number): Promise<void> {
  await eventually("the end of the old window's pillion", () => !pillions().some((process) => process.pid === pid), 10_000);
  await eventually("one pillion for the new window", () => pillions().length === 1, 60_000);
}

async function busy(): Promise<number> {
  await chat.prompt("Go");
  // An earlier turn has said the same.
  await chat.frame.locator(".turn[data-state=running]").getByText(words).waitFor({ timeout: PATIENCE_MS });
  await editor.remembered('"unfinished":true');
  return pillions()[0]!.pid;
}

const chat = new Chat(editor.page);
await editor.tell(async () => {
  await chat.open();
  const first = await busy();
  await editor.page.reload();
  await replaced(first);
  const shutdown = "The editor asked pillion to shut down before the turn had ended.";
  await editor.notification(shutdown);
  await chat.open();
  await chat.see(words);
  await chat.see(shutdown);

  const second = await busy();
  const [host] = editor.hosts();
  process.kill(host!, "SIGKILL");
  await replaced(second);
  // Its pipe ends and its process ends; which of the two pillion sees first is not decided.
  const closed = /The editor('s process \(\d+\) ended| closed the connection) before the turn had ended\./;
  await editor.notification(closed);
  await chat.open();
  await chat.see(closed);

  await busy();
  await chat.stopButton.click();
  await chat.see("The turn was cancelled by the user (vscode.stopButton).");
});
