//! A response as it comes: events of the stream in, what they say out.

use super::event::{self, Event, Item, Part, Response};
use super::request;
use super::thought::{AsCame, Thoughts};
use crate::provider::wire::answer::{Answer, Source};
use crate::provider::wire::calls::{Arguments, Piece};
use crate::provider::wire::said::{Said, reports};
use crate::provider::wire::words::Words;
use crate::provider::wire::{Asking, KeyHeader, Protocol, Reading, Refusal, Unread};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The Responses API, and what only it tells of a response.
#[derive(Debug, Default)]
pub struct Responses {
    thoughts: Thoughts,
}

impl Protocol for Responses {
    const PATH: &'static str = "/responses";
    const KEY: KeyHeader = KeyHeader::Bearer;
    const HEADERS: &'static [(&'static str, &'static str)] = &[];
    const REQUEST_ID: &'static str = "x-request-id";
    const UNFINISHED: &'static [&'static str] = &["neither response.completed nor response.incomplete had arrived"];
    const LAST: &'static str = "[DONE]";
    const REFUSABLE: &'static [Refusal] = &[Refusal::Encrypted, Refusal::CacheKey, Refusal::States, Refusal::Tools];

    fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
        request::body(asking)
    }

    fn read(&mut self, name: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        let mut event: Event<'_> = serde_json::from_str(data)?;
        let kind = std::mem::take(&mut event.r#type).text();
        let kind = if kind.is_empty() { name } else { &*kind };
        match kind {
            "response.output_text.delta" => answer.text(&words(event.delta)?.text(), Source::Delta)?,
            "response.output_text.done" => answer.text(event.text.as_str(), Source::TextDone)?,
            "response.refusal.delta" => answer.refusal(&words(event.delta)?.text(), Source::Delta)?,
            "response.refusal.done" => answer.refusal(event.refusal.as_str(), Source::TextDone)?,
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" | "response.reasoning.delta" => {
                answer.thought(&words(event.delta)?.text(), Source::Delta)?;
            }
            "response.reasoning_summary_text.done" | "response.reasoning_text.done" => {
                answer.thought(event.text.as_str(), Source::TextDone)?
            }
            // The parts of a summary are paragraphs.
            "response.reasoning_summary_part.added" if event.summary_index.0 > Some(0) => answer.thought("\n\n", Source::Delta)?,
            "response.content_part.done" => {
                if let Some(part) = event.part.0 {
                    part.read(Source::PartDone, answer)?;
                }
            }
            "response.output_item.added" | "response.output_item.done" => {
                let is_done = kind.ends_with("done");
                if let Some(item) = event.item.0 {
                    let is_thought = item.r#type == "reasoning";
                    item.read(event.output_index, is_done.then_some(Source::ItemDone), answer)?;
                    if let Some(item) = AsCame::read(if is_done && is_thought { data } else { "{}" }).item() {
                        self.thoughts.keep(item, None, answer)?;
                    }
                }
            }
            "response.function_call_arguments.delta" => {
                answer.call(Piece {
                    item: event.item_id.text(),
                    index: event.output_index,
                    arguments: Arguments::more(event.delta),
                    ..Piece::default()
                })?;
            }
            "response.function_call_arguments.done" => {
                answer.call(Piece {
                    item: event.item_id.text(),
                    index: event.output_index,
                    arguments: Arguments::all(event.arguments),
                    ..Piece::default()
                })?;
            }
            "response.failed" | "response.cancelled" => {
                let response = event.response.0.unwrap_or_default();
                response.usage(answer);
                return Err(response.error.map_or_else(Said::default, |error| Said::read(error.get())).into());
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                let response = event.response.0.unwrap_or_default();
                return self.end_of(response, kind.trim_start_matches("response."), data, answer);
            }
            "error" => return Err(Said::read(data).into()),
            _ => return self.other(kind, event, data, answer),
        }
        Ok(Reading::GoesOn)
    }
}

