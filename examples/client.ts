// A client of pillion in thirty lines, for an editor that runs TypeScript: `npm install vscode-jsonrpc`, Node 24.
import { spawn } from "node:child_process";
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";

type Hooks = { show(text: string): void; allow(title: string): Promise<boolean>; ended(code: number | string): void };

export async function open(command: string[], cwd: string, { show, allow, ended }: Hooks) {
  const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  child.once("exit", (code, signal) => ended(code ?? signal ?? "unknown"));
  const rpc = createMessageConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
  rpc.onNotification("session/update", ({ update }) => {
    if (update.sessionUpdate === "agent_message_chunk" && update.content.type === "text") show(update.content.text);
  });
  rpc.onRequest("session/request_permission", async ({ toolCall, options }) => {
    const kind = (await allow(toolCall.title)) ? "allow_once" : "reject_once";
    const { optionId } = options.find((option: { kind: string }) => option.kind === kind);
    return { outcome: { outcome: "selected", optionId } };
  });
  rpc.listen();
  const clientInfo = { name: "my-plugin", version: "1.0.0" };
  const { capabilities } = await rpc.sendRequest<any>("initialize", { processId: process.pid, capabilities: {}, clientInfo });
  const version = capabilities.experimental?.pillion?.protocolVersion;
  if (version !== 1) throw new Error(`${command[0]} speaks version ${version} of pillion's protocol, this plugin 1: update pillion`);
  await rpc.sendNotification("initialized", {});
  const { sessionId } = await rpc.sendRequest<any>("session/new", { cwd });
  return {
    prompt: (text: string) => rpc.sendRequest<any>("session/prompt", { sessionId, prompt: [{ type: "text", text }] }),
    stop: (source: string) => rpc.sendRequest<any>("session/cancel", { sessionId, initiator: "user", source }),
    close: () => rpc.sendRequest("shutdown").then(() => rpc.sendNotification("exit")),
  };
}
