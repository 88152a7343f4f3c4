//! Text on its way to a model or a person. Every cut of a text is made here, always between two characters; and here stands
//! which characters would deceive who reads it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

/// The longest beginning of `text` that has at most `max` bytes and splits no character.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// The first `max` characters of `text`.
pub fn first(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}

/// The place of the whole characters that `place` touches.
pub fn whole_characters(text: &str, place: Range<usize>) -> Range<usize> {
    text.floor_char_boundary(place.start)..text.ceil_char_boundary(place.end)
}

/// Prose on one line: what would move the cursor, turn text around or hide it is written out, such as `\n` or `\u{202e}`.
/// What joins emoji and letters stays.
pub fn plain(text: &str) -> Cow<'_, str> {
    written_out(text, deceives, |c, shown| shown.extend(c.escape_default()))
}

/// What must be read exactly, such as a path or a command: every character that cannot be seen, or looks like a blank, is
/// written out, such as `⟨U+000A⟩`. No two texts look the same, since the bracket is written out too.
pub fn exact(text: &str) -> Cow<'_, str> {
    written_out(text, is_no_plain_letter, by_number)
}

/// The same for a line of a program, where a tab is what it looks like.
pub fn exact_line(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c != '\t' && is_no_plain_letter(c), by_number)
}

/// A word for a shell: as it is if no shell makes anything else of it, else in quotes.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// A word that reads the same whether the client renders Markdown or not: in a code span, if a renderer would make anything else
/// of it.
pub fn span(text: &str) -> Cow<'_, str> {
    let is_markup = |(at, c): (usize, char)| match c {
        '\\' | '`' | '*' | '<' | '>' | '&' | '[' | ']' | '~' | '$' | '|' | '#' | ':' | '!' | '^' | '"' | '\'' => true,
        // Within a word it is nothing but itself.
        '_' => {
            let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !(is_letter(text[..at].chars().next_back()) && is_letter(text[at + 1..].chars().next()))
        }
        '-' | '.' | ' ' => text[at + 1..].starts_with(c),
        _ => false,
    };
    if !text.char_indices().any(is_markup) && text.trim().len() == text.len() {
        return Cow::Borrowed(text);
    }
    let ticks = "`".repeat(1 + longest_run(text, '`'));
    // One blank on either side is taken off again, if there is one on both and anything else between them.
    let is_padded = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let blank = if is_padded && text.contains(|c| c != ' ') { " " } else { "" };
    Cow::Owned(format!("{ticks}{blank}{text}{blank}{ticks}"))
}

/// Lines in a code block that none of them can end.
pub fn block(language: &str, lines: &str) -> String {
    let fence = "`".repeat(3.max(1 + longest_run(lines, '`')));
    format!("{fence}{language}\n{lines}\n{fence}")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(|run| run.len() / of.len_utf8()).max().unwrap_or(0)
}

fn is_no_plain_letter(c: char) -> bool {
    c == '⟨' || deceives(c) || joins(c) || (c.is_whitespace() && c != ' ')
}

fn by_number(c: char, shown: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(c));
}

