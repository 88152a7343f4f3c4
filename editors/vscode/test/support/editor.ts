// VS Code itself: its server with a data directory of its own, and a browser that shows its workbench.
//
// Invariant: `close` leaves neither server nor browser.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { chromium, type Browser, type Page } from "playwright-core";
import { fresh, variable } from "./room.ts";

/** The largest time for which a page element is waited: the first start of a workbench on a busy machine is slow. */
export const PATIENCE_MS = 60_000;

/** What keeps the workbench quiet: nothing is fetched, nothing pops up that is not the extension's. */
const QUIET = {
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "telemetry.telemetryLevel": "off",
  "extensions.autoCheckUpdates": false,
  "update.mode": "none",
  "git.enabled": false,
  "chat.disableAIFeatures": true,
};

export interface Opening {
  /** A folder, or a `.code-workspace` file. */
  workspace: string;
  /** An extension's directory to load from, or a VSIX to install. */
  extension: { development: string; tests?: string } | { vsix: string };
  settings?: Record<string, unknown>;
  /** The user's settings, which count for every machine. */
  user?: Record<string, unknown>;
  /** Off: the workspace is trusted without a question. */
  asksForTrust?: boolean;
}

export class Editor {
  readonly page: Page;
  readonly url: string;
  private readonly server: ChildProcess;
  private readonly browser: Browser;
  private tests: Promise<{ code: number }> | undefined;

  private constructor(page: Page, url: string, server: ChildProcess, browser: Browser) {
    this.page = page;
    this.url = url;
    this.server = server;
    this.browser = browser;
  }

  static async open({ workspace, extension, settings = {}, user = {}, asksForTrust = false }: Opening): Promise<Editor> {
    const data = fresh("server");
    write(path.join(data, "data/Machine/settings.json"), { "pillion.path": variable("PILLION"), ...settings });
    write(path.join(data, "data/User/settings.json"), { ...QUIET, "security.workspace.trust.enabled": asksForTrust, ...user });
    const home = ["--server-data-dir", data, "--accept-server-license-terms"];
    if ("vsix" in extension) {
      await run([...home, "--install-extension", extension.vsix]);
    }
    const server = start([...home, "--host", "127.0.0.1", "--port", "0", "--without-connection-token", "--telemetry-level", "off", "--enable-smoke-test-driver"]);
    try {
      const port = await portOf(server);
      const browser = await launch();
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      const url = new URL(`http://127.0.0.1:${port}/`);
      url.searchParams.set(workspace.endsWith(".code-workspace") ? "workspace" : "folder", workspace);
      if ("development" in extension) {
        const remote = `vscode-remote://127.0.0.1:${port}`;
        const payload = [["extensionDevelopmentPath", remote + extension.development]];
        if (extension.tests !== undefined) {
          payload.push(["extensionTestsPath", remote + extension.tests]);
        }
        url.searchParams.set("payload", JSON.stringify(payload));
      }
      const editor = new Editor(page, url.toString(), server, browser);
      await editor.listen();
      await page.goto(editor.url);
      return editor;
    } catch (error) {
      await gone(server);
      throw error;
    }
  }

  /** Waits for the end of the tests that the extension host runs. */
  async result(withinMs: number): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`the extension host's tests took more than ${withinMs / 1000} s`)), withinMs)));
    try {
      return (await Promise.race([this.tests!, late])).code;
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await this.browser.close();
    await gone(this.server);
  }

  /** The workbench hands the log and the exit code of extension tests to functions of these names. */
  private async listen(): Promise<void> {
    this.tests = new Promise((resolve) => {
      void this.page.exposeFunction("codeAutomationExit", (code: number) => resolve({ code }));
    });
    await this.page.exposeFunction("codeAutomationLog", () => {});
  }
}

function write(file: string, settings: object): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(settings));
}

function home(): string {
  const directory = path.join(variable("PILLION_CACHE"), "vscode-4.139.1");
  if (!existsSync(path.join(directory, "bin/node"))) {
    throw new Error(`VS Code is not in ${directory}; \`bash scripts/setup-vscode.sh\` installs it`);
  }
  return directory;
}

function start(options: string[]): ChildProcess {
  const main = path.join(home(), "vscode/out/server-main.js");
  return spawn(path.join(home(), "bin/node"), [main, ...options], { stdio: ["ignore", "pipe", "ignore"] });
}

async function run(options: string[]): Promise<void> {
  const child = start(options);
  const code = await new Promise((resolve) => child.once("exit", resolve));
  if (code !== 0) {
    throw new Error(`VS Code's server ended with exit code ${String(code)}: ${options.join(" ")}`);
  }
}

async function portOf(server: ChildProcess): Promise<number> {
  for await (const line of createInterface({ input: server.stdout! })) {
    const port = /^Web UI available at http:\/\/localhost:(\d+)/.exec(line)?.[1];
    if (port !== undefined) {
      server.stdout!.resume();
      return Number(port);
    }
  }
  throw new Error("VS Code's server ended before it listened");
}

async function launch(): Promise<Browser> {
  const executablePath = "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error("Chromium is not installed; `bash scripts/setup-vscode.sh` installs it");
  }
  const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...quiet] });
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const end = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await end;
  clearTimeout(timer);
}
