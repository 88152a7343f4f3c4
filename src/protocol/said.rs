//! The sentences that pillion itself writes where a record also has room for the words of others: a sanitized export keeps
//! them and nothing else there.
//!
//! Invariant: the list is closed. What may vary in a sentence is one word of a closed list, or a number; or it is what others
//! have said, and that is hidden for itself.

use super::cause::Cause;
use std::fmt::Display;

/// What stands in a sentence for a word of a closed list, or a number.
const WORD: &str = "{}";
/// What stands in a sentence for an address, a file, or the words of a provider or a library.
const OTHERS: &str = "{…}";

macro_rules! said {
    ($($name:ident = $text:literal;)*) => {
        $(pub const $name: &str = $text;)*
        const ALL: &[&str] = &[$($name),*];
    };
}

// Of two that read the same the longer one stands first.
said! {
    NOT_HANDED_OVER = "the request could not be handed over";
    NOT_ANSWERED = "the request was sent, and no answer began";
    ONLY_A_HEAD = "the answer's head came, and nothing of the answer";
    ONLY_A_HEAD_KEPT_ALIVE = "the answer's head came and the connection was kept alive, but nothing of the answer came";
    ONLY_KEPT_ALIVE = "an answer had begun and was kept alive, but said nothing more";
    FELL_SILENT = "an answer had begun, and nothing more came";
    TITLE_GAVE_WAY = "the title gave way to a turn, which the server would have let wait for it";
    UNFINISHED = "the stream ended, but the model never said that it had finished";
    CUT_OFF_SAYING = "{…} ended the stream before the model had finished; it said: {…}";
    CUT_OFF = "{…} ended the stream before the model had finished";
    NO_CLIENT = "no connection to {…} could be set up: {…}";
    CONNECTION_FAILED = "the connection to {…} failed: {…}";
    REDIRECTED_SAYING = "{…} answered {} {…} and points to {…}; redirects are not followed, set the base URL to the right place: {…}";
    REDIRECTED = "{…} answered {} {…} and points to {…}; redirects are not followed, set the base URL to the right place";
    NOT_A_STREAM = "{…} answered {} {…} without an event stream ({…}); check that the base URL ends where {…} follows";
    REFUSED_SAYING = "{…} answered {} {…}: {…}";
    REFUSED = "{…} answered {} {…}";
    OTHER_PROTOCOL = "{…} answers in {…}, which is not the protocol that it was asked in; {…}";
    REPORTED = "the provider reported an error inside the stream";
    ENDED_AS = "the provider ended the answer with the finish reason {…}";
    ONLY_THOUGHT = "the model thought and then ended without an answer (finish reason {…})";
    SAID_NOTHING = "the model ended without an answer (finish reason {…})";
    EVENT_UNREADABLE = "an event from {…} could not be read: {…}";
    EVENT_TOO_LARGE = "{…} sent an event of more than {} bytes";
    NOT_WRITTEN = "the request could not be written as JSON: {…}";
    NAMELESS_CALL = "the model called a tool without naming it";
    TOO_MANY_CALLS = "the model asked for more than {} tool calls in one answer (limits.max_answer_calls)";
    CALL_TOO_LONG = "a tool call has more than {} bytes (limits.max_call_bytes)";
    TOO_MUCH_TEXT = "the model wrote more than {} bytes in one turn (limits.max_turn_text_bytes)";
    BAD_HISTORY = "the history is not valid: the tool call {…}";
    SCRIPT_ENDED = "the script {…}; add it to the script or start a new session";
    SCRIPT_HUNG_UP = "the scripted stream ended before the model had finished";
    SCRIPT_REFUSED = "the scripted provider refused the request";
    SCRIPT_FAILED = "the scripted connection failed";
    SCRIPT_MADE_NO_SENSE = "the scripted answer made no sense";
    STORE_CLOSED = "the session store is closed; start pillion again to use it";
    STORE_CANNOT_OPEN = "the session store {…} cannot be opened ({…}); check that you may read and write it and its directory, or choose another with --data-dir";
    STORE_READ_ONLY = "the session store {…} is read-only; make it and its directory writable, or choose another with --data-dir";
    STORE_DAMAGED = "the session store {…} is damaged ({…}); it was left as it is: move it away with its -wal file to start with an empty store, and try `sqlite3 {…} .recover` to salvage it";
    STORE_FULL = "the disk of the session store {…} is full, or the file has reached the size that this process may write (`ulimit -f`); nothing more is kept until there is space";
    STORE_IO = "the session store {…} cannot be read or written ({…}); check the disk";
    STORE_NOT_FLUSHED = "the disk did not keep what had been written to the session store {…} ({…}); what was kept last may be lost if the machine stops; check the disk";
    STORE_BUSY = "another process has been writing to the session store {…} for too long; look for a pillion process that is stopped or hangs, and try again";
    STORE_VANISHED = "the session store {…} was deleted or replaced while pillion was running, so nothing more can be kept in it; start pillion again";
    STORE_UNREADABLE = "a record of the session store {…} cannot be read by this version ({…}); a newer pillion may have written it";
    STORE_FAILED = "the session store {…} failed ({…}); this is a bug in pillion; please report it";
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
    RUNNER_PANICKED = "the session's own task panicked";
    TURN_PANICKED = "the turn's own task panicked";
}

