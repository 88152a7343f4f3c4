import * as assert from "node:assert/strict";
import * as vscode from "vscode";

export function commands(): void {
  describe("the extension", () => {
    it("is active", async () => {
      const extension = vscode.extensions.getExtension("pillion.pillion")!;
      await extension.activate();
      assert.equal(extension.isActive, true);
    });
  });
}
