// A story: the packaged extension as its user lives it. The VSIX is installed, a prompt streams, a permission is
// answered, a turn is stopped, its sentence is read, the session is exported.

import { writeFileSync } from "node:fs";
import { builtVsix } from "../support/build.ts";
import { Chat } from "../support/chat.ts";
import { Editor } from "../support/editor.ts";
import { scripted } from "../support/room.ts";

const model = scripted("chat", [
  [
    { reasoning: "The greeting lives in greet.py." },
    { text: { text: "I will read **greet.py** first.\n\n", chunks: 3, every_ms: 20 } },
    { tool_call: { name: "read_file", input: { path: "greet.py" } } },
  ],
  [
    { text: "It greets in English only. Here is a change:\n\n" },
    { tool_call: { name: "write_file", input: { path: "greet.py", content: 'GREETINGS = {"en": "Hello", "fr": "Bonjour"}\n\n\ndef greet(name, language="en"):\n    return f"{GREETINGS[language]}, {name}!"\n' } } },
  ],
  [{ text: { text: "Done: `greet` takes a language now.\n\n- `en` is the default\n- `fr` says *Bonjour*\n", chunks: 6, every_ms: 30 } }, { usage: { input_tokens: 420, output_tokens: 96 } }],
  [{ text: { text: "Let me think about the tests. ", chunks: 3, every_ms: 20 } }, "stall"],
], "Greet in French");
writeFileSync("greet.py", 'def greet(name):\n    return f"Hello, {name}!"\n');

const editor = await Editor.open({ workspace: process.cwd(), extension: { vsix: await builtVsix() }, settings: { "pillion.model": model } });
await editor.tell(async () => {
  const chat = new Chat(editor.page);
  await chat.open();
  await chat.prompt("Teach greet.py to greet in French.");
  await chat.see("I will read");
  await chat.frame.getByRole("button", { name: "Allow once" }).waitFor({ timeout: 60000 });
  await editor.page.screenshot({ path: "/tmp/shot1.png" });
  await chat.frame.getByRole("button", { name: "Allow once" }).click();
  await chat.see("Done:");
  await chat.prompt("Now the tests.");
  await chat.see("Let me think");
  await editor.page.screenshot({ path: "/tmp/shot2.png" });
  await chat.stopButton.click();
  await chat.see("The turn was cancelled by the user (vscode.stopButton).");
  await editor.page.screenshot({ path: "/tmp/shot3.png" });
});
