//! From one text to another by the lines that differ. Invariant: the edits applied to the old text give exactly the new one.

use crate::tool::editor_files::{Point, TextEdit};
use crate::tool::hunks::{Hunk, hunks, lines};

/// The edits, in the order of their lines, without an overlap.
pub(super) fn edits(old: &str, new: &str) -> Vec<TextEdit> {
    if has_lone_return(old) {
        // Whether that ends a line is counted differently by each editor; that a range beyond the end means the end, is not.
        let beyond = Point { line: old.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1, character: 0 };
        return vec![TextEdit { start: Point::default(), end: beyond, text: new.to_owned() }];
    }
    let (before, after) = (lines(old), lines(new));
    let point = |line: usize| match before.last() {
        // Behind a last line that does not end is no other line.
        Some(last) if line == before.len() && !last.ends_with('\n') => Point { line: line - 1, character: last.encode_utf16().count() },
        _ => Point { line, character: 0 },
    };
    let edit = |Hunk { old, new }: Hunk| TextEdit { start: point(old.start), end: point(old.end), text: after[new].concat() };
    hunks(&before, &after).into_iter().map(edit).collect()
}

fn has_lone_return(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1) != Some(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What an editor does with them.
    fn applied(old: &str, edits: &[TextEdit]) -> String {
        let offset = |point: Point| {
            let start: usize = old.split_inclusive('\n').take(point.line).map(str::len).sum();
            let mut units = 0;
            let line = old[start..].char_indices().find(|(_, c)| {
                let is_there = units == point.character;
                units += c.len_utf16();
                is_there
            });
            line.map_or(old.len(), |(at, _)| start + at)
        };
        let mut text = old.to_owned();
        for edit in edits.iter().rev() {
            text.replace_range(offset(edit.start)..offset(edit.end), &edit.text);
        }
        text
    }

    fn edit(start: (usize, usize), end: (usize, usize), text: &str) -> TextEdit {
        let point = |(line, character)| Point { line, character };
        TextEdit { start: point(start), end: point(end), text: text.into() }
    }

    #[test]
    fn only_the_lines_that_differ_are_touched() {
        let old = "a\r\nb\r\nc\r\nd\r\n";
        assert_eq!(edits(old, "a\r\nB\r\nc\r\nd\r\ne\r\n"), [edit((1, 0), (2, 0), "B\r\n"), edit((4, 0), (4, 0), "e\r\n")]);
        assert_eq!(edits("a\n𝄞b", "a\nc"), [edit((1, 0), (1, 3), "c")]);
        assert_eq!(edits("", "x\n"), [edit((0, 0), (0, 0), "x\n")]);
        assert_eq!(edits("a\rb\n", "c\n"), [edit((0, 0), (3, 0), "c\n")]);
    }

    proptest! {
        #[test]
        fn the_edits_lead_from_one_text_to_the_other(old in "([aé𝄞]|\r?\n){0,12}", new in "([aé𝄞]|\r?\n){0,12}") {
            prop_assert_eq!(applied(&old, &edits(&old, &new)), new);
        }
    }
}
