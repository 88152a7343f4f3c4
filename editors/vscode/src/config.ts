// The settings: their names, their defaults, and what of them reaches the sidecar's command line.
//
// Invariant: `DEFAULTS` is the one list. A test compares `package.json` and the README with it. There is no setting for
// a key: keys live in the editor's secret storage alone.

export const SECTION = "pillion";

export const DEFAULTS = {
  path: "",
  model: "",
  titleModel: "",
  baseUrl: "",
  logLevel: "",
  "context.selection": true,
  "context.file": false,
  saveEdits: true,
};

export type Settings = typeof DEFAULTS;

/** The settings that the running sidecar was started with; a change of one takes a restart. */
export const LAUNCH: readonly (keyof Settings)[] = ["path", "model", "titleModel", "baseUrl", "logLevel"];

/** The settings as `get` knows them; a value of the wrong type counts as not set. */
export function readSettings(get: (key: string) => unknown): Settings {
  const entries = Object.entries(DEFAULTS).map(([key, byDefault]) => {
    const value = get(key);
    return [key, typeof value === typeof byDefault ? value : byDefault];
  });
  return Object.fromEntries(entries) as Settings;
}

/** The flags of pillion's command line for these settings; one that is empty is left to pillion's own configuration. */
export function flags(settings: Settings): string[] {
  const given: [string, string][] = [
    ["--model", settings.model],
    ["--title-model", settings.titleModel],
    ["--base-url", settings.baseUrl],
    ["--log-level", settings.logLevel],
  ];
  return given.filter(([, value]) => value.trim() !== "").map(([flag, value]) => `${flag}=${value.trim()}`);
}

/** The environment of the sidecar: this process's own without what belongs to the editor, and with the key. */
export function childEnvironment(own: NodeJS.ProcessEnv, key: string | undefined): NodeJS.ProcessEnv {
  const kept = Object.entries(own).filter(([name]) => !/^(VSCODE|ELECTRON)_/.test(name));
  return { ...Object.fromEntries(kept), ...(key === undefined ? {} : { PILLION_API_KEY: key }) };
}
