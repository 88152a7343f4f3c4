// Which lines a change takes away and which it brings, for a card that must show all of it.

export interface Row {
  sign: " " | "-" | "+" | "…";
  text: string;
}

/** The most pairs of lines that are compared; a larger change is shown as all old and all new lines. */
const MAX_PAIRS = 1_000_000;

/** Unchanged lines around a change. */
const CONTEXT = 3;

export function diffRows(oldText: string | undefined, newText: string): Row[] {
  const before = oldText === undefined ? [] : lines(oldText);
  const after = lines(newText);
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < before.length - head && tail < after.length - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const rows: Row[] = [
    ...before.slice(0, head).map((text): Row => ({ sign: " ", text })),
    ...middle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map((text): Row => ({ sign: " ", text })),
  ];
  return folded(rows);
}

/** A text's lines. That the last one has no end is a difference like any other. */
function lines(text: string): string[] {
  const all = text.split("\n");
  const last = all.pop()!;
  return last === "" ? all : [...all, `${last} ⟨no newline at the end⟩`];
}

function middle(before: string[], after: string[]): Row[] {
  const [rows, columns] = [before.length, after.length];
  if (rows * columns > MAX_PAIRS) {
    return [...before.map((text): Row => ({ sign: "-", text })), ...after.map((text): Row => ({ sign: "+", text }))];
  }
  // common[i][j]: the most lines that before[i..] and after[j..] have in common, in order.
  const width = columns + 1;
  const common = new Uint32Array((rows + 1) * width);
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      common[i * width + j] =
        before[i] === after[j] ? common[(i + 1) * width + j + 1]! + 1 : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!);
    }
  }
  const result: Row[] = [];
  let [i, j] = [0, 0];
  while (i < rows || j < columns) {
    if (i < rows && j < columns && before[i] === after[j]) {
      result.push({ sign: " ", text: before[i++]! });
      j++;
    } else if (j >= columns || (i < rows && common[(i + 1) * width + j]! >= common[i * width + j + 1]!)) {
      result.push({ sign: "-", text: before[i++]! });
    } else {
      result.push({ sign: "+", text: after[j++]! });
    }
  }
  return result;
}

/** Folds what is unchanged and far from every change. */
function folded(rows: Row[]): Row[] {
  const near = rows.map(() => false);
  rows.forEach((row, at) => {
    if (row.sign !== " ") near.fill(true, Math.max(0, at - CONTEXT), at + CONTEXT + 1);
  });
  const result: Row[] = [];
  for (let at = 0; at < rows.length; ) {
    let end = at;
    while (end < rows.length && !near[end]) end++;
    if (end - at > 1) {
      result.push({ sign: "…", text: `${end - at} unchanged lines` });
      at = end;
    } else {
      result.push(rows[at++]!);
    }
  }
  return result;
}
