//! A response as it grows: events of the stream in, model events out.

use super::event::{self, Event, Item, Response};
use super::request;
use crate::protocol::diagnostics::{StreamFailure, Usage};
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest};
use crate::provider::wire::calls::{CallIds, WholeCall};
use crate::provider::wire::{Endpoint, KeyHeader, Protocol, Reading, fault};
use std::borrow::Cow;
use std::collections::VecDeque;

/// The Responses API, and what is known of a response so far.
#[derive(Debug)]
pub struct Responses {
    ids: CallIds,
    /// Each call with the index of its item.
    calls: Vec<(u64, WholeCall)>,
    usage: Option<Usage>,
    /// How the response ended, as the vendor wrote it.
    end: Option<String>,
    refused: bool,
    named: bool,
}

/// The last data of servers that end every stream alike.
const DONE: &str = "[DONE]";

impl Protocol for Responses {
    const PATH: &'static str = "/responses";
    const KEY: KeyHeader = KeyHeader::Bearer;
    const HEADERS: &'static [(&'static str, &'static str)] = &[];
    const REQUEST_ID: &'static str = "x-request-id";
    const UNFINISHED: &'static [&'static str] = &["neither response.completed nor response.incomplete had arrived"];

    fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
        request::body(model, request)
    }

    fn begin(request: &ModelRequest) -> Self {
        Self { ids: CallIds::new(request), calls: Vec::new(), usage: None, end: None, refused: false, named: false }
    }

    fn read(&mut self, data: &str, endpoint: &Endpoint, out: &mut VecDeque<ModelEvent>) -> Result<Reading, Box<StreamFailure>> {
        if data == DONE {
            return Ok(Reading::IsOver);
        }
        let event: Event<'_> = fault::parsed(data, endpoint)?;
        let Some(kind) = event.r#type.said() else { return Ok(Reading::GoesOn) };
        match &*kind {
            "response.created" | "response.in_progress" => {
                let response: Response<'_> = fault::field(event.response, endpoint)?;
                self.name(response, out);
            }
            "response.output_text.delta" => out.extend(event.delta.said().map(|text| ModelEvent::Text(text.into_owned()))),
            "response.refusal.delta" => {
                self.refused = true;
                out.extend(event.delta.said().map(|text| ModelEvent::Text(text.into_owned())));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                out.extend(event.delta.said().map(|text| ModelEvent::Reasoning(text.into_owned())));
            }
            // The parts of a summary are paragraphs.
            "response.reasoning_summary_part.added" if event.summary_index > 0 => out.push_back(ModelEvent::Reasoning("\n\n".into())),
            "response.output_item.added" | "response.output_item.done" => {
                self.item(event.output_index, fault::field(event.item, endpoint)?, out);
            }
            "response.function_call_arguments.delta" => {
                if let Some(json) = event.delta.said() {
                    self.call(event.output_index).arguments.push_str(&json);
                    out.push_back(ModelEvent::ToolInput { bytes: json.len() });
                }
            }
            "response.function_call_arguments.done" => {
                if let Some(json) = event.arguments.said() {
                    self.call(event.output_index).arguments = json.into_owned();
                }
            }
            "response.completed" => return Ok(self.end("completed", fault::field(event.response, endpoint)?, out)),
            "response.incomplete" => return Ok(self.end("incomplete", fault::field(event.response, endpoint)?, out)),
            "response.failed" | "response.cancelled" => {
                let response: Response<'_> = fault::field(event.response, endpoint)?;
                out.extend(response.usage.and_then(event::usage).map(ModelEvent::Usage));
                // Not the whole response: it repeats the request.
                let error = if event.response.is_some() { response.error.map_or("", |error| error.get()) } else { data };
                return Err(fault::reported(endpoint, error));
            }
            "error" => return Err(fault::reported(endpoint, data)),
            // What is done has been told by its deltas; what is not known says nothing.
            _ => {}
        }
        Ok(Reading::GoesOn)
    }

    fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    fn finish(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Box<StreamFailure>> {
        let raw = self.end.take().unwrap_or_else(|| DONE.to_owned());
        let reason = match raw.as_str() {
            "content_filter" => FinishReason::Refusal,
            "completed" | DONE if self.refused => FinishReason::Refusal,
            "completed" | DONE if self.calls.is_empty() => FinishReason::EndTurn,
            "completed" | DONE => FinishReason::ToolCalls,
            // Incomplete for whatever reason: `max_output_tokens` is the only other one that there is.
            _ => FinishReason::MaxTokens,
        };
        // A call in a response that was cut off may be cut off itself: it is not handed on.
        if reason == FinishReason::ToolCalls {
            self.ids.hand_out(self.calls.drain(..).map(|(_, call)| call), out)?;
        }
        out.extend(self.usage.take().map(ModelEvent::Usage));
        out.push_back(ModelEvent::Finish { reason, raw });
        Ok(())
    }
}

impl Responses {
    fn name(&mut self, response: Response<'_>, out: &mut VecDeque<ModelEvent>) {
        if let Some(id) = response.id.said().filter(|_| !self.named) {
            self.named = true;
            out.push_back(ModelEvent::ResponseId(id.into_owned()));
        }
    }

    /// An item as it begins or as it is when it is done. Some servers tell only the second.
    fn item(&mut self, index: u64, item: Item<'_>, out: &mut VecDeque<ModelEvent>) {
        if item.r#type != "function_call" {
            return;
        }
        let call = self.call(index);
        for (field, words) in [(&mut call.id, item.call_id), (&mut call.name, item.name)] {
            if let Some(words) = words.said() {
                *field = words.into_owned();
            }
        }
        if let Some(json) = item.arguments.said() {
            if call.arguments.is_empty() {
                out.push_back(ModelEvent::ToolInput { bytes: json.len() });
            }
            call.arguments = json.into_owned();
        }
    }

    /// The call at this index of the output.
    fn call(&mut self, index: u64) -> &mut WholeCall {
        let at = self.calls.iter().position(|(at, _)| *at == index).unwrap_or_else(|| {
            self.calls.push((index, WholeCall::default()));
            self.calls.len() - 1
        });
        &mut self.calls[at].1
    }

    /// The last event. A response that was cut short says why.
    fn end(&mut self, status: &str, mut response: Response<'_>, out: &mut VecDeque<ModelEvent>) -> Reading {
        self.usage = response.usage.and_then(event::usage);
        let reason = response.incomplete_details.take().and_then(|details| details.reason.said());
        self.end = Some(reason.map_or_else(|| status.to_owned(), Cow::into_owned));
        self.name(response, out);
        Reading::IsOver
    }
}
