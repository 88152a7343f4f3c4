// The room that a story runs in, as the test harness describes it in the environment; and what it looks for in /proc.

import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";

export const extensionRoot = path.resolve(import.meta.dirname, "../..");

export function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") {
    throw new Error(`${name} is not set: run this story through the tests (cargo nextest run --test editors vscode)`);
  }
  return value;
}

export function fresh(prefix: string): string {
  return mkdtempSync(path.join(tmpdir(), `${prefix}-`));
}

/** One step of a scripted model; docs/scripted.md has the entries. */
export type Step = unknown[];

/** Writes a script and gives the name of its model. */
export function scripted(name: string, steps: Step[], title?: string): string {
  const file = path.join(variable("PILLION_SCRIPTS"), `${name}.json`);
  writeFileSync(file, JSON.stringify({ ...(title === undefined ? {} : { title }), steps }));
  return `scripted:${file}`;
}

export interface Process {
  pid: number;
  executable: string;
  command: string;
  env: Map<string, string>;
}

/** The processes of this story that are running now, without this one. */
export function marked(): Process[] {
  const mark = variable("PILLION_STORY");
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      try {
        const executable = readlinkSync(`/proc/${name}/exe`).replace(/ \(deleted\)$/, "");
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        const found = { pid: Number(name), executable, command, env: environment(Number(name)) };
        return found.env.get("PILLION_STORY") === mark ? [found] : [];
      } catch {
        // Gone meanwhile, or not ours to look at.
        return [];
      }
    });
}

/** The pillion servers among them. */
export function pillions(): Process[] {
  const binary = realpathSync(variable("PILLION"));
  return marked().filter(({ executable }) => executable === binary);
}

function environment(pid: number): Map<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter((line) => line.includes("="));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** Looks again and again until `look` sees something; says what was expected when it never does. */
export async function eventually<T>(what: string, look: () => T | Promise<T>, withinMs = 20_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) {
      return seen;
    }
    if (Date.now() > deadline) {
      throw new Error(`expected within ${withinMs / 1000} s: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
