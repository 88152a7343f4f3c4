//! The paper that the story is written on, and how times are written.

use crate::text::plain;
use std::borrow::Cow;
use unicode_width::UnicodeWidthStr as _;

/// Lines of plain text that fit a width. What goes in may hold anything; what comes out cannot deceive a reader.
#[derive(Debug)]
pub(super) struct Story {
    text: String,
    /// In columns of a terminal. What has no blank is never cut, and may be longer.
    width: usize,
}

/// The width of what stands before a text: a label of the first lines, and one of a fact.
const LEAD: usize = 16;
const FACT: usize = 13;
/// How far the further lines of a heading are indented, and those of everything on paper that is too narrow for labels.
const NARROW: usize = 4;
/// Below this width a column of labels takes too much.
const WIDE_ENOUGH: usize = 40;

impl Story {
    pub(super) fn on_paper(width: usize) -> Self {
        Self { text: String::new(), width }
    }

    /// One of the first lines, which are for whoever reads no further.
    pub(super) fn lead(&mut self, label: &str, text: &str) {
        self.line(&format!("{label:LEAD$}"), LEAD, text);
    }

    /// A heading, with an empty line before it unless it is the first.
    pub(super) fn head(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line("", NARROW, text);
    }

    /// One thing that is known.
    pub(super) fn fact(&mut self, label: &str, text: &str) {
        let label = format!("  {label}");
        self.line(&format!("{label:FACT$}"), FACT, text);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// `text` behind `start`, its further lines indented by `hang`.
    fn line(&mut self, start: &str, hang: usize, text: &str) {
        let hang = if self.width < WIDE_ENOUGH { NARROW } else { hang };
        self.text.push_str(start);
        let mut column = start.width();
        let mut gap = 0;
        for word in plain(text).split(' ') {
            let width = word.width();
            if column + gap + width > self.width && column > hang {
                self.text.truncate(self.text.trim_end_matches(' ').len());
                self.text.push('\n');
                (column, gap) = (0, hang);
            }
            self.text.extend(std::iter::repeat_n(' ', gap));
            self.text.push_str(word);
            column += gap + width;
            gap = 1;
        }
        self.text.push('\n');
    }
}

/// A text as a sentence of its own.
pub(super) fn sentence_of(clause: &str) -> Cow<'_, str> {
    let mut letters = clause.chars();
    match letters.next() {
        None => Cow::Borrowed(""),
        Some(first) => Cow::Owned(format!("{}{}.", first.to_uppercase(), letters.as_str())),
    }
}

/// A wall-clock time in UTC.
pub(super) fn wall(at: Option<u64>) -> String {
    let at = at.and_then(|ms| i64::try_from(ms).ok()).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "at an unrecorded time".into(), |at| format!("{at:.3}"))
}

/// A monotonic duration in the unit that people can picture.
pub(super) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{:03} ms", us / 1_000, us % 1_000),
        _ => format!("{}.{:03} s", us / 1_000_000, us / 1_000 % 1_000),
    }
}

/// `1 update`, `2 updates`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(width: usize, tell: impl FnOnce(&mut Story)) -> String {
        let mut story = Story::on_paper(width);
        tell(&mut story);
        story.into_text()
    }

    #[test]
    fn what_does_not_fit_goes_on_below_where_it_began() {
        let text = told(44, |story| {
            story.head("Stop 1 of 2: abort_1, and a heading that goes on");
            story.fact("who", "nvim 0.11 by request 7, and then some more of it");
        });
        let lines = [
            "Stop 1 of 2: abort_1, and a heading that",
            "    goes on",
            "  who        nvim 0.11 by request 7, and",
            "             then some more of it",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_word_is_never_cut_and_narrow_paper_has_no_column_of_labels() {
        let id = "conn_01a20331f86c712eb7a410759ec60886";
        let lines = |width| told(width, |story| story.fact("on", &format!("{id} and more words")));
        assert_eq!(lines(60), format!("  on         {id} and more\n             words\n"));
        assert_eq!(lines(20), format!("  on\n    {id}\n    and more words\n"));
        assert_eq!(lines(0), format!("  on\n    {id}\n    and\n    more\n    words\n"));
    }

    #[test]
    fn columns_are_counted_and_not_characters() {
        let title = "世界 世界 世界 世界 世界 世界 世界 世界";
        assert_eq!(told(40, |story| story.fact("title", title)), "  title      世界 世界 世界 世界 世界\n             世界 世界 世界\n");
    }

    #[test]
    fn blanks_within_a_line_are_kept() {
        assert_eq!(told(100, |story| story.fact("input", "a  b   c")), "  input      a  b   c\n");
    }
}
