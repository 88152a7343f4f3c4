// A story: one suite of tests in VS Code's real extension host, with the real binary. The suite's name is the argument.

import { builtExtension, builtSuites } from "../support/build.ts";
import { Editor } from "../support/editor.ts";
import { pillions } from "../support/room.ts";

process.env["PILLION_SUITE"] = process.argv[2] ?? "";
const [development, tests] = await Promise.all([builtExtension(), builtSuites()]);
const editor = await Editor.open({ workspace: process.cwd(), extension: { development, tests } });
let code = 1;
try {
  code = await editor.result(80_000);
} finally {
  await editor.close();
}
process.exitCode = code;
void pillions;
