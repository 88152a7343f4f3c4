//! Titles as text: what a model wrote made a title, and the prompt's first words where no model wrote one.

use crate::protocol::message::{Message, PartKind};

/// The longest title, in characters.
const MAX_TITLE_CHARS: usize = 100;
/// How many characters of the prompt become a title when no model makes one.
const FALLBACK_CHARS: usize = 60;

/// What a model wrote, made a title: no thinking, one line, no quotation marks, not too long.
pub(super) fn clean(text: &str) -> String {
    let mut rest = text;
    let mut outside = String::new();
    while let Some((before, after)) = rest.split_once("<think>") {
        outside.push_str(before);
        rest = after.split_once("</think>").map_or("", |(_, after)| after);
    }
    outside.push_str(rest);
    let line = outside.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | '#'));
    line.chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect::<String>().trim_end().to_owned()
}

/// The prompt's first words.
pub(super) fn fallback(words: &str) -> String {
    let mut title = String::new();
    let mut length = 0;
    for word in words.split_whitespace() {
        let word: String = word.chars().filter(|c| !c.is_control()).take(FALLBACK_CHARS).collect();
        let chars = word.chars().count();
        if length > 0 && length + 1 + chars > FALLBACK_CHARS {
            break;
        }
        if length > 0 {
            title.push(' ');
            length += 1;
        }
        title.push_str(&word);
        length += chars;
    }
    title
}

/// The prompt's text, whatever else it holds.
pub(super) fn prompt_text(prompt: &Message) -> String {
    let texts = prompt.parts.iter().filter(|part| part.kind == PartKind::Text);
    texts.filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_cleaned_of_thinking_quotes_and_length() {
        assert_eq!(clean("<think>hm\nhm</think>\n\n \"Fix the parser\"\nmore"), "Fix the parser");
        assert_eq!(clean("<think>never closed"), "");
        assert_eq!(clean(&"é".repeat(300)).chars().count(), MAX_TITLE_CHARS);
        assert_eq!(clean("# **Heading**"), "Heading");
    }

    #[test]
    fn the_fallback_is_the_first_words_cut_between_words() {
        assert_eq!(fallback("  explain\nthis   code "), "explain this code");
        assert_eq!(fallback(&"word ".repeat(40)).len(), 59);
        assert_eq!(fallback(&"x".repeat(200)).chars().count(), FALLBACK_CHARS);
        assert_eq!(fallback(&format!("{} next", "x".repeat(200))).chars().count(), FALLBACK_CHARS);
        assert_eq!(fallback(""), "");
    }
}
