// The pillion program: where it is, whether it fits this extension, what its exit code means. Every answer that is a
// problem says what to do about it.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import * as path from "node:path";
import type { Methods } from "./client.ts";
import { PROTOCOL_VERSION } from "./protocol.ts";

export const INSTALL = "cargo install --locked --path <checkout of pillion>";

/** What this extension calls; a record, so that the compiler sees that none is forgotten. */
const NEEDED: Record<keyof Methods, true> = {
  "session/new": true,
  "session/load": true,
  "session/list": true,
  "session/delete": true,
  "session/prompt": true,
  "session/cancel": true,
  "session/export": true,
  "session/set_config_option": true,
  "session/set_mode": true,
};

export const NEEDED_METHODS = Object.keys(NEEDED);

/** A problem that its reader can mend. */
export class Problem extends Error {
  override name = "Problem";
}

/**
 * The program to start: the one that the setting `pillion.path` names, else the first in PATH, else where cargo
 * installs it (an editor started from a desktop often has no PATH entry for it).
 */
export async function findBinary(setting: string, env: NodeJS.ProcessEnv, home: string): Promise<string> {
  const named = setting.trim().replace(/^~(?=\/)/, home);
  if (named !== "") {
    if (!path.isAbsolute(named)) {
      throw new Problem(`The setting pillion.path must be an absolute path; it is "${named}".`);
    }
    if (!(await isProgram(named))) {
      throw new Problem(`The setting pillion.path names ${named}, which is not a program. Correct the setting, or empty it to use the one in PATH.`);
    }
    return named;
  }
  const directories = (env["PATH"] ?? "").split(path.delimiter).filter((directory) => path.isAbsolute(directory));
  const cargo = path.join(env["CARGO_HOME"] ?? path.join(home, ".cargo"), "bin");
  for (const directory of [...directories, cargo]) {
    const candidate = path.join(directory, "pillion");
    if (await isProgram(candidate)) {
      return candidate;
    }
  }
  throw new Problem(`pillion was not found, neither in PATH nor in ${cargo}. Install it with \`${INSTALL}\`, or set pillion.path.`);
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** What `initialize` answered, as far as it matters here. */
export interface Hello {
  serverInfo?: { name: string; version?: string };
  capabilities?: { experimental?: { pillion?: { protocolVersion?: unknown; methods?: unknown } } };
}

/** Why the program that answered `hello` cannot be used, or nothing. */
export function mismatch(file: string, hello: Hello): Problem | undefined {
  const found = `${hello.serverInfo?.name ?? "a program without a name"} ${hello.serverInfo?.version ?? "of an unknown version"}`;
  const spoken = hello.capabilities?.experimental?.pillion;
  if (spoken === undefined) {
    return new Problem(`${file} is ${found}, which does not speak pillion's protocol. Set pillion.path to a pillion, or install one with \`${INSTALL}\`.`);
  }
  if (spoken.protocolVersion !== PROTOCOL_VERSION) {
    const other = typeof spoken.protocolVersion === "number" ? `version ${spoken.protocolVersion}` : "no known version";
    return new Problem(
      `${file} is ${found} and speaks ${other} of the protocol; this extension needs version ${PROTOCOL_VERSION}. ` +
        `Install the pillion that belongs to this extension with \`${INSTALL}\`.`,
    );
  }
  const methods = Array.isArray(spoken.methods) ? spoken.methods : [];
  const lacking = NEEDED_METHODS.filter((method) => !methods.includes(method));
  if (lacking.length > 0) {
    return new Problem(`${file} is ${found}, which has no ${lacking.join(", ")}. Install a newer one with \`${INSTALL}\`.`);
  }
  return undefined;
}

/** Why the sidecar is gone, as one sentence. */
export function exitSentence(code: number | null, signal: NodeJS.Signals | null): string {
  const named = signal === null ? "" : `was ended by ${signal}`;
  const meanings: Record<number, string> = {
    0: "ended as it was asked to",
    1: "was told to exit without a shutdown, or could not start",
    2: "received bytes that are no message and ended",
    3: "could not reach the editor any more and ended",
    101: "crashed: this is a bug in pillion; please report it with its log",
  };
  const byCode = code === null ? "ended" : (meanings[code] ?? (code > 128 ? `was ended by signal ${code - 128}` : `ended with exit code ${code}`));
  return `pillion ${named || byCode}.`;
}
