//! Chat completions as they come: events of the stream in, what they say out.

use super::chunk::{ArgumentsOf, CallDelta, Choice, Chunk, Delta, FunctionDelta, WordsAlone};
use super::request;
use super::state::State;
use crate::protocol::diagnostics::{StreamFailure, Usage};
use crate::provider::wire::answer::{Answer, Source};
use crate::provider::wire::calls::{Arguments, Piece};
use crate::provider::wire::loose::{Index, Lax};
use crate::provider::wire::said::{Said, reports};
use crate::provider::wire::usage::{Counts, counted};
use crate::provider::wire::words::Words;
use crate::provider::wire::{Asking, KeyHeader, Protocol, Reading, Refusal, Unread};
use serde_json::value::RawValue;

/// Chat completions, and what only they tell of an answer.
#[derive(Debug, Default)]
pub struct ChatCompletions {
    /// The choice that is ours: nobody asked for a second.
    choice: Option<i64>,
    /// What goes back with the message.
    state: State,
}

impl Protocol for ChatCompletions {
    const PATH: &'static str = "/chat/completions";
    const KEY: KeyHeader = KeyHeader::Bearer;
    const HEADERS: &'static [(&'static str, &'static str)] = &[];
    const REQUEST_ID: &'static str = "x-request-id";
    const UNFINISHED: &'static [&'static str] = &["no finish reason had arrived", "no [DONE] had arrived"];
    const LAST: &'static str = "[DONE]";
    const REFUSABLE: &'static [Refusal] =
        &[Refusal::NoThoughts, Refusal::States, Refusal::OtherThanNine, Refusal::OddIds, Refusal::StreamOptions, Refusal::Tools];

    fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
        request::body(asking)
    }

    fn end(&mut self, answer: &mut Answer) -> Result<(), Box<StreamFailure>> {
        self.state.whole().map_or(Ok(()), |state| answer.state(state))
    }

    fn read(&mut self, _: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        if let Some(WordsAlone { id, content }) = WordsAlone::read(data) {
            return Ok(self.words(&id, &content, answer)?);
        }
        self.read_in_full(data, answer)
    }
}

impl ChatCompletions {
    fn words(&mut self, id: &str, content: &str, answer: &mut Answer) -> Result<Reading, Box<StreamFailure>> {
        answer.named(id);
        self.choice = Some(0);
        if !content.is_empty() {
            answer.tagged_text(content, Source::Delta)?;
        }
        Ok(Reading::GoesOn)
    }

    /// Reads an event whatever it holds.
    pub(in crate::provider) fn read_in_full(&mut self, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
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

    /// A choice without a number is ours, and so is the one with the lowest.
    fn is_ours(&mut self, index: Index) -> bool {
        let Some(index) = index.0.filter(|index| *index > 0) else {
            self.choice = Some(0);
            return true;
        };
        index <= *self.choice.get_or_insert(index)
    }

    fn choice(&mut self, choice: Choice<'_>, answer: &mut Answer) -> Result<(), Unread> {
        if let Some(delta) = choice.delta.0 {
            delta.read(Source::Delta, Arguments::more, &mut self.state, answer)?;
        }
        if let Some(message) = choice.message.0 {
            message.read(Source::Whole, Arguments::all, &mut self.state, answer)?;
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
    fn read(self, source: Source, arguments: ArgumentsOf<'a>, state: &mut State, answer: &mut Answer) -> Result<(), Unread> {
        let is_all = source == Source::Whole;
        state.think([self.reasoning_content.as_ref(), self.reasoning.as_ref()], is_all);
        if let Some(details) = self.reasoning_details {
            state.detail(details, is_all);
        }
        if let Some(blocks) = self.thinking_blocks {
            state.block(blocks, is_all);
        }
        if let Some(extra) = self.extra_content {
            state.extra(extra);
        }
        let (text, thought) = self.content.parts();
        let details = self.reasoning_details.and_then(|json| serde_json::from_str::<Words<'_>>(json.get()).ok()).unwrap_or_default();
        let (details, detailed) = details.parts();
        let of = |thought: Option<Words<'a>>| thought.unwrap_or_default().text();
        let spellings = [of(self.reasoning_content), of(self.reasoning), detailed, details, thought];
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
            state: self.extra_content.map(RawValue::get),
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
