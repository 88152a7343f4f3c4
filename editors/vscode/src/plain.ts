// Text as people may read it: characters that would act, hide, or show text in another order are written out.

/** C0 and C1 controls but newline and tab; what turns the direction of text; tags that spell text nobody sees. */
const ACTING = "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f\\u{e0000}-\\u{e007f}";

/** Takes no room, or shows nothing: harmless in prose, where it joins emoji and letters, but not in a path or a diff. */
const UNSEEN = "\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200d\\u2060-\\u2065\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffb";

const IN_PROSE = new RegExp(`[${ACTING}]`, "gu");
const ANYWHERE = new RegExp(`[${ACTING}${UNSEEN}]`, "gu");

/** Prose: control and direction marks as `⟨U+202E⟩`, every line end as one newline. */
export function plain(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(IN_PROSE, written);
}

/** What must be read exactly, such as the text of a file: every character that cannot be seen is written out. */
export function exact(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ANYWHERE, written);
}

/** The same on one line, such as a path. */
export function exactLine(text: string): string {
  return text.replace(ANYWHERE, written).replace(/[\n\t]/g, written);
}

function written(character: string): string {
  return `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
