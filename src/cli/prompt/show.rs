//! What a person or a script sees of a running turn: the model's text on stdout, everything else on stderr.
//!
//! Invariant: stdout holds the model's text and nothing else (or, with `--json`, one object a line), ends with a line
//! break, and is flushed with every update. stderr is written to only when it is a terminal.

use crate::protocol::content::ContentBlock;
use crate::text::plain;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::{self, Write};

/// How a turn is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The text as it is.
    Text,
    /// stdout is a terminal, and the same one as stderr if that is shown: nothing may move its cursor.
    Terminal,
    /// The parameters of each update as they came.
    Json,
}

/// What an update was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The session has its title now.
    Title,
    Other,
}

/// Shows one turn.
pub(super) struct Show<O, E> {
    style: Style,
    out: O,
    /// Absent when stderr is no terminal.
    progress: Option<E>,
    /// The last byte on stdout was a line break, or there was none yet.
    at_line_start: bool,
}

/// The part of a `session/update` that is shown.
#[derive(Deserialize)]
struct Params {
    update: Update,
}

#[derive(Deserialize)]
#[serde(tag = "sessionUpdate")]
enum Update {
    #[serde(rename = "agent_message_chunk")]
    Answer { content: ContentBlock },
    #[serde(rename = "tool_call")]
    Call { title: String },
    #[serde(rename = "session_info_update")]
    Info {
        title: Option<String>,
        #[serde(rename = "_meta")]
        meta: Option<InfoMeta>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct InfoMeta {
    pillion: InfoExtras,
}

#[derive(Deserialize)]
struct InfoExtras {
    retry: Option<Retry>,
    note: Option<Note>,
}

#[derive(Deserialize)]
struct Note {
    sentence: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    attempt: u64,
    max_attempts: u64,
    delay_ms: u64,
    sentence: String,
}

impl<O: Write, E: Write> Show<O, E> {
    pub(super) fn new(style: Style, out: O, progress: Option<E>) -> Self {
        Self { style, out, progress, at_line_start: true }
    }

    /// Shows one update. What cannot be read is nothing to show.
    pub(super) fn update(&mut self, params: &RawValue) -> io::Result<Shown> {
        let update = serde_json::from_str::<Params>(params.get()).map_or(Update::Other, |params| params.update);
        let shown = if matches!(update, Update::Info { title: Some(_), .. }) { Shown::Title } else { Shown::Other };
        match (self.style, update) {
            (Style::Json, _) => self.line(params.get())?,
            (_, Update::Answer { content: ContentBlock::Text { text } }) => self.text(&text)?,
            (_, Update::Call { title }) => self.note(&title),
            (_, Update::Info { title: Some(title), .. }) => self.note(&format!("title: {title}")),
            (_, Update::Info { meta: Some(InfoMeta { pillion: InfoExtras { retry, note } }), .. }) => {
                if let Some(Retry { attempt, max_attempts, delay_ms, sentence }) = retry {
                    self.note(&format!("{sentence} Attempt {attempt} of {max_attempts} in {delay_ms} ms."));
                }
                if let Some(Note { sentence }) = note {
                    self.note(&sentence);
                }
            }
            _ => {}
        }
        Ok(shown)
    }

    /// Ends the turn's text with a line break.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            self.text("\n")?;
        }
        Ok(())
    }

    /// The last line of `--json`: how the turn ended.
    pub(super) fn result(&mut self, result: &Value) -> io::Result<()> {
        if self.style == Style::Json { self.line(&result.to_string()) } else { Ok(()) }
    }

    fn line(&mut self, json: &str) -> io::Result<()> {
        // A line break between the tokens of JSON is a blank like any other; inside a string there is none.
        writeln!(self.out, "{}", json.replace(['\n', '\r'], " "))?;
        self.out.flush()
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let Some(last) = text.bytes().last() else { return Ok(()) };
        match self.style {
            Style::Terminal => text.split_inclusive(['\n', '\t']).try_for_each(|piece| {
                let body = piece.trim_end_matches(['\n', '\t']);
                write!(self.out, "{}{}", plain(body), &piece[body.len()..])
            })?,
            Style::Text | Style::Json => self.out.write_all(text.as_bytes())?,
        }
        self.at_line_start = last == b'\n';
        self.out.flush()
    }

    /// One line of progress. Where text and progress share a terminal, it starts a line of its own.
    fn note(&mut self, text: &str) {
        let Some(progress) = &mut self.progress else { return };
        let is_inside_text = self.style == Style::Terminal && !self.at_line_start;
        let start = if is_inside_text { "\n" } else { "" };
        self.at_line_start |= is_inside_text;
        // A terminal that goes away does not end the turn.
        let _ = writeln!(progress, "{start}· {}", plain(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, value::to_raw_value};

    fn shown(style: Style, progress: Option<Vec<u8>>, updates: &[Value]) -> (String, String) {
        let mut show = Show::new(style, Vec::new(), progress);
        for update in updates {
            let params = to_raw_value(&json!({ "sessionId": "s", "update": update })).expect("json");
            show.update(&params).expect("a vector takes it");
        }
        show.end().expect("a vector takes it");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (text(show.out), text(show.progress.unwrap_or_default()))
    }

    fn chunk(text: &str) -> Value {
        json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } })
    }

    fn turn() -> [Value; 5] {
        [
            json!({ "sessionUpdate": "agent_thought_chunk", "content": { "type": "text", "text": "hmm" } }),
            chunk("Hello, "),
            json!({ "sessionUpdate": "tool_call", "title": "Read \u{1b}[2Ja.rs", "toolCallId": "1" }),
            chunk("world"),
            json!({ "sessionUpdate": "session_info_update", "title": "Greeting" }),
        ]
    }

    #[test]
    fn stdout_is_the_models_text_and_ends_with_a_line_break() {
        assert_eq!(shown(Style::Text, None, &turn()), ("Hello, world\n".into(), String::new()));
        assert_eq!(shown(Style::Text, None, &[chunk("done\n")]).0, "done\n");
        assert_eq!(shown(Style::Text, None, &[]).0, "");
    }

    #[test]
    fn a_terminal_sees_progress_on_lines_of_its_own_with_nothing_that_moves_its_cursor() {
        let (out, progress) = shown(Style::Terminal, Some(Vec::new()), &turn());
        // The line break behind "world" is the one before the title.
        assert_eq!((out.as_str(), progress.as_str()), ("Hello, world", "\n· Read \\u{1b}[2Ja.rs\n\n· title: Greeting\n"));
        assert_eq!(shown(Style::Terminal, None, &[chunk("a\u{1b}[2J\tb\n\nc\u{202e}")]).0, "a\\u{1b}[2J\tb\n\nc\\u{202e}\n");
        assert_eq!(shown(Style::Text, None, &[chunk("a\u{1b}b")]).0, "a\u{1b}b\n", "a file gets the text as it is");
    }

    #[test]
    fn progress_beside_a_file_leaves_the_file_alone() {
        let (out, progress) = shown(Style::Text, Some(Vec::new()), &turn());
        assert_eq!((out.as_str(), progress.as_str()), ("Hello, world\n", "· Read \\u{1b}[2Ja.rs\n· title: Greeting\n"));
    }

    #[test]
    fn json_is_every_update_on_a_line() {
        let (out, _) = shown(Style::Json, None, &turn());
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
        assert_eq!(lines.iter().map(|line| &line["update"]).collect::<Vec<_>>(), turn().iter().collect::<Vec<_>>());
    }
}
