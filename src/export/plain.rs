//! Text that people read: nothing in it may move the cursor, hide or turn around what stands beside it.

use std::borrow::Cow;

/// `text` with control, bidirectional and invisible characters written out, such as `\u{202e}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_deceptive(char) {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

fn is_deceptive(char: char) -> bool {
    char.is_control()
        || matches!(char,
            // Bidirectional marks, embeddings, overrides and isolates.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Invisible: zero-width space, word joiner and its kin, byte order mark, tag characters.
            | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_written_out_and_the_rest_is_untouched() {
        assert_eq!(plain("a\u{1b}[2J\r\n\u{202e}b\u{9b}\u{200b}"), "a\\u{1b}[2J\\r\\n\\u{202e}b\\u{9b}\\u{200b}");
        for text in ["Grüße, 世界, \u{1f468}\u{200d}\u{1f469}", "שלום", ""] {
            assert!(matches!(plain(text), Cow::Borrowed(kept) if kept == text));
        }
    }
}
