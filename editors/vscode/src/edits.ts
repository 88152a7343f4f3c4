// Changes that pillion makes in open documents, and their saving.
//
// Invariant: what was as on the disk before a change is saved after it, so that commands see it; the user's own changes stay
// unsaved. pillion hears that a change was made when it is where it will stay.

/** A document as far as its saving is concerned; VS Code's own is one. */
export interface Savable {
  readonly isDirty: boolean;
  save(): Thenable<boolean>;
}

/** What is named by an edit of pillion's. */
export interface EditParams {
  edit: { documentChanges?: object[] };
}

export interface Room<Document extends Savable> {
  find(uri: string): Document | undefined;
  /** Sends pillion the texts that it has not heard yet: what saves may format them. */
  tell(): Promise<void>;
  /** Whether the user wants it saved. */
  saves(): boolean;
  failed(document: Document, why: string): void;
}

/** Makes the change by `next`, and saves what it can. */
export async function applyAndSave<Document extends Savable, Result extends { applied: boolean }>(
  params: EditParams,
  next: () => Promise<Result>,
  room: Room<Document>,
): Promise<Result> {
  const named = (params.edit.documentChanges ?? []).flatMap((change) =>
    "textDocument" in change ? [room.find((change.textDocument as { uri: string }).uri)] : [],
  );
  const clean = named.filter((document) => document !== undefined && !document.isDirty) as Document[];
  const result = await next();
  if (!result.applied || clean.length === 0 || !room.saves()) {
    return result;
  }
  await room.tell();
  for (const document of clean) {
    const why = await Promise.resolve(document.save()).then((saved) => (saved ? undefined : "the editor did not save it"), String);
    if (why !== undefined) {
      room.failed(document, why);
    }
  }
  return result;
}
