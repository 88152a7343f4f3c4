import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { exitSentence, findBinary, INSTALL, mismatch, NEEDED_METHODS, type Hello } from "../../src/binary.ts";
import { PROTOCOL_VERSION } from "../../src/protocol.ts";

const room = mkdtempSync(path.join(tmpdir(), "binary-"));
after(() => rmSync(room, { recursive: true }));

function program(place: string, mode = 0o755): string {
  const file = path.join(room, place);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, "");
  chmodSync(file, mode);
  return file;
}

const home = path.join(room, "home");
const env = { PATH: ["", ".", "relative", path.join(room, "empty"), path.join(room, "a"), path.join(room, "b")].join(":") };

test("the setting wins, then PATH in its order, then cargo's directory", async () => {
  await assert.rejects(findBinary("", env, home), { name: "Problem", message: new RegExp(`not found.*${home}/\\.cargo/bin.*cargo install.*pillion\\.path`) });
  const cargo = program("home/.cargo/bin/pillion");
  assert.equal(await findBinary("", env, home), cargo);
  assert.equal(await findBinary("", { ...env, CARGO_HOME: path.join(room, "a") }, home).catch(() => "none"), "none");
  const inB = program("b/pillion");
  assert.equal(await findBinary("", env, home), inB);
  program("a/pillion", 0o644);
  assert.equal(await findBinary("", env, home), inB, "a file that cannot be run is no program");
  const named = program("named");
  assert.equal(await findBinary(`  ${named} `, env, home), named);
  assert.equal(await findBinary("~/.cargo/bin/pillion", env, home), cargo);
});

test("a setting that names no program says so and what to do", async () => {
  await assert.rejects(findBinary("pillion", env, home), /pillion\.path must be an absolute path; it is "pillion"/);
  await assert.rejects(findBinary(room, env, home), /which is not a program\. Correct the setting, or empty it/);
});

const hello = (pillion: unknown, version?: string): Hello =>
  ({ serverInfo: { name: "pillion", ...(version === undefined ? {} : { version }) }, capabilities: { experimental: { pillion } } }) as Hello;

test("a pillion that fits is taken", () => {
  assert.equal(mismatch("/bin/pillion", hello({ protocolVersion: PROTOCOL_VERSION, methods: [...NEEDED_METHODS, "session/new_one"] }, "1.0")), undefined);
});

test("what does not fit is told with what was found, what is needed and the command that mends it", () => {
  const told = (hello: Hello): string => mismatch("/bin/pillion", hello)!.message;
  const newer = told(hello({ protocolVersion: PROTOCOL_VERSION + 1, methods: NEEDED_METHODS }, "9.9"));
  for (const part of ["/bin/pillion", "pillion 9.9", `speaks version ${PROTOCOL_VERSION + 1}`, `needs version ${PROTOCOL_VERSION}`, INSTALL]) {
    assert.ok(newer.includes(part), `${part} in: ${newer}`);
  }
  assert.match(told(hello({ protocolVersion: "1", methods: NEEDED_METHODS })), /of an unknown version and speaks no known version/);
  const older = told(hello({ protocolVersion: PROTOCOL_VERSION, methods: NEEDED_METHODS.filter((method) => method !== "session/export") }, "0.0.1"));
  assert.match(older, /pillion 0\.0\.1, which has no session\/export\. Install a newer one with `cargo install/);
  assert.match(told({ serverInfo: { name: "rust-analyzer", version: "1" } }), /rust-analyzer 1, which does not speak pillion's protocol\. Set pillion\.path/);
});

test("every end has a sentence of its own", () => {
  assert.equal(exitSentence(null, "SIGKILL"), "pillion was ended by SIGKILL.");
  assert.equal(exitSentence(143, null), "pillion was ended by signal 15.");
  assert.equal(exitSentence(77, null), "pillion ended with exit code 77.");
  const known = [0, 1, 2, 3, 101].map((code) => exitSentence(code, null));
  assert.equal(new Set(known).size, known.length);
  assert.ok(known.every((sentence) => !sentence.includes("exit code")));
});
