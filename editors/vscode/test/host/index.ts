// Runs the suites inside the extension host, where the workbench calls `run`. The report goes into a file of the story's.

import { createRequire } from "node:module";
import { appendFileSync } from "node:fs";
import * as path from "node:path";
import { format } from "node:util";
import type MochaClass from "mocha";
import { binaries } from "./binaries.ts";
import { commands } from "./commands.ts";
import { variable } from "../support/room.ts";

export async function run(): Promise<void> {
  const load = createRequire(path.join(variable("PILLION_REPO"), "editors/vscode/package.json"));
  const Mocha = load("mocha") as typeof MochaClass;
  Mocha.reporters.Base.consoleLog = (...words: unknown[]) => appendFileSync(variable("PILLION_REPORT"), `${format(...words)}\n`);
  const mocha = new Mocha({ ui: "bdd", timeout: 30_000, reporter: "spec", color: false });
  mocha.suite.emit("pre-require", globalThis, "", mocha);
  describe("commands and contexts", commands);
  describe("a program that does not fit is told with what to do", binaries);
  const failures = await new Promise<number>((resolve) => mocha.run(resolve));
  if (failures > 0) {
    throw new Error(`${failures} tests failed`);
  }
}
