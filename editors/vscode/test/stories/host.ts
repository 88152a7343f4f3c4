// A story: one suite of tests in VS Code's real extension host, with the real binary. The suite's name is the argument.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { builtExtension, builtSuites } from "../support/build.ts";
import { Editor } from "../support/editor.ts";
import { eventually, fresh, pillions } from "../support/room.ts";

const suite = process.argv[2] ?? "";
const report = path.join(fresh("report"), "report.txt");
process.env["PILLION_SUITE"] = suite;
process.env["PILLION_REPORT"] = report;

const [development, tests] = await Promise.all([builtExtension(), builtSuites()]);
const editor = await Editor.open({ workspace: workspace(), extension: { development, tests } });
try {
  process.exitCode = await editor.result(80_000);
} finally {
  await editor.close();
  console.log(existsSync(report) ? readFileSync(report, "utf8") : "the suite has reported nothing");
}
await eventually("no pillion after the window closed", () => pillions().length === 0, 3_000);

/** A window with one folder, or for the suite `folders` with two. */
function workspace(): string {
  if (suite !== "folders") {
    return process.cwd();
  }
  const folders = ["first", "second"].map((name) => ({ path: path.resolve(name) }));
  folders.forEach(({ path }) => mkdirSync(path));
  const file = path.resolve("both.code-workspace");
  writeFileSync(file, JSON.stringify({ folders }));
  return file;
}
