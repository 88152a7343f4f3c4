// What pillion's own commands tell: `doctor` for how things are, `explain` for what stopped a turn.

import { execFile } from "node:child_process";
import { homedir } from "node:os";
import * as vscode from "vscode";
import { answeredError, type Sidecar } from "./client.ts";
import { PROTOCOL_VERSION } from "./protocol.ts";

/** How long a command may take. */
const PATIENCE_MS = 20_000;

const MAX_OUTPUT_BYTES = 16 << 20;

/** How this extension and its sidecar are. It never fails: what is wrong is what it tells. */
export async function healthReport(sidecar: Sidecar, version: string, hasKey: boolean): Promise<string> {
  const { state } = sidecar;
  const told: Record<typeof state.kind, () => string> = {
    stopped: () => "not running",
    starting: () => "starting",
    running: () => (state.kind === "running" ? `running: ${state.path}, version ${state.version}` : ""),
    failed: () => (state.kind === "failed" ? `FAILED: ${state.message}` : ""),
  };
  const rows = [
    ["extension", `${version}, for protocol version ${PROTOCOL_VERSION}`],
    ["editor", `${vscode.env.appName} ${vscode.version}, Node ${process.versions.node}, ${process.platform} ${process.arch}`],
    ["workspace", vscode.workspace.isTrusted ? "trusted" : "not trusted: pillion is not started in it"],
    ["key", hasKey ? "one is in the editor's secret storage" : "none is in the editor's secret storage"],
    ["sidecar", told[state.kind]()],
  ];
  const doctor = await runCommand(sidecar, ["doctor"]).catch((error: unknown) => `pillion doctor: ${answeredError(error).message}\n`);
  return `Pillion for VS Code\n${rows.map(([name, what]) => `  ${name!.padEnd(10)}  ${what}\n`).join("")}\n${doctor}`;
}

/** The story of every stop of a session. */
export async function explainSession(sidecar: Sidecar, sessionId: string): Promise<string> {
  return runCommand(sidecar, ["explain", "--", sessionId]);
}

/** Runs the program with the settings that the sidecar has. A bad ending is an error only if nothing was told. */
async function runCommand(sidecar: Sidecar, command: string[]): Promise<string> {
  const { file, flags, env } = await sidecar.program();
  return new Promise((resolve, reject) => {
    const options = { cwd: homedir(), env, timeout: PATIENCE_MS, maxBuffer: MAX_OUTPUT_BYTES };
    execFile(file, [...flags, ...command], options, (error, stdout, stderr) => {
      if (error !== null && stdout === "") {
        reject(new Error(stderr.trim() || error.message));
      } else {
        resolve(stdout);
      }
    });
  });
}