fn written_out(text: &str, is_written_out: impl Fn(char) -> bool, write_out: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&is_written_out) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_written_out(c) {
            write_out(c, &mut shown);
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The longest name, in characters.
pub const MAX_NAME_CHARS: usize = 80;

/// Whether `text` can be read out as the name of something: short, on one line, and with nothing in it that cannot be seen.
pub fn is_name(text: &str) -> bool {
    first(text, MAX_NAME_CHARS).len() == text.len() && !text.contains(|c: char| deceives(c) || joins(c) || (c.is_whitespace() && c != ' '))
}

fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Bidirectional marks, embeddings, overrides and isolates; line and paragraph separators.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Invisible: zero-width space, word joiner and its kin, byte order mark, the copy of ASCII in tag characters.
            | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// Shows nothing of its own, and has a place in prose.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200c}' | '\u{200d}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0100}'..='\u{e01ef}')
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
        assert_eq!([first("añb", 0), first("añb", 2), first("añb", 3), first("añb", 9)], ["", "añ", "añb", "añb"]);
    }

    #[test]
    fn what_deceives_is_written_out_and_the_rest_is_untouched() {
        assert_eq!(plain("a\u{1b}[2J\r\n\u{202e}b\u{9b}\u{200b}"), "a\\u{1b}[2J\\r\\n\\u{202e}b\\u{9b}\\u{200b}");
        assert_eq!(exact("a\u{1b}[2J\n\u{202e}b\u{200b}"), "a⟨U+001B⟩[2J⟨U+000A⟩⟨U+202E⟩b⟨U+200B⟩");
        assert_eq!(exact("rm\u{e0020}\u{e002d}"), "rm⟨U+E0020⟩⟨U+E002D⟩", "letters that nobody sees");
        for shown in [plain, exact] {
            for text in ["src/main.rs", "Grüße, 世界", "שלום", ""] {
                assert!(matches!(shown(text), Cow::Borrowed(kept) if kept == text));
            }
        }
        let emoji = "\u{1f468}\u{200d}\u{1f469} \u{2764}\u{fe0f}";
        assert_eq!((plain(emoji).as_ref(), exact(emoji).as_ref()), (emoji, "\u{1f468}⟨U+200D⟩\u{1f469} \u{2764}⟨U+FE0F⟩"));
        assert_eq!(exact("ma\u{ad}in\u{e0101}.rs"), "ma⟨U+00AD⟩in⟨U+E0101⟩.rs");
        assert_eq!(exact("a\u{a0}b\u{2003}c\u{2800}d\u{3000}e"), "a⟨U+00A0⟩b⟨U+2003⟩c⟨U+2800⟩d⟨U+3000⟩e");
    }

    #[test]
    fn a_name_is_short_and_hides_nothing() {
        for name in ["Visual Studio Code", "0.1.0+build.7", "req/2026/17", "deepseek/deepseek-r1:free", "エディタ", "", &"é".repeat(80)]
        {
            assert!(is_name(name), "{name}");
        }
        for no_name in ["a\nb", "a\tb", "a\u{a0}b", "a\u{202e}b", "a\u{200b}b", "a\u{ad}b", "a\u{1b}[2J", "a\u{e0041}", &"é".repeat(81)] {
            assert!(!is_name(no_name), "{no_name:?}");
        }
    }

    #[test]
    fn no_two_texts_look_the_same() {
        assert_eq!(exact("# tidy\nrm -rf x"), "# tidy⟨U+000A⟩rm -rf x");
        assert_eq!(exact(r"# tidy\nrm -rf x"), r"# tidy\nrm -rf x");
        assert_eq!((exact_line("\ta\n"), exact("\ta")), ("\ta⟨U+000A⟩".into(), "⟨U+0009⟩a".into()));
        assert_eq!(exact("# tidy⟨U+000A⟩rm -rf x"), "# tidy⟨U+27E8⟩U+000A⟩rm -rf x");
    }

    /// What a client shows that renders Markdown.
    fn rendered(markdown: &str) -> String {
        use pulldown_cmark::{Event, Options, Parser};
        let text = |event| match event {
            Event::Text(text) | Event::Code(text) => text.into_string(),
            Event::SoftBreak | Event::HardBreak => "\n".into(),
            _ => String::new(),
        };
        Parser::new_ext(markdown, Options::all()).map(text).collect()
    }

    #[test]
    fn a_word_stands_in_a_code_span_only_if_it_must() {
        for plain in ["cargo test", "src/foo_bar.rs", "seq 3", "a-b.c"] {
            assert_eq!(span(plain), plain);
        }
        assert_eq!(span("rm *"), "`rm *`");
        assert_eq!(span("`a` b"), "`` `a` b ``");
        assert_eq!((rendered(&span(" ")), rendered(&span("   "))), (" ".into(), "   ".into()));
        assert_eq!(block("sh", "a\n```\nb"), "````sh\na\n```\nb\n````");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_whole_whether_markdown_is_rendered_or_not(text in "([a-z`~ _*#<>!&\\\\\\[\\]().:\"'$|^-]|\\PC){1,40}") {
            let text = exact(&text);
            prop_assert_eq!(rendered(&format!("Run {}", span(&text))), format!("Run {text}"));
            let lines = text.replace(' ', "\n");
            prop_assert_eq!(rendered(&block("sh", &lines)), format!("{lines}\n"));
        }

        #[test]
        fn a_cut_is_the_longest_that_fits(text: String, max in 0usize..40) {
            let kept = cut(&text, max);
            prop_assert!(text.starts_with(kept) && kept.len() <= max);
            let next = text[kept.len()..].chars().next();
            prop_assert!(next.is_none_or(|c| kept.len() + c.len_utf8() > max));
        }
    }
}
