// A story: the suites in `test/host`, in VS Code's real extension host with the real binary.

import { existsSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { builtExtension, builtSuites } from "../support/build.ts";
import { Editor } from "../support/editor.ts";
import { fresh } from "../support/room.ts";

const report = path.join(fresh("report"), "report.txt");
process.env["PILLION_REPORT"] = report;
const [development, tests] = await Promise.all([builtExtension(), builtSuites()]);
const editor = await Editor.open({ workspace: process.cwd(), extension: { development, tests } });
await editor.tell(async () => {
  process.exitCode = await editor.result(90_000);
});
console.log(existsSync(report) ? readFileSync(report, "utf8") : "the suites have reported nothing");
