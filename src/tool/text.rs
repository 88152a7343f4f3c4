//! Text on its way to a model or a person. Every cut of a text is made here, and always between two characters.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest beginning of `text` that has at most `max` bytes and splits no character.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// `text` with what a person cannot see (control characters, line breaks, marks that reorder text) written out as
/// `\u{..}`, so that a file name can forge neither a line nor a direction.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_invisible(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("añb", 0), "");
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("añb", 99), "añb");
        assert_eq!(cut("👩‍🚀", 3), "");
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible("src/main.rs"), "src/main.rs");
        assert_eq!(visible("a\nb\u{202e}c\u{1b}[0m"), "a\\u{a}b\\u{202e}c\\u{1b}[0m");
    }

    proptest! {
        #[test]
        fn a_cut_is_the_longest_that_fits(text: String, max in 0usize..40) {
            let kept = cut(&text, max);
            prop_assert!(text.starts_with(kept) && kept.len() <= max);
            let next = text[kept.len()..].chars().next();
            prop_assert!(next.is_none_or(|c| kept.len() + c.len_utf8() > max));
        }
    }
}
