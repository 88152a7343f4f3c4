// A story: the types, and the tests of all that runs without an editor.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { extensionRoot } from "../support/room.ts";

if (!existsSync(path.join(extensionRoot, "node_modules/.installed-from"))) {
  throw new Error("the extension's npm packages are not installed; `bash scripts/setup-vscode.sh` installs them");
}
const unit = path.join(extensionRoot, "test/unit");
const tests = readdirSync(unit).map((file) => path.join(unit, file));
const steps = [["node_modules/typescript/bin/tsc", "-p", "."], ["--test", "--test-reporter=spec", ...tests]];
for (const step of steps) {
  const { status } = spawnSync(process.execPath, step, { cwd: extensionRoot, stdio: "inherit" });
  if (status !== 0) {
    process.exit(1);
  }
}
