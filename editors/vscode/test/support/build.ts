// Builds what a story drives into directories of its own: nothing is written into the checkout, and nothing stale is tested.

import * as path from "node:path";
import { build } from "esbuild";
import { buildExtension, packageExtension } from "../../build.ts";
import { extensionRoot, fresh } from "./room.ts";

export async function builtExtension(): Promise<string> {
  const directory = fresh("extension");
  await buildExtension(directory);
  return directory;
}

export async function builtVsix(): Promise<string> {
  const file = path.join(fresh("vsix"), "pillion.vsix");
  await packageExtension(file);
  return file;
}

/** The suites that run inside the extension host, as one file that it can load. */
export async function builtSuites(): Promise<string> {
  const outfile = path.join(fresh("suites"), "index.cjs");
  await build({
    absWorkingDir: extensionRoot,
    entryPoints: ["test/host/index.ts"],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    external: ["vscode"],
    sourcemap: "inline",
    logLevel: "warning",
    define: { "import.meta.dirname": "__dirname" },
  });
  return outfile;
}
