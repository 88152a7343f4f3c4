// VS Code itself: its server with a data directory of its own, and a browser that shows its workbench.
//
// Invariant: `close` leaves neither server nor browser.

import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { chromium, type Browser, type Locator, type Page } from "playwright-core";
import { eventually, fresh, marked, pillions, variable } from "./room.ts";

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
  /** A VSIX to install, a built extension to put where installed ones are, or one to load for tests in its host. */
  extension: { vsix: string } | { built: string } | { development: string; tests: string };
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
    } else if ("built" in extension) {
      cpSync(extension.built, path.join(data, "extensions/pillion.pillion-0.1.0"), { recursive: true });
    }
    // The driver runs the tests of an extension, and hides all notifications: only for those who need it.
    const driver = "tests" in extension ? ["--enable-smoke-test-driver"] : [];
    const server = start([...home, "--host", "127.0.0.1", "--port", "0", "--without-connection-token", "--telemetry-level", "off", ...driver]);
    try {
      const port = await portOf(server);
      const browser = await launch();
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      const url = new URL(`http://127.0.0.1:${port}/`);
      url.searchParams.set(workspace.endsWith(".code-workspace") ? "workspace" : "folder", workspace);
      if ("tests" in extension) {
        const remote = `vscode-remote://127.0.0.1:${port}`;
        const payload = [
          ["extensionDevelopmentPath", remote + extension.development],
          ["extensionTestsPath", remote + extension.tests],
        ];
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

  /** Tells a story with the editor. However it ends, no process of it is left. */
  async tell(story: () => Promise<void>): Promise<void> {
    try {
      await story();
    } catch (error) {
      // Told at once: what goes wrong while the editor is closed must not hide it.
      console.error(error);
      process.exitCode = 1;
      await this.picture("failed");
    }
    await this.close();
  }

  /** Closes the window as a user does, then the browser and the server. */
  private async close(): Promise<void> {
    await this.page.goto("about:blank");
    await eventually("no pillion once the window is closed", () => pillions().length === 0);
    await this.browser.close();
    await gone(this.server);
    // Without its native watchdog, which is not built here, a process of VS Code's does not see that its server is gone.
    marked().forEach(({ pid }) => process.kill(pid, "SIGKILL"));
  }

  /** Takes a picture of the window if somebody wants to look at it. */
  async picture(name: string): Promise<void> {
    const directory = process.env["PILLION_PICTURES"];
    if (directory !== undefined) {
      await this.page.screenshot({ path: path.join(directory, `${name}.png`) });
    }
  }

  /** The processes of the extension host. */
  hosts(): number[] {
    return marked().filter(({ command }) => command.includes("--type=extensionHost")).map(({ pid }) => pid);
  }

  /** Waits for a notification with these words. */
  async notification(words: string | RegExp): Promise<Locator> {
    const toast = this.page.locator(".notifications-toasts .notification-list-item").filter({ hasText: words });
    await toast.first().waitFor({ timeout: PATIENCE_MS }).catch(async (error: unknown) => {
      const shown = await this.page.locator(".notification-list-item").allInnerTexts();
      throw new Error(`${String(error)}\nthe notifications are: ${JSON.stringify(shown)}`);
    });
    return toast.first();
  }

  /**
   * Waits until the window has written down what the extension remembers with these words in it. The workbench does that a
   * moment later, so a window that goes sooner takes it along.
   */
  async remembered(words: string): Promise<void> {
    const written = async (words: string) => {
      for (const { name } of await indexedDB.databases()) {
        if (!name?.startsWith("vscode-web-state-db-")) continue;
        const values = await new Promise<unknown[]>((resolve, reject) => {
          const opening = indexedDB.open(name);
          opening.onerror = () => reject(opening.error);
          opening.onsuccess = () => {
            const reading = opening.result.transaction("ItemTable").objectStore("ItemTable").getAll();
            reading.onerror = () => reject(reading.error);
            reading.onsuccess = () => (opening.result.close(), resolve(reading.result));
          };
        });
        if (values.some((value) => typeof value === "string" && value.includes(words))) return true;
      }
      return false;
    };
    await this.page.waitForFunction(written, words, { timeout: PATIENCE_MS, polling: 50 });
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

function start(options: string[]): ChildProcess {
  const main = path.join(variable("PILLION_CACHE"), "vscode-server-4.139.1/out/server-main.js");
  if (!existsSync(main)) {
    throw new Error(`VS Code is missing: there is no ${main}; \`bash scripts/setup-vscode.sh\` installs it`);
  }
  return spawn(process.execPath, [main, ...options], { stdio: ["ignore", "pipe", "ignore"] });
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
