//! An answer as it grows: events of the stream in, model events out.

use super::calls::Calls;
use super::chunk::{CallDelta, Chunk, Delta};
use super::request;
use crate::protocol::diagnostics::{StreamFailure, Usage, UsageSource};
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest};
use crate::provider::failure::{ProtocolKind, protocol};
use crate::provider::wire::words::Words;
use crate::provider::wire::{Endpoint, KeyHeader, Protocol, Reading, fault};
use serde_json::Value;
use std::collections::VecDeque;

/// Chat completions, and what is known of an answer so far.
#[derive(Debug)]
pub struct ChatCompletions {
    calls: Calls,
    usage: Option<Usage>,
    /// The finish reason as the provider wrote it.
    finish: Option<String>,
    refused: bool,
    named: bool,
}

impl Protocol for ChatCompletions {
    const PATH: &'static str = "/chat/completions";
    const KEY: KeyHeader = KeyHeader::Bearer;
    const HEADERS: &'static [(&'static str, &'static str)] = &[];
    const REQUEST_ID: &'static str = "x-request-id";
    const UNFINISHED: &'static [&'static str] = &["no finish reason had arrived", "no [DONE] had arrived"];

    fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
        request::body(model, request)
    }

    fn begin(request: &ModelRequest) -> Self {
        Self { calls: Calls::new(request), usage: None, finish: None, refused: false, named: false }
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    fn read(&mut self, data: &str, endpoint: &Endpoint, out: &mut VecDeque<ModelEvent>) -> Result<Reading, Box<StreamFailure>> {
        if data == DONE {
            return Ok(Reading::IsOver);
        }
        let chunk: Chunk<'_> = fault::parsed(data, endpoint)?;
        if chunk.error.is_some() || chunk.object == "error" {
            return Err(fault::reported(endpoint, data));
        }
        if !self.named
            && let Some(id) = chunk.id.said()
        {
            self.named = true;
            out.push_back(ModelEvent::ResponseId(id.into_owned()));
        }
        if let Some(usage) = chunk.usage {
            self.usage = read_usage(usage.get()).or(self.usage.take());
        }
        // Only the first choice is ours; nobody asked for a second.
        let Some(choice) = chunk.choices.into_iter().flatten().find(|choice| choice.index.unwrap_or(0) == 0) else {
            return Ok(Reading::GoesOn);
        };
        if let Some(delta) = choice.delta {
            self.delta(delta, out);
        }
        match choice.finish_reason.said() {
            Some(raw) if FAILED.contains(&&*raw) => {
                let said = format!("the provider ended the answer with the finish reason {raw:?}");
                Err(protocol(ProtocolKind::ProviderError, said, Some(&raw), &["the finish reason names a failure"]))
            }
            Some(raw) => {
                self.finish = Some(raw.into_owned());
                Ok(Reading::GoesOn)
            }
            None => Ok(Reading::GoesOn),
        }
    }

    fn finish(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Box<StreamFailure>> {
        let raw = self.finish.take().unwrap_or_else(|| DONE.to_owned());
        let reason = match raw.as_str() {
            "length" | "max_tokens" => FinishReason::MaxTokens,
            "content_filter" | "refusal" | "sensitive" => FinishReason::Refusal,
            _ if self.refused => FinishReason::Refusal,
            // Ollama says `stop` with tool calls, vLLM says `tool_calls` without any: the calls themselves decide.
            _ if self.calls.is_empty() => FinishReason::EndTurn,
            _ => FinishReason::ToolCalls,
        };
        // A call in an answer that was cut off may be cut off itself: it is not handed on.
        if reason == FinishReason::ToolCalls {
            self.calls.finish(out)?;
        }
        out.extend(self.usage.take().map(ModelEvent::Usage));
        out.push_back(ModelEvent::Finish { reason, raw });
        Ok(())
    }
}

impl ChatCompletions {
    fn delta(&mut self, delta: Delta<'_>, out: &mut VecDeque<ModelEvent>) {
        if let Some(thought) = delta.reasoning_content.said().or_else(|| delta.reasoning.said()) {
            out.push_back(ModelEvent::Reasoning(thought.into_owned()));
        }
        if let Some(text) = delta.content.said() {
            out.push_back(ModelEvent::Text(text.into_owned()));
        }
        if let Some(text) = delta.refusal.said() {
            self.refused = true;
            out.push_back(ModelEvent::Text(text.into_owned()));
        }
        let old = delta.function_call.map(|function| CallDelta { index: Some(0), id: Words::default(), function: Some(function) });
        for call in delta.tool_calls.into_iter().flatten().chain(old) {
            let bytes = self.calls.add(call);
            if bytes > 0 {
                out.push_back(ModelEvent::ToolInput { bytes });
            }
        }
    }
}

/// The data of the last event.
const DONE: &str = "[DONE]";

/// Finish reasons with which servers say that they did not finish.
const FAILED: &[&str] = &["error", "abort", "network_error", "insufficient_system_resource"];

/// Usage, if there is any in it; numbers that are no counts are left out.
fn read_usage(json: &str) -> Option<Usage> {
    let value: Value = serde_json::from_str(json).ok()?;
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    let usage = Usage {
        source: UsageSource::Provider,
        input_tokens: count("/prompt_tokens"),
        output_tokens: count("/completion_tokens"),
        reasoning_tokens: count("/completion_tokens_details/reasoning_tokens"),
        cached_input_tokens: count("/prompt_tokens_details/cached_tokens").or_else(|| count("/prompt_cache_hit_tokens")),
        cache_write_input_tokens: count("/prompt_tokens_details/cache_write_tokens"),
    };
    (usage.input_tokens.is_some() || usage.output_tokens.is_some()).then_some(usage)
}
