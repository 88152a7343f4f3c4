// How long ago something was, for the session list.

/** In one short word. `updatedAt` is RFC 3339, `now` milliseconds since 1970. */
export function age(updatedAt: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(updatedAt)) / 1000);
  const units: [number, string][] = [[86_400 * 365, "y"], [86_400 * 30, "mo"], [86_400, "d"], [3_600, "h"], [60, "min"]];
  const [length, unit] = units.find(([length]) => seconds >= length) ?? [1, ""];
  return unit === "" ? "now" : `${Math.floor(seconds / length)} ${unit}`;
}
