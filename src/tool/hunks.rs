//! Where two texts differ, by lines: for the edits of a document, and for people who are asked whether they agree.
//!
//! Invariant: no difference is left out, and the lines outside of all hunks are the same in both.

use crate::text::exact_line;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};
use std::ops::Range;
use std::time::{Duration, Instant};

/// After this long the rest of the texts is taken as different.
const DEADLINE: Duration = Duration::from_millis(200);

/// Lines of the old text, and the lines of the new one that stand in their place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hunk {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// In the order of their lines, with a line between any two of them.
pub(super) fn hunks(old: &[&str], new: &[&str]) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    // Counted here: of an operation of `similar`, the lengths are right, and not always the indexes.
    let mut open = Hunk::default();
    for op in capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(Instant::now() + DEADLINE)) {
        let (old, new) = (op.old_range().len(), op.new_range().len());
        if !matches!(op, DiffOp::Equal { .. }) {
            open.old.end += old;
            open.new.end += new;
            continue;
        }
        let next = Hunk { old: open.old.end + old..open.old.end + old, new: open.new.end + new..open.new.end + new };
        hunks.push(std::mem::replace(&mut open, next));
    }
    hunks.push(open);
    hunks.retain(|hunk| !hunk.old.is_empty() || !hunk.new.is_empty());
    hunks
}

/// The lines of `text` with their ends.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Every line that goes (`-`) and comes (`+`), as a person can read it; each hunk that is not at the first line says at which it is.
pub fn changes(old: &str, new: &str) -> Vec<String> {
    let (before, after) = (lines(old), lines(new));
    let mut shown = Vec::new();
    for hunk in hunks(&before, &after) {
        if hunk.old.start > 0 {
            shown.push(format!("@ line {}", hunk.old.start + 1));
        }
        shown.extend(before[hunk.old].iter().map(|line| told('-', line)));
        shown.extend(after[hunk.new].iter().map(|line| told('+', line)));
    }
    shown
}

fn told(sign: char, line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => format!("{sign} {}", exact_line(line)),
        None => format!("{sign} {} [no line end]", exact_line(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_difference_is_shown_and_none_can_hide() {
        let shown = |old, new| changes(old, new);
        assert_eq!(shown("a\nb\nc\nd\n", "A\nb\nc\nD\ne\n"), ["- a", "+ A", "@ line 4", "- d", "+ D", "+ e"]);
        assert_eq!(shown("", "x\ny\n"), ["+ x", "+ y"]);
        assert_eq!(shown("x\n", ""), ["- x"]);
        assert_eq!(shown("a\r\nb\n", "a\nb"), ["- a⟨U+000D⟩", "- b", "+ a", "+ b [no line end]"]);
        assert_eq!(shown("a\n", "a\n\u{202e}b\u{1b}[2K\n"), ["@ line 2", "+ ⟨U+202E⟩b⟨U+001B⟩[2K"]);
        assert_eq!(shown("a\n", "a\n"), [""; 0]);
    }

    proptest! {
        #[test]
        fn the_hunks_lead_from_one_text_to_the_other(old in "([ab]\n){0,12}", new in "([ab]\n){0,12}") {
            let (before, after) = (lines(&old), lines(&new));
            let mut text = before.clone();
            for hunk in hunks(&before, &after).into_iter().rev() {
                text.splice(hunk.old, after[hunk.new].iter().copied());
            }
            prop_assert_eq!(text, after);
        }
    }
}
