//! One edit of a text. Pure. Invariant: it is blind to the kind of line ends, and what it puts in gets the kind that stands
//! there; all that is not replaced stays as it was.

use super::near::Near;
use std::borrow::Cow;

/// The most places that are named when a text is found too often.
const MAX_TOLD: usize = 10;

/// A piece of text and what is to stand in its place.
#[derive(Debug)]
pub(super) struct Hunk {
    pub(super) old: String,
    pub(super) new: String,
    pub(super) occurrence: Occurrence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurrence {
    /// There must be no second one.
    Only,
    Every,
}

/// Why an edit cannot be made, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("old_text not found{0}; read the file again")]
    NotFound(Near),
    #[error("old_text occurs {}; include more of the surrounding lines, or set replace_all to true", times(.0))]
    Ambiguous(Vec<usize>),
    #[error("old_text is empty, but the file has text; give the text to replace")]
    Empty,
    #[error("old_text and new_text are the same, so nothing would change")]
    Same,
    #[error("the text would be too large")]
    TooLarge,
}

impl Hunk {
    /// The text with this edit, and in how many places it was made. One that would have many more bytes than `limit` is not made.
    pub(super) fn apply(&self, text: &str, limit: usize) -> Result<(String, usize), Problem> {
        let (old, new) = (with_lf(&self.old), with_lf(&self.new));
        if old == new {
            return Err(Problem::Same);
        }
        if old.is_empty() {
            let is_blank = text.trim_start_matches('\u{feff}').is_empty();
            return if is_blank { Ok((format!("{text}{}", self.new), 1)) } else { Err(Problem::Empty) };
        }
        let plain = Plain::of(text);
        let found: Vec<_> = match self.occurrence {
            Occurrence::Every => memchr::memmem::find_iter(plain.text.as_bytes(), old.as_bytes()).collect(),
            Occurrence::Only => overlapping(&plain.text, &old).take(MAX_TOLD + 1).collect(),
        };
        match (found.as_slice(), self.occurrence) {
            ([], _) => return Err(Problem::NotFound(Near::of(&plain.text, &old))),
            ([_, _, ..], Occurrence::Only) => return Err(Problem::Ambiguous(found.iter().map(|at| line_of(&plain.text, *at)).collect())),
            _ => {}
        }
        if text.len() - found.len() * old.len() + found.len() * new.len() > limit {
            return Err(Problem::TooLarge);
        }
        let mut edited = String::with_capacity(text.len() + new.len());
        let mut kept = 0;
        for at in &found {
            let (from, to) = (plain.original(*at), plain.original(at + old.len()));
            edited.push_str(&text[kept..from]);
            self.put(&new, text, from, to, &mut edited);
            kept = to;
        }
        edited.push_str(&text[kept..]);
        Ok((edited, found.len()))
    }

    /// Writes `new` with the line ends of what it replaces: the first as the first there, and so on. Where none is replaced, with
    /// the nearest; in a text that has none, as it was given.
    fn put(&self, new: &str, text: &str, from: usize, to: usize, out: &mut String) {
        let nearest = || line_ends(&text[to..]).next().or_else(|| line_ends(&text[..from]).last());
        let mut replaced = line_ends(&text[from..to]);
        let Some(mut end) = replaced.next().or_else(nearest) else { return out.push_str(&self.new) };
        for (at, line) in new.split('\n').enumerate() {
            if at > 0 {
                out.push_str(end);
                end = replaced.next().unwrap_or(end);
            }
            out.push_str(line);
        }
    }
}

/// A text with LF alone.
struct Plain {
    text: String,
    /// Where each LF stands in `text` that had a CR before it.
    cut: Vec<usize>,
}

impl Plain {
    fn of(text: &str) -> Self {
        let mut plain = Self { text: String::with_capacity(text.len()), cut: Vec::new() };
        let mut kept = 0;
        for at in memchr::memmem::find_iter(text.as_bytes(), "\r\n") {
            plain.text.push_str(&text[kept..at]);
            plain.cut.push(plain.text.len());
            kept = at + 1;
        }
        plain.text.push_str(&text[kept..]);
        plain
    }

    /// Where the original has what stands at `at`; of a line end, its beginning.
    fn original(&self, at: usize) -> usize {
        at + self.cut.partition_point(|cut| *cut < at)
    }
}

fn with_lf(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { text.replace("\r\n", "\n").into() } else { text.into() }
}

fn line_ends(text: &str) -> impl Iterator<Item = &'static str> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'\n', bytes).map(move |at| if at > 0 && bytes[at - 1] == b'\r' { "\r\n" } else { "\n" })
}

