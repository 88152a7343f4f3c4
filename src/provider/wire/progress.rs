//! An answer as it comes: an event's data in, what it says out.
//!
//! Invariant: an event is read once, by its vendor's protocol; only data that is not what the protocol wants is taken apart and
//! read again.

use super::answer::{Answer, Tail};
use super::documents::{self, DONE, Part};
use super::said::{self, Said};
use super::{Endpoint, Protocol, Reading, Unread, fault};
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, NoteKind};
use serde_json::Value;
use std::sync::Arc;

/// One answer, and what reads it.
pub(super) struct Progress<P> {
    pub(super) protocol: P,
    pub(super) answer: Answer,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) model: Arc<str>,
}

impl<P: Protocol> Progress<P> {
    /// Reads one event. An answer that has finished is not failed by it.
    ///
    /// # Errors
    /// The data is invalid, or reports a failure of the provider.
    pub(super) fn take(&mut self, name: &str, data: &str) -> Result<Reading, Box<StreamFailure>> {
        let reading = self.event(name, data.trim());
        let reading = match reading {
            Err(failure) if self.answer.tail() == Tail::Certain => {
                self.answer.note(NoteKind::LateError, &failure.message);
                Ok(Reading::GoesOn)
            }
            reading => reading,
        };
        if self.answer.is_silent() {
            self.answer.tell(ModelEvent::KeptAlive);
        }
        reading
    }

    /// The end of the answer.
    ///
    /// # Errors
    /// The answer said nothing, or a tool call cannot be handed on.
    pub(super) fn finish(&mut self) -> Result<(), Box<StreamFailure>> {
        self.protocol.end(&mut self.answer)?;
        self.answer.finish(P::LAST)
    }

    fn event(&mut self, name: &str, data: &str) -> Result<Reading, Box<StreamFailure>> {
        if data.is_empty() {
            return Ok(Reading::GoesOn);
        }
        if data == DONE {
            return Ok(Reading::IsOver);
        }
        if name == "error" {
            return Err(fault::reported(&self.endpoint, &Said::read(data)));
        }
        if data.starts_with('{') {
            match self.protocol.read(name, data, &mut self.answer) {
                Ok(Reading::Unknown) => return self.unknown(&serde_json::from_str(data).unwrap_or_default()),
                Ok(reading) => {
                    self.answer.is_understood = true;
                    return Ok(reading);
                }
                Err(Unread::Json(_)) => {}
                Err(other) => return Err(self.failure(other)),
            }
        }
        for part in documents::parts(data) {
            match part {
                Part::Object(value) => {
                    if self.object(name, &value)? == Reading::IsOver {
                        return Ok(Reading::IsOver);
                    }
                }
                Part::Done => return Ok(Reading::IsOver),
                Part::Words(words) => self.words(&words)?,
                Part::Broken(error) => return Err(fault::bad_json(&self.endpoint, &error)),
            }
        }
        Ok(Reading::GoesOn)
    }

    fn object(&mut self, name: &str, value: &Value) -> Result<Reading, Box<StreamFailure>> {
        match self.protocol.read(name, &value.to_string(), &mut self.answer) {
            Ok(Reading::Unknown) => self.unknown(value),
            Ok(reading) => {
                self.answer.is_understood = true;
                Ok(reading)
            }
            Err(unread) => Err(self.failure(unread)),
        }
    }

    /// An object without anything that the protocol knows.
    fn unknown(&mut self, value: &Value) -> Result<Reading, Box<StreamFailure>> {
        if said::is_error(value) {
            return Err(fault::reported(&self.endpoint, &Said::of(value)));
        }
        if !self.answer.is_understood
            && let Some((speaks, mend)) = other_protocol(value, &self.model)
        {
            return Err(fault::other_protocol(&self.endpoint, speaks, &mend));
        }
        Ok(Reading::GoesOn)
    }

    /// Data that is no JSON: an error in plain words, or something that says nothing.
    fn words(&mut self, words: &str) -> Result<(), Box<StreamFailure>> {
        let start = words.get(..5).unwrap_or_default();
        if start.eq_ignore_ascii_case("error") {
            let words = words[5..].trim_start_matches([':', ' ']);
            return Err(fault::reported(&self.endpoint, &Said::words(words)));
        }
        self.answer.note(NoteKind::PassedOver, words);
        Ok(())
    }

    fn failure(&self, unread: Unread) -> Box<StreamFailure> {
        match unread {
            Unread::Json(error) => fault::bad_json(&self.endpoint, &error),
            Unread::Error(said) => fault::reported(&self.endpoint, &said),
            Unread::Failure(failure) => failure,
        }
    }
}

/// What an object that the protocol does not know belongs to, and how to mend that.
fn other_protocol(value: &Value, model: &str) -> Option<(&'static str, String)> {
    let has = |field: &str| value.get(field).is_some();
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    if has("choices") {
        return Some(("chat completions", format!("choose the model as openai:{model}")));
    }
    if kind.starts_with("response.") || value.get("object").and_then(Value::as_str) == Some("response") {
        return Some(("the Responses API", format!("choose the model as openai-responses:{model}")));
    }
    if matches!(kind, "message" | "message_start" | "message_delta" | "content_block_start" | "content_block_delta") {
        return Some(("the Messages API", format!("choose the model as anthropic:{model}")));
    }
    if has("done") && (has("message") || has("response")) {
        return Some(("Ollama's own API", "let the base URL end in /v1".to_owned()));
    }
    has("candidates").then(|| ("Gemini's own API", "let the base URL end in /openai".to_owned()))
}
