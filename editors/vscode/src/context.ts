// What goes along with a prompt: the selection as its text, the current file as a pointer that pillion's tools follow.
//
// Invariant: only plain data in and out; the extension reads the editor and hands it over.

import type { ContentBlock } from "./protocol.ts";

/** The editor that was last looked at. */
export interface EditorSnapshot {
  /** A `file:` URI. */
  uri: string;
  /** The path within its workspace folder, or the whole path. */
  name: string;
  /** Lines count from 1, the last one included. Absent when nothing is selected. */
  selection?: { startLine: number; endLine: number; text: string };
}

export interface Attach {
  selection: boolean;
  file: boolean;
}

/** The blocks of a prompt. The selection travels as text, so that it is what the user saw even if the file changes. */
export function promptBlocks(text: string, attach: Attach, editor: EditorSnapshot | undefined): ContentBlock[] {
  const blocks: ContentBlock[] = [{ type: "text", text }];
  const { selection } = editor ?? {};
  if (editor !== undefined && attach.selection && selection !== undefined) {
    const uri = `${editor.uri}#L${selection.startLine}-L${selection.endLine}`;
    blocks.push({ type: "resource", resource: { uri, mimeType: "text/plain", text: selection.text } });
  }
  if (editor !== undefined && attach.file) {
    blocks.push({ type: "resource_link", uri: editor.uri, name: editor.name });
  }
  return blocks;
}

/** What a block that is no text is called in the conversation. */
export function blockLabel(block: ContentBlock): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "resource":
      return uriLabel(block.resource.uri);
    case "resource_link":
      return block.name;
    case "image":
      return "image";
  }
}

/** The last part of the path, with the lines: `main.rs:3-10`. */
export function uriLabel(uri: string): string {
  const [whole, start, end] = /#L(\d+)-L(\d+)$/.exec(uri) ?? [];
  const path = whole === undefined ? uri : uri.slice(0, -whole.length);
  const name = decoded(path.slice(path.lastIndexOf("/") + 1)) || path;
  return start === undefined ? name : `${name}:${start === end ? start : `${start}-${end}`}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