/// Where `piece` begins in `text`, also within itself: `aa` is twice in `aaa`.
fn overlapping(text: &str, piece: &str) -> impl Iterator<Item = usize> {
    let finder = memchr::memmem::Finder::new(piece).into_owned();
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + finder.find(&text.as_bytes()[from..])?;
        from = at + 1;
        Some(at)
    })
}

/// The number of the line, from 1, that has the byte `at`.
fn line_of(text: &str, at: usize) -> usize {
    memchr::memchr_iter(b'\n', &text.as_bytes()[..at]).count() + 1
}

fn times(lines: &[usize]) -> String {
    let told: Vec<_> = lines.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    let told = told.join(", ");
    if lines.len() > MAX_TOLD {
        format!("more than {MAX_TOLD} times (lines {told} ...)")
    } else {
        format!("{} times (lines {told})", lines.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, old: &str, new: &str, occurrence: Occurrence) -> Result<String, String> {
        let hunk = Hunk { old: old.into(), new: new.into(), occurrence };
        hunk.apply(text, 1 << 20).map(|(text, _)| text).map_err(|problem| problem.to_string())
    }

    #[test]
    fn line_ends_are_those_that_stood_there() {
        for (text, old, new, edited) in [
            ("a\nb\nc\n", "b", "x", "a\nx\nc\n"),
            ("a\r\nb\r\nc", "a\nb", "x\ny\nz", "x\r\ny\r\nz\r\nc"),
            ("a\r\nb\r\nc", "a\r\nb\r\n", "x\n", "x\r\nc"),
            ("a\nb\nc", "a\r\nb", "x\r\ny", "x\ny\nc"),
            // Mixed: each keeps its own kind, the last goes on.
            ("a\r\nb\nc\r\n", "a\nb\nc", "1\n2\n3\n4", "1\r\n2\n3\n4\r\n"),
            // None replaced: the nearest.
            ("a\nb\r\nc", "b", "x\ny", "a\nx\r\ny\r\nc"),
            ("a\r\nb", "b", "x\ny", "a\r\nx\r\ny"),
            // None anywhere: as it was given.
            ("a", "a", "x\r\ny", "x\r\ny"),
            // A line end alone.
            ("a\r\nb", "\n", ", ", "a, b"),
            ("a\r\n\r\nb", "\n\n", "\n", "a\r\nb"),
            // A CR of its own is a character like any other.
            ("a\rb\r\n", "a\rb", "c", "c\r\n"),
            ("é\r\n€\r\n", "€", "ü", "é\r\nü\r\n"),
        ] {
            assert_eq!(apply(text, old, new, Occurrence::Only).as_deref(), Ok(edited), "{text:?}: {old:?} -> {new:?}");
        }
    }

    #[test]
    fn a_piece_that_is_there_more_than_once_is_named_by_its_lines() {
        let told = |lines: &str| Err(format!("old_text occurs {lines}; include more of the surrounding lines, or set replace_all to true"));
        assert_eq!(apply("a\nb\r\na\n", "a", "x", Occurrence::Only), told("2 times (lines 1, 3)"));
        assert_eq!(apply("aaa", "aa", "x", Occurrence::Only), told("2 times (lines 1, 1)"));
        let all = apply(&"a\n".repeat(11), "a", "x", Occurrence::Only);
        assert_eq!(all, told("more than 10 times (lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ...)"));
        assert_eq!(apply("a\nb\r\na\n", "a", "x", Occurrence::Every).as_deref(), Ok("x\nb\r\nx\n"));
        assert_eq!(apply("aaa", "aa", "x", Occurrence::Every).as_deref(), Ok("xa"));
    }

    #[test]
    fn an_empty_piece_fits_only_an_empty_text() {
        assert_eq!(apply("", "", "a\n", Occurrence::Only).as_deref(), Ok("a\n"));
        assert_eq!(apply("\u{feff}", "", "a\r\n", Occurrence::Only).as_deref(), Ok("\u{feff}a\r\n"));
        assert_eq!(apply("a", "", "b", Occurrence::Only), Err(Problem::Empty.to_string()));
        assert_eq!(apply("a", "a\r\n", "a\n", Occurrence::Only), Err(Problem::Same.to_string()));
    }

    #[test]
    fn what_would_grow_without_bound_is_not_made() {
        let hunk = Hunk { old: "a".into(), new: "b".repeat(1000), occurrence: Occurrence::Every };
        assert_eq!(hunk.apply(&"a".repeat(1000), 1000), Err(Problem::TooLarge));
    }
}
