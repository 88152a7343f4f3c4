// Runs examples/client.test.ts as its author would: in a project of his own, with vscode-jsonrpc installed.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { fetched } from "./support/strangers.mjs";

for (const file of ["client.ts", "client.test.ts"]) copyFileSync(path.join(process.env.PILLION_REPO, "examples", file), file);
symlinkSync(fetched(), "node_modules");
const { status, stdout } = spawnSync(process.execPath, ["--test", "client.test.ts"], { encoding: "utf8", timeout: 60_000 });
assert.equal(status, 0, stdout);
assert.match(stdout, /pass 4\n/, stdout);
