//! Chat completions as they come: events of the stream in, what they say out.

use super::chunk::{ArgumentsOf, CallDelta, Choice, Chunk, Delta, FunctionDelta};
use super::request;
use crate::protocol::diagnostics::Usage;
use crate::protocol::model::ModelRequest;
use crate::provider::wire::answer::{Answer, Source};
use crate::provider::wire::calls::{Arguments, Piece};
use crate::provider::wire::loose::{Index, Lax};
use crate::provider::wire::said::{Said, reports};
use crate::provider::wire::usage::{Counts, counted};
use crate::provider::wire::{KeyHeader, Protocol, Reading, Unread};
use serde_json::value::RawValue;

/// Chat completions, and what only they tell of an answer.
#[derive(Debug, Default)]
pub struct ChatCompletions {
    /// The choice that is ours: nobody asked for a second.
    choice: Option<i64>,
}

impl Protocol for ChatCompletions {
    const PATH: &'static str = "/chat/completions";
    const KEY: KeyHeader = KeyHeader::Bearer;
    const HEADERS: &'static [(&'static str, &'static str)] = &[];
    const REQUEST_ID: &'static str = "x-request-id";
    const UNFINISHED: &'static [&'static str] = &["no finish reason had arrived", "no [DONE] had arrived"];
    const LAST: &'static str = "[DONE]";

    fn body(model: &str, request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
        request::body(model, request)
    }

    fn read(&mut self, _: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        let chunk: Chunk<'_> = serde_json::from_str(data)?;
        if chunk.object == "error" || reports(chunk.error) {
            return Err(Said::read(data).into());
        }
        if chunk.choices.is_none() && chunk.usage.is_none() {
            return Ok(Reading::Unknown);
        }
        answer.named(chunk.id.as_str());
        if let Some(usage) = chunk.usage {
            answer.usage(read_usage(usage));
        }
        let is_whole = chunk.object == "chat.completion";
        let Some(choice) = chunk.choices.and_then(|many| many.0.into_iter().find(|choice| self.is_ours(choice.index))) else {
            return Ok(Reading::GoesOn);
        };
        self.choice(choice, answer)?;
        Ok(if is_whole && !answer.has_ended() { Reading::IsOver } else { Reading::GoesOn })
    }
}

impl ChatCompletions {
    /// A choice without a number is ours, and so is the one with the lowest.
    fn is_ours(&mut self, index: Index) -> bool {
        let Some(index) = index.0.filter(|index| *index > 0) else {
            self.choice = Some(0);
            return true;
        };
        index <= *self.choice.get_or_insert(index)
    }

    fn choice(&self, choice: Choice<'_>, answer: &mut Answer) -> Result<(), Unread> {
        if let Some(delta) = choice.delta.0 {
            delta.read(Source::Delta, Arguments::more, answer)?;
        }
        if let Some(message) = choice.message.0 {
            message.read(Source::Whole, Arguments::all, answer)?;
        }
        answer.text(choice.text.as_str(), Source::Delta)?;
        if reports(choice.error) {
            return Err(Said::read(choice.error.map_or("", RawValue::get)).into());
        }
        answer.ended(choice.finish_reason.as_str())?;
        Ok(())
    }
}

impl<'a> Delta<'a> {
    fn read(self, source: Source, arguments: ArgumentsOf<'a>, answer: &mut Answer) -> Result<(), Unread> {
        let (text, thought) = self.content.parts();
        let (details, detailed) = self.reasoning_details.parts();
        let spellings = [self.reasoning_content.text(), self.reasoning.text(), detailed, details, thought];
        if let Some(thought) = spellings.into_iter().find(|thought| !thought.is_empty()) {
            answer.thought(&thought, source)?;
        }
        if !text.is_empty() {
            answer.tagged_text(&text, source)?;
        }
        answer.refusal(self.refusal.as_str(), source)?;
        for call in self.tool_calls.0 {
            answer.call(call.piece(arguments))?;
        }
        if let Some(function) = self.function_call.0 {
            let call = CallDelta { index: Index(Some(0)), function: Lax(Some(function)), ..CallDelta::default() };
            answer.call(call.piece(arguments))?;
        }
        Ok(())
    }
}

impl<'a> CallDelta<'a> {
    fn piece(self, arguments: ArgumentsOf<'a>) -> Piece<'a> {
        let FunctionDelta { name, arguments: json } = self.function.0.unwrap_or_default();
        let name = if name.as_str().is_empty() { self.name } else { name };
        Piece {
            id: self.id.text(),
            index: self.index,
            name: name.text(),
            arguments: arguments(json.or(self.arguments)),
            ..Piece::default()
        }
    }
}

fn read_usage(json: &RawValue) -> Option<Usage> {
    let counts = Counts::read(json);
    counted(Usage {
        input_tokens: counts.some_at(&["/prompt_tokens", "/input_tokens"]),
        output_tokens: counts.at(&["/completion_tokens", "/output_tokens"]),
        reasoning_tokens: counts.at(&["/completion_tokens_details/reasoning_tokens"]),
        cached_input_tokens: counts.at(&["/prompt_tokens_details/cached_tokens", "/prompt_cache_hit_tokens"]),
        cache_write_input_tokens: counts.at(&["/prompt_tokens_details/cache_write_tokens"]),
        ..Usage::absent()
    })
}
