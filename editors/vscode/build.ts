// Builds the extension: two bundles, the style sheet with its font, the notices of what is inside, and, if asked, the VSIX.
//
//   node build.ts [--into DIRECTORY] [--package FILE.vsix]
//
// Runs on Node 22.18 or newer. What is packaged is put together in a directory of its own, so nothing else gets in.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { build, type Metafile } from "esbuild";

const here = import.meta.dirname;
const root = path.resolve(here, "../..");

/** Makes `directory` a whole extension that the editor can load as it is. */
export async function buildExtension(directory: string): Promise<void> {
  const dist = path.join(directory, "dist");
  mkdirSync(dist, { recursive: true });
  const shared = { absWorkingDir: here, bundle: true, metafile: true, minify: true, sourcemap: false, legalComments: "none", logLevel: "warning" } as const;
  const host = await build({
    ...shared,
    entryPoints: ["src/extension.ts"],
    outfile: path.join(dist, "extension.cjs"),
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
  });
  const page = await build({
    ...shared,
    entryPoints: [
      { in: "src/webview/main.ts", out: "chat" },
      { in: "src/webview/chat.css", out: "chat" },
    ],
    outdir: dist,
    platform: "browser",
    format: "iife",
    target: "es2022",
    loader: { ".ttf": "file" },
    assetNames: "[name]",
  });
  writeFileSync(path.join(directory, "ThirdPartyNotices.txt"), notices([host.metafile, page.metafile]));
  if (path.resolve(directory) !== here) {
    for (const file of ["package.json", "README.md", "CHANGELOG.md", "media"]) {
      cpSync(path.join(here, file), path.join(directory, file), { recursive: true });
    }
    writeFileSync(path.join(directory, "LICENSE.txt"), licence());
  }
}

/** Packages the extension as a VSIX. */
export async function packageExtension(file: string): Promise<void> {
  const stage = mkdtempSync(path.join(tmpdir(), "pillion-vsix-"));
  try {
    await buildExtension(stage);
    // No dependency is packed: the bundles hold what they need. Where the project will be published is not known yet.
    const options = ["--no-dependencies", "--allow-missing-repository", "--no-rewrite-relative-links"];
    const vsce = path.join(here, "node_modules/@vscode/vsce/vsce");
    const said = execFileSync(process.execPath, [vsce, "package", ...options, "--out", path.resolve(file)], { cwd: stage, encoding: "utf8", stdio: "pipe" });
    process.stdout.write(said);
    if (/warning/i.test(said)) {
      throw new Error("vsce warns; see above");
    }
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

function licence(): string {
  const [mit, apache] = ["LICENSE-MIT", "LICENSE-APACHE"].map((file) => readFileSync(path.join(root, file), "utf8"));
  return `Pillion is licensed under the MIT licence or the Apache licence 2.0, as you like. Both follow.\n\n${mit}\n${"-".repeat(80)}\n\n${apache}`;
}

/** The licences of the packages whose code is in the bundles. */
function notices(metafiles: Metafile[]): string {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const packages = new Set(inputs.flatMap((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []));
  const parts = [...packages].sort().map((directory) => {
    const home = path.join(here, directory);
    const { name, version, license } = JSON.parse(readFileSync(path.join(home, "package.json"), "utf8")) as Record<string, string>;
    const texts = readdirSync(home).filter((file) => /^(licen[cs]e|thirdpartynotices)/i.test(file));
    const text = texts.map((file) => readFileSync(path.join(home, file), "utf8").trim()).join("\n\n");
    return `${name} ${version} (${license})\n\n${text || "See its package for the text of the licence."}\n`;
  });
  return `The extension contains code of these packages.\n\n${parts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { into: { type: "string" }, package: { type: "string" } } });
  if (!existsSync(path.join(here, "node_modules/esbuild"))) {
    throw new Error("the npm packages are not installed; run `bash scripts/setup-vscode.sh`");
  }
  await (values.package === undefined ? buildExtension(path.resolve(values.into ?? here)) : packageExtension(values.package));
}