impl Responses {
    /// What is known by what is in it, where its type says nothing.
    fn other(&mut self, kind: &str, event: Event<'_>, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        if let Some(response) = event.response.0 {
            answer.named(response.id.as_str());
            return Ok(Reading::GoesOn);
        }
        if kind.is_empty() {
            if let Some(item) = event.item.0 {
                item.read(event.output_index, Some(Source::ItemDone), answer)?;
                return Ok(Reading::GoesOn);
            }
            let whole: Response<'_> = serde_json::from_str(data)?;
            if whole.object == "response" || !whole.output.0.is_empty() {
                return self.end_of(whole, "completed", data, answer);
            }
        }
        // What is done has been told by its deltas; what is not known says nothing.
        Ok(if kind.starts_with("response.") { Reading::GoesOn } else { Reading::Unknown })
    }

    /// The last event. A response that was cut short says why.
    fn end_of(&mut self, response: Response<'_>, kind: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        answer.named(response.id.as_str());
        let as_came = AsCame::read(data).output();
        let mut calls = 0;
        for (n, item) in response.output.0.into_iter().enumerate() {
            let (is_thought, is_call) = (item.r#type == "reasoning", item.is_call());
            item.read(Default::default(), Some(Source::Whole), answer)?;
            calls += usize::from(is_call);
            if let Some(item) = as_came.get(n).filter(|_| is_thought) {
                self.thoughts.keep(item, Some(calls), answer)?;
            }
        }
        answer.usage(response.usage.and_then(event::usage));
        let status = response.status.as_str();
        if reports(response.error) || matches!(status, "failed" | "cancelled") {
            answer.tell_usage();
            return Err(response.error.map_or_else(Said::default, |error| Said::read(error.get())).into());
        }
        let why = response.incomplete_details.0.map(|details| details.reason.text()).filter(|reason| !reason.is_empty());
        let ended = if status == "incomplete" || kind == "incomplete" { "incomplete" } else { "completed" };
        answer.ended(&why.unwrap_or(Cow::Borrowed(ended)))?;
        Ok(Reading::IsOver)
    }
}

/// The words of a delta.
fn words(json: Option<&RawValue>) -> Result<Words<'_>, serde_json::Error> {
    json.map_or_else(|| Ok(Words::default()), |json| serde_json::from_str(json.get()))
}

impl Response<'_> {
    fn usage(&self, answer: &mut Answer) {
        answer.usage(self.usage.and_then(event::usage));
        answer.tell_usage();
    }
}

impl Item<'_> {
    fn is_call(&self) -> bool {
        self.r#type == "function_call" || (self.r#type == "" && self.arguments.is_some())
    }

    /// An item as it begins, or all of it from such a source. Some servers tell only the second.
    fn read(self, index: crate::provider::wire::loose::Index, whole: Option<Source>, answer: &mut Answer) -> Result<(), Unread> {
        if self.is_call() {
            let (id, item, name) = (self.call_id.text(), self.id.text(), self.name.text());
            answer.call(Piece { id, item, index, name, arguments: Arguments::all(self.arguments), ..Piece::default() })?;
            return Ok(());
        }
        let Some(source) = whole else { return Ok(()) };
        let is_thought = self.r#type == "reasoning";
        for part in self.summary.0.into_iter().chain(self.content.0) {
            if is_thought {
                answer.thought(part.text.as_str(), source)?;
            } else {
                part.read(source, answer)?;
            }
        }
        Ok(())
    }
}

impl Part<'_> {
    fn read(self, source: Source, answer: &mut Answer) -> Result<(), Unread> {
        match self.r#type.as_str() {
            "reasoning_text" | "summary_text" => answer.thought(self.text.as_str(), source)?,
            "refusal" => answer.refusal(self.refusal.as_str(), source)?,
            _ => answer.text(self.text.as_str(), source)?,
        }
        Ok(())
    }
}
