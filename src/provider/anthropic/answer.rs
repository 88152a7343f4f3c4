//! A message as it grows: events of the stream in, model events out.

use super::event::{Block, Counts, Delta, Event, Message, MessageDelta};
use super::request;
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest};
use crate::provider::wire::calls::{CallIds, WholeCall};
use crate::provider::wire::{Endpoint, KeyHeader, Protocol, Reading, fault};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::VecDeque;

/// The Messages API, and what is known of a message so far.
#[derive(Debug)]
pub struct Messages {
    ids: CallIds,
    calls: Vec<Call>,
    counts: Counts,
    /// The stop reason as the vendor wrote it.
    stop: Option<String>,
    /// The message has begun: what is told only once was told.
    begun: bool,
}

/// A tool call, and the index of its block.
#[derive(Debug)]
struct Call {
    index: u64,
    whole: WholeCall,
    /// The input that came with the block's beginning; deltas replace it.
    given: String,
}

/// The data of the last event, where no stop reason came before it.
const STOP_EVENT: &str = "message_stop";

impl Protocol for Messages {
    const PATH: &'static str = "/v1/messages";
    const KEY: KeyHeader = KeyHeader::Named("x-api-key");
    const HEADERS: &'static [(&'static str, &'static str)] = &[("anthropic-version", "2023-06-01")];
    const REQUEST_ID: &'static str = "request-id";
    const UNFINISHED: &'static [&'static str] = &["no stop reason had arrived", "no message_stop had arrived"];

    /// The vendor's own base URL has no version in it; those of many gateways have.
    fn path(base: &str) -> String {
        let base = base.strip_suffix(Self::PATH).or(base.strip_suffix("/v1")).unwrap_or(base);
        format!("{base}{}", Self::PATH)
    }

    fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
        request::body(model, request)
    }

    fn begin(request: &ModelRequest) -> Self {
        Self { ids: CallIds::new(request), calls: Vec::new(), counts: Counts::default(), stop: None, begun: false }
    }

    fn read(&mut self, data: &str, endpoint: &Endpoint, out: &mut VecDeque<ModelEvent>) -> Result<Reading, Box<StreamFailure>> {
        let event: Event<'_> = fault::parsed(data, endpoint)?;
        match event.r#type.said().as_deref() {
            Some("message_start") => self.message(fault::field(event.message, endpoint)?, out),
            Some("content_block_start") => self.block(event.index, fault::field(event.content_block, endpoint)?, out),
            Some("content_block_delta") => self.delta(event.index, fault::field(event.delta, endpoint)?, out),
            Some("message_delta") => self.end(fault::field(event.delta, endpoint)?, event.usage, out),
            Some("error") => return Err(fault::reported(endpoint, data)),
            Some(STOP_EVENT) => return Ok(Reading::IsOver),
            // `content_block_stop` says nothing that the message's end does not say; `ping` and what is yet to come, nothing at all.
            _ => {}
        }
        Ok(Reading::GoesOn)
    }

    fn is_finished(&self) -> bool {
        self.stop.is_some()
    }

    fn finish(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Box<StreamFailure>> {
        let raw = self.stop.take().unwrap_or_else(|| STOP_EVENT.to_owned());
        let reason = match raw.as_str() {
            "max_tokens" | "model_context_window_exceeded" => FinishReason::MaxTokens,
            "refusal" => FinishReason::Refusal,
            // `end_turn`, `tool_use`, `stop_sequence`; `pause_turn` comes only with tools that run at the vendor, and none is
            // asked for. The calls themselves decide.
            _ if self.calls.is_empty() => FinishReason::EndTurn,
            _ => FinishReason::ToolCalls,
        };
        // A call in a message that was cut off may be cut off itself: it is not handed on.
        if reason == FinishReason::ToolCalls {
            self.ids.hand_out(self.calls.drain(..).map(Call::whole), out)?;
        }
        out.extend(self.counts.usage().map(ModelEvent::Usage));
        out.push_back(ModelEvent::Finish { reason, raw });
        Ok(())
    }
}

impl Messages {
    fn message(&mut self, message: Message<'_>, out: &mut VecDeque<ModelEvent>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        out.extend(message.id.said().map(|id| ModelEvent::ResponseId(id.into_owned())));
        if let Some(usage) = message.usage {
            self.counts.take(usage);
            self.counts.forget_output();
            // Told now, so that an answer which never ends still says what was paid for it.
            out.extend(self.counts.usage().map(ModelEvent::Usage));
        }
    }

    fn block(&mut self, index: u64, block: Block<'_>, out: &mut VecDeque<ModelEvent>) {
        match block.r#type.said().as_deref() {
            Some("text") => out.extend(block.text.said().map(|text| ModelEvent::Text(text.into_owned()))),
            Some("thinking") => out.extend(block.thinking.said().map(|text| ModelEvent::Reasoning(text.into_owned()))),
            Some("tool_use") => {
                let text = |words: Option<_>| words.map(Cow::into_owned).unwrap_or_default();
                let whole = WholeCall { id: text(block.id.said()), name: text(block.name.said()), arguments: String::new() };
                let given = block.input.map(|input| input.get().to_owned()).unwrap_or_default();
                self.calls.push(Call { index, whole, given });
            }
            _ => {}
        }
    }

    fn delta(&mut self, index: u64, delta: Delta<'_>, out: &mut VecDeque<ModelEvent>) {
        out.extend(delta.thinking.said().map(|text| ModelEvent::Reasoning(text.into_owned())));
        out.extend(delta.text.said().map(|text| ModelEvent::Text(text.into_owned())));
        if let Some(json) = delta.partial_json.said()
            && let Some(call) = self.calls.iter_mut().rfind(|call| call.index == index)
        {
            call.whole.arguments.push_str(&json);
            out.push_back(ModelEvent::ToolInput { bytes: json.len() });
        }
    }

    fn end(&mut self, delta: MessageDelta<'_>, usage: Option<&RawValue>, out: &mut VecDeque<ModelEvent>) {
        if let Some(usage) = usage {
            self.counts.take(usage);
        }
        if let Some(stop) = delta.stop_reason.said() {
            self.stop = Some(stop.into_owned());
        }
        // The vendor's word to the person: often the only one of a message that was refused.
        let explanation = delta.stop_details.and_then(|details| details.explanation.said());
        out.extend(explanation.map(|words| ModelEvent::Text(words.into_owned())));
    }
}

impl Call {
    fn whole(self) -> WholeCall {
        if self.whole.arguments.is_empty() { WholeCall { arguments: self.given, ..self.whole } } else { self.whole }
    }
}
