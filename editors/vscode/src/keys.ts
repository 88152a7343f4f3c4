// The API key: in the editor's secret storage, and from there in the environment of the sidecar alone.

import * as vscode from "vscode";

const SECRET = "pillion.apiKey";

export class Keys {
  private readonly secrets: vscode.SecretStorage;

  constructor(secrets: vscode.SecretStorage) {
    this.secrets = secrets;
  }

  get(): Thenable<string | undefined> {
    return this.secrets.get(SECRET);
  }

  /** Asks for a key. Answers whether there is a new one. */
  async ask(): Promise<boolean> {
    const key = await vscode.window.showInputBox({
      title: "Pillion: Set API Key",
      prompt: "The key of the model's provider. It is kept in the editor's secret storage and handed to pillion alone.",
      password: true,
      ignoreFocusOut: true,
      validateInput: (text) => (/[\p{Cc}\s]/u.test(text.trim()) ? "A key has no spaces and no control characters." : undefined),
    });
    if (key === undefined || key.trim() === "") {
      return false;
    }
    await this.secrets.store(SECRET, key.trim());
    return true;
  }

  async clear(): Promise<void> {
    await this.secrets.delete(SECRET);
  }
}
