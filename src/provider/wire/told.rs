//! Words that were shown, so that none is shown twice when a server repeats them.

use super::answer::Source;

/// The words of one kind, in their order.
#[derive(Debug, Default)]
pub(super) struct Told {
    text: String,
    /// How far each way of repeating has come; a server repeats in the order in which it spoke.
    repeated: [usize; 4],
}

impl Told {
    /// What of `text` was not shown yet; [`Told::add`] follows.
    pub(super) fn new_in<'t>(&mut self, text: &'t str, source: Source) -> &'t str {
        let repeated = match source {
            Source::Delta => return text,
            Source::TextDone => &mut self.repeated[0],
            Source::PartDone => &mut self.repeated[1],
            Source::ItemDone => &mut self.repeated[2],
            Source::Whole => &mut self.repeated[3],
        };
        let rest = self.text.get(*repeated..).unwrap_or_default();
        if let Some(at) = rest.find(text).or_else(|| rest.find(text.trim())) {
            *repeated += at + text.trim().len();
            return "";
        }
        // It goes on where the pieces ended, or is something else altogether.
        let new = text.strip_prefix(rest).unwrap_or(text);
        *repeated = self.text.len() + new.len();
        new
    }

    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of words that come in these ways.
    fn shown(words: &[(Source, &str)]) -> String {
        let mut told = Told::default();
        for (source, text) in words {
            let new = told.new_in(text, *source).to_owned();
            told.add(&new);
        }
        told.text
    }

    #[test]
    fn words_are_shown_once_wherever_they_stand() {
        use Source::{Delta, ItemDone, PartDone, TextDone, Whole};
        assert_eq!(
            shown(&[(Delta, "he"), (Delta, "llo"), (TextDone, "hello"), (PartDone, "hello"), (ItemDone, "hello"), (Whole, "hello")]),
            "hello"
        );
        assert_eq!(shown(&[(Whole, "hello")]), "hello");
        assert_eq!(shown(&[(Delta, "he"), (TextDone, "hello"), (Whole, "hello")]), "hello");
        assert_eq!(shown(&[(Delta, "a"), (TextDone, "a"), (Delta, "b"), (TextDone, "b"), (Whole, "a"), (Whole, "b")]), "ab");
        assert_eq!(shown(&[(Delta, "a"), (Delta, "a"), (TextDone, "a"), (TextDone, "a")]), "aa");
        assert_eq!(shown(&[(Whole, "he"), (Whole, "l"), (Whole, "l"), (Whole, "o")]), "hello", "pieces in the place of deltas");
        assert_eq!(shown(&[(ItemDone, "a"), (ItemDone, "b"), (Whole, "a"), (Whole, "b"), (Whole, "c")]), "abc");
        assert_eq!(shown(&[(Delta, "hello"), (Whole, "hello\n")]), "hello");
    }
}