/// A piece of one of the sentences above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    Ours(&'t str),
    Others(&'t str),
}

/// One of the sentences above, with what belongs in its places.
pub fn with(sentence: &str, values: &[&dyn Display]) -> String {
    let (mut text, mut rest, mut values) = (String::new(), sentence, values.iter());
    while let Some((before, place, after)) = place(rest) {
        text.push_str(before);
        // A place that is left empty stays one.
        text.push_str(&values.next().map_or_else(|| place.to_owned(), ToString::to_string));
        rest = after;
    }
    text + rest
}

/// `text` in its pieces, if it is one of them; `is_tool` knows the names of the tools.
pub fn pieces(text: &str, is_tool: impl Fn(&str) -> bool) -> Option<Vec<Piece<'_>>> {
    let is_word = |word: &str| word.parse::<f32>().is_ok() || Cause::NAMES.contains(&word) || is_tool(word);
    ALL.iter().find_map(|sentence| read(text, sentence, &is_word))
}

/// `text`, if it reads as the sentence, with words in it for which `is_word` speaks.
fn read<'t>(text: &'t str, sentence: &str, is_word: &dyn Fn(&str) -> bool) -> Option<Vec<Piece<'t>>> {
    let Some((before, place, after)) = place(sentence) else { return (text == sentence).then(|| vec![Piece::Ours(text)]) };
    let rest = text.strip_prefix(before)?;
    // What stands there ends where the next piece of the sentence begins.
    let next = self::place(after).map_or(after, |(next, ..)| next);
    let ends = if next.is_empty() { vec![rest.len()] } else { rest.match_indices(next).map(|(at, _)| at).collect() };
    ends.into_iter().find_map(|end| {
        let value = &rest[..end];
        let value = if place == OTHERS { Piece::Others(value) } else { is_word(value).then_some(Piece::Ours(value))? };
        let behind = read(&rest[end..], after, is_word)?;
        Some([Piece::Ours(&text[..before.len()]), value].into_iter().chain(behind).collect())
    })
}

/// The first place of a sentence: what stands before it, which kind it is, and what stands behind it.
fn place(sentence: &str) -> Option<(&str, &str, &str)> {
    let at = |kind: &'static str| sentence.find(kind).map(|at| (at, kind));
    let (at, kind) = at(WORD).into_iter().chain(at(OTHERS)).min()?;
    Some((&sentence[..at], kind, &sentence[at + kind.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with what is hidden of it, or nothing if it is no sentence of ours.
    fn shown(text: &str) -> Option<String> {
        let shown = |piece| match piece {
            Piece::Ours(ours) => ours,
            Piece::Others(_) => "*",
        };
        pieces(text, |word| word == "shell").map(|pieces| pieces.into_iter().map(shown).collect())
    }

    #[test]
    fn a_sentence_is_ours_with_a_word_that_is_and_with_no_other() {
        for ours in [
            FELL_SILENT.to_owned(),
            with(TITLE_TIMED_OUT, &[&2.5]),
            with(TITLE_STOPPED, &[&"client_eof"]),
            with(TOOL_PANICKED, &[&"shell"]),
            with(SENT_BY, &[&7, &0]),
        ] {
            assert_eq!(shown(&ours), Some(ours));
        }
        for foreign in [
            "",
            "{}",
            "{…}",
            "the tool hunter2 panicked",
            "the tool shell panicked, says hunter2",
            "the generation was stopped: hunter2",
            "sent by process 7 of user hunter2",
            "sent by process 7",
            "hunter2 answered nothing",
        ] {
            assert_eq!(shown(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_others_said_is_told_apart_from_the_sentence() {
        let origin = "http://127.0.0.1:8080";
        for (text, kept) in [
            (with(CUT_OFF, &[&origin]), "* ended the stream before the model had finished"),
            (with(CUT_OFF_SAYING, &[&origin, &"a; it said: b"]), "* ended the stream before the model had finished; it said: *"),
            (with(REFUSED, &[&origin, &503, &"Service Unavailable"]), "* answered 503 *"),
            (with(REFUSED_SAYING, &[&origin, &503, &"Service Unavailable", &"try: again"]), "* answered 503 *: *"),
            (with(STORE_FULL, &[&"/home/me/{}/store.db"]), &STORE_FULL.replace(OTHERS, "*")),
            (with(EVENT_TOO_LARGE, &[&origin, &9]), "* sent an event of more than 9 bytes"),
        ] {
            assert_eq!(shown(&text).as_deref(), Some(kept), "{text}");
        }
    }

    #[test]
    fn every_sentence_is_told_as_itself_or_as_one_that_hides_no_less() {
        for sentence in ALL {
            let text = sentence.replace(OTHERS, "hunter2").replace(WORD, "7");
            let shown = shown(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
