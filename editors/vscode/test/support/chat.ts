// The chat as its user sees it: the side bar, the page inside the webview, the command palette.

import type { FrameLocator, Locator, Page } from "playwright-core";
import { PATIENCE_MS } from "./editor.ts";

export class Chat {
  private readonly page: Page;
  /** The chat's own page, two frames down. */
  readonly frame: FrameLocator;

  constructor(page: Page) {
    this.page = page;
    this.frame = page.frameLocator("iframe.webview.ready").frameLocator("#active-frame");
  }

  /** The view's icon in the activity bar. */
  get activity(): Locator {
    return this.page.locator(".activitybar").getByRole("tab", { name: "Pillion" });
  }

  async open(): Promise<void> {
    await this.activity.waitFor({ timeout: PATIENCE_MS });
    if ((await this.activity.getAttribute("aria-selected")) !== "true") {
      await this.activity.click();
    }
    await this.input.waitFor({ timeout: PATIENCE_MS });
  }

  get input(): Locator {
    return this.frame.getByRole("textbox", { name: "Prompt" });
  }

  get lastTurn(): Locator {
    return this.frame.locator(".turn").last();
  }

  get stopButton(): Locator {
    return this.frame.getByRole("button", { name: "Stop" });
  }

  get modeButton(): Locator {
    return this.frame.locator("button.mode");
  }

  async prompt(text: string): Promise<void> {
    await this.input.fill(text);
    await this.input.press("Enter");
  }

  async see(text: string | RegExp): Promise<void> {
    await this.lastTurn.getByText(text).first().waitFor({ timeout: PATIENCE_MS });
  }

  /** Picks the row with this name from the list that the workbench has opened. */
  async pick(name: string): Promise<void> {
    await this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: name }).first().click({ timeout: PATIENCE_MS });
  }

  /** Runs a command by its name, as a user does. */
  async command(name: string): Promise<void> {
    await this.page.keyboard.press("F1");
    const input = this.page.locator(".quick-input-widget input[type=text]");
    await input.waitFor({ timeout: PATIENCE_MS });
    await input.fill(`>${name}`);
    await this.page.locator(".quick-input-list .monaco-list-row").first().getByText(name).first().waitFor({ timeout: PATIENCE_MS });
    await input.press("Enter");
  }
}
