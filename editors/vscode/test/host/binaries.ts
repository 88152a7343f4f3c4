// Programs that are not the pillion this extension needs: each is told with what to do, and the right one mends it.

import * as assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { eventually, pillions, variable } from "../support/room.ts";
import { ended, extension, lastTurn, prompt, session, text } from "./support.ts";

/** A server that answers `initialize` as it is told to, by default with a result, and leaves at the end of its input. */
function impostor(name: string, answer: object): string {
  const body = "error" in answer ? answer : { result: answer };
  return script(
    name,
    `#!${process.execPath}
const answer = ${JSON.stringify(body)};
process.stdin.on("data", (data) => {
  if (data.includes('"initialize"')) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 0, ...answer });
    process.stdout.write(\`Content-Length: \${Buffer.byteLength(body)}\\r\\n\\r\\n\${body}\`);
  } else if (data.includes('"shutdown"')) {
    process.exit(0);
  }
}).on("end", () => process.exit(0));
`,
  );
}

function script(name: string, words: string): string {
  const file = path.join(variable("PILLION_SCRIPTS"), name);
  writeFileSync(file, words, { mode: 0o755 });
  return file;
}

async function failure(file: string): Promise<string> {
  const { sidecar } = await extension();
  await sidecar.stop();
  await vscode.workspace.getConfiguration("pillion").update("path", file, vscode.ConfigurationTarget.Global);
  await assert.rejects(sidecar.start());
  assert.equal(pillions().length, 0);
  return eventually("a failed state", () => (sidecar.state.kind === "failed" ? sidecar.state.message : undefined));
}

const said = (protocolVersion: number, methods: string[]) => ({
  serverInfo: { name: "pillion", version: "9.9.9" },
  capabilities: { experimental: { pillion: { protocolVersion, methods } } },
});

export function binaries(): void {
  const missing = "/nowhere/pillion";
  it("one that is not there", async () => {
    assert.match(await failure(missing), /pillion\.path names \/nowhere\/pillion, which is not a program\. Correct the setting/);
  });

  it("one of another version", async () => {
    const file = impostor("newer", said(2, []));
    const message = await failure(file);
    for (const part of [file, "pillion 9.9.9", "speaks version 2", "needs version 1", "cargo install --locked --path"]) {
      assert.ok(message.includes(part), `${part} in: ${message}`);
    }
  });

  it("one that lacks methods", async () => {
    assert.match(await failure(impostor("older", said(1, ["session/new", "session/prompt"]))), /has no session\/load, .*Install a newer one with `cargo install/);
  });

  it("one that is another language server", async () => {
    assert.match(await failure(impostor("other", { capabilities: {} })), /does not speak pillion's protocol\. Set pillion\.path/);
  });

  it("one that ends at once, with its own words", async () => {
    assert.match(await failure(script("broken", "#!/bin/sh\necho 'no such luck' >&2\nexit 7\n")), /ended before it answered.*exit code 7.*no such luck/);
  });

  it("one that closes its output and ends a moment later, with its own words", async () => {
    const slow = script("closed", "#!/bin/sh\nexec >&-\nsleep 0.2\necho 'no such luck' >&2\nexit 7\n");
    assert.match(await failure(slow), /ended before it answered.*exit code 7.*no such luck/);
  });

  it("one that answers with an error, in its own words", async () => {
    assert.match(await failure(impostor("refusing", { error: { code: -32602, message: "not with me" } })), /not with me/);
  });

  it("the right one mends it, also for a prompt that was refused", async () => {
    const { sidecar } = await extension();
    await failure(missing);
    await vscode.workspace.getConfiguration("pillion").update("path", variable("PILLION"), vscode.ConfigurationTarget.Global);
    await eventually("a running pillion", () => sidecar.state.kind === "running");
    await session("mended", [[{ text: "Here I am." }]]);
    await prompt("Hi");
    assert.equal(text(await lastTurn("the end of the turn", ended)), "Here I am.");
    await sidecar.stop();
    assert.equal(pillions().length, 0);
  });
}
