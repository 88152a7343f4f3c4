//! The sentences that pillion itself writes where a record also has room for the words of others: a sanitized export keeps
//! them and nothing else there.
//!
//! Invariant: the list is closed, and what may vary in a sentence is one word of a closed list, or a number.

use super::cause::Cause;

/// What stands in a sentence for its word.
const WORD: &str = "{}";

macro_rules! said {
    ($($name:ident = $text:literal;)*) => {
        $(pub const $name: &str = $text;)*
        const ALL: &[&str] = &[$($name),*];
    };
}

said! {
    NOT_HANDED_OVER = "the request could not be handed over";
    NOT_ANSWERED = "the request was sent, and no answer began";
    ONLY_A_HEAD = "the answer's head came, and nothing of the answer";
    ONLY_A_HEAD_KEPT_ALIVE = "the answer's head came and the connection was kept alive, but nothing of the answer came";
    ONLY_KEPT_ALIVE = "an answer had begun and was kept alive, but said nothing more";
    FELL_SILENT = "an answer had begun, and nothing more came";
    TITLE_GAVE_WAY = "the title gave way to a turn, which the server would have let wait for it";
    UNFINISHED = "the stream ended, but the model never said that it had finished";
    TITLE_TIMED_OUT = "the title model had not answered after {} s";
    TITLE_IS_EMPTY = "the title model answered without a title";
    TITLE_HAS_NO_WORDS = "the prompt has no words";
    TITLE_NOT_WANTED = "the user has set a title meanwhile, or the session is gone";
    TITLE_STOPPED = "the generation was stopped: {}";
    TITLE_DIED_WITH_ITS_TURN = "the process that wrote the title died with its turn";
    TITLE_DIED = "the process that wrote the title died";
    TITLE_PANICKED = "the title model's part of pillion panicked";
    READER_PANICKED = "reading the store panicked";
    PANIC_WITHOUT_WORDS = "it said nothing";
    SENT_BY = "sent by process {} of user {}";
    TOOL_PANICKED = "the tool {} panicked";
    TURN_PANICKED = "the turn's own task panicked";
}

/// One of the sentences above, with its word.
pub fn with(sentence: &str, word: impl ToString) -> String {
    sentence.replacen(WORD, &word.to_string(), 1)
}

/// Whether `text` is one of them; `is_tool` knows the names of the tools.
pub fn is_ours(text: &str, is_tool: impl Fn(&str) -> bool) -> bool {
    let is_word = |word: &str| word.parse::<f32>().is_ok() || Cause::NAMES.contains(&word) || is_tool(word);
    ALL.iter().any(|sentence| reads(text, sentence, &is_word))
}

/// Whether `text` is the sentence, with words in it for which `is_word` speaks.
fn reads(text: &str, sentence: &str, is_word: &dyn Fn(&str) -> bool) -> bool {
    let Some((before, after)) = sentence.split_once(WORD) else { return text == sentence };
    let Some(rest) = text.strip_prefix(before) else { return false };
    // The word ends where the next piece of the sentence begins.
    let next = after.split(WORD).next().unwrap_or_default();
    let end = if next.is_empty() { Some(rest.len()) } else { rest.find(next) };
    end.is_some_and(|end| is_word(&rest[..end]) && reads(&rest[end..], after, is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_ours_with_a_word_that_is_and_with_no_other() {
        let is_tool = |word: &str| word == "shell";
        for ours in [
            FELL_SILENT.to_owned(),
            with(TITLE_TIMED_OUT, 2.5),
            with(TITLE_STOPPED, "client_eof"),
            with(TOOL_PANICKED, "shell"),
            with(&with(SENT_BY, 7), 0),
        ] {
            assert!(is_ours(&ours, is_tool), "{ours}");
        }
        for foreign in [
            "",
            "{}",
            "the tool hunter2 panicked",
            "the tool shell panicked, says hunter2",
            "the generation was stopped: hunter2",
            "sent by process 7 of user hunter2",
            "sent by process 7",
        ] {
            assert!(!is_ours(foreign, is_tool), "{foreign}");
        }
    }
}
