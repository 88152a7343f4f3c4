//! A message as it comes: events of the stream in, what they say out.

use super::event::{Block, Counts, Delta, Event, Message};
use super::request;
use super::thought::Thought;
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::NoteKind;
use crate::provider::wire::answer::{Answer, Source};
use crate::provider::wire::calls::{Arguments, Piece};
use crate::provider::wire::loose::Index;
use crate::provider::wire::said::{Said, reports};
use crate::provider::wire::{Asking, KeyHeader, Protocol, Reading, Refusal, Unread};

/// The Messages API, and what only it tells of a message.
#[derive(Debug, Default)]
pub struct Messages {
    counts: Counts,
    /// The message has begun: what is told only once was told.
    begun: bool,
    /// The last block that is no call of ours: the vendor's own tools have inputs too.
    others: Index,
    /// The thought that is being written.
    thought: Option<Thought>,
}

/// The data of the last event, where no stop reason came before it.
const STOP_EVENT: &str = "message_stop";

impl Protocol for Messages {
    const PATH: &'static str = "/v1/messages";
    const KEY: KeyHeader = KeyHeader::Named("x-api-key");
    const HEADERS: &'static [(&'static str, &'static str)] = &[("anthropic-version", "2023-06-01")];
    const REQUEST_ID: &'static str = "request-id";
    const UNFINISHED: &'static [&'static str] = &["no stop reason had arrived", "no message_stop had arrived"];
    const LAST: &'static str = STOP_EVENT;
    const REFUSABLE: &'static [Refusal] = &[Refusal::States, Refusal::Tools];

    /// The vendor's own base URL has no version in it; those of many gateways have.
    fn path(base: &str) -> String {
        let base = base.strip_suffix(Self::PATH).or(base.strip_suffix("/v1")).unwrap_or(base);
        format!("{base}{}", Self::PATH)
    }

    fn body(asking: &Asking<'_>) -> Result<Vec<u8>, serde_json::Error> {
        request::body(asking)
    }

    fn end(&mut self, answer: &mut Answer) -> Result<(), Box<StreamFailure>> {
        self.end_thought(answer)
    }

    fn read(&mut self, name: &str, data: &str, answer: &mut Answer) -> Result<Reading, Unread> {
        let event: Event<'_> = serde_json::from_str(data)?;
        let kind = event.r#type.as_str();
        let kind = if kind.is_empty() { name } else { kind };
        if kind == "error" || reports(event.error) {
            return Err(Said::read(data).into());
        }
        match kind {
            STOP_EVENT => return Ok(Reading::IsOver),
            "message" => {
                let whole: Message<'_> = serde_json::from_str(data)?;
                self.whole(whole, answer)?;
                return Ok(Reading::IsOver);
            }
            _ => {}
        }
        // What an event says is known by what is in it; its type only says it once more.
        let is_known = event.message.0.is_some() || event.content_block.0.is_some() || event.delta.0.is_some();
        if !is_known && !matches!(kind, "ping" | "content_block_stop" | "message_start" | "message_delta" | "content_block_delta") {
            return Ok(Reading::Unknown);
        }
        if let Some(message) = event.message.0 {
            self.message(message, answer)?;
        } else if let Some(usage) = event.usage {
            self.counts.take(usage);
        }
        if let Some(block) = event.content_block.0 {
            self.block(event.index, block, Source::Delta, answer)?;
        }
        if let Some(delta) = event.delta.0 {
            self.delta(event.index, delta, answer)?;
        }
        if kind == "content_block_stop" {
            self.end_thought(answer)?;
        }
        answer.usage(self.counts.usage());
        Ok(Reading::GoesOn)
    }
}

impl Messages {
    fn message(&mut self, message: Message<'_>, answer: &mut Answer) -> Result<(), Unread> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        answer.named(message.id.as_str());
        if let Some(usage) = message.usage {
            self.counts.take(usage);
            self.counts.forget_output();
            // Told now, so that an answer which never ends still says what was paid for it.
            answer.usage(self.counts.usage());
            answer.tell_usage();
        }
        for (n, block) in message.content.0.into_iter().enumerate() {
            self.block(Index(i64::try_from(n).ok()), block, Source::Whole, answer)?;
        }
        Ok(())
    }

    /// A message that came in one piece.
    fn whole(&mut self, message: Message<'_>, answer: &mut Answer) -> Result<(), Unread> {
        answer.named(message.id.as_str());
        for (n, block) in message.content.0.into_iter().enumerate() {
            self.block(Index(i64::try_from(n).ok()), block, Source::Whole, answer)?;
        }
        if let Some(usage) = message.usage {
            self.counts.take(usage);
            answer.usage(self.counts.usage());
        }
        answer.ended(message.stop_reason.as_str())?;
        Ok(())
    }

    fn block(&mut self, index: Index, block: Block<'_>, source: Source, answer: &mut Answer) -> Result<(), Unread> {
        self.end_thought(answer)?;
        let kind = block.r#type.as_str();
        let is_call = kind == "tool_use" || (kind.is_empty() && !block.name.as_str().is_empty());
        if is_call {
            let (id, name) = (block.id.text(), block.name.text());
            answer.call(Piece { id, index, name, arguments: Arguments::given(block.input), begins: true, ..Piece::default() })?;
            return Ok(());
        }
        self.others = index;
        if let Some(thought) = Thought::begun(&block) {
            answer.thought(block.thinking.as_str(), source)?;
            self.thought = Some(thought);
        } else if matches!(kind, "text" | "") {
            answer.text(block.text.as_str(), source)?;
        }
        Ok(())
    }

    /// A thought is whole: it goes back in front of what follows.
    fn end_thought(&mut self, answer: &mut Answer) -> Result<(), Box<StreamFailure>> {
        self.thought.take().map_or(Ok(()), |thought| answer.state(thought.whole()))
    }

    fn delta(&mut self, index: Index, delta: Delta<'_>, answer: &mut Answer) -> Result<(), Unread> {
        if !delta.thinking.as_str().is_empty() || delta.signature.is_some() {
            self.thought.get_or_insert_default().goes_on(&delta);
        }
        answer.thought(delta.thinking.as_str(), Source::Delta)?;
        answer.text(delta.text.as_str(), Source::Delta)?;
        if let Some(json) = delta.partial_json
            && (self.others.0.is_none() || self.others != index)
        {
            let piece = Piece { index, arguments: Arguments::more(Some(json)), ..Piece::default() };
            // A call is always announced: input that belongs to none cannot be run.
            if answer.begins_a_call(&piece) {
                answer.note(NoteKind::PassedOver, json.get());
            } else {
                answer.call(piece)?;
            }
        }
        // The vendor's word to the person: often the only one of a message that was refused.
        if let Some(details) = delta.stop_details.0 {
            answer.text(details.explanation.as_str(), Source::Delta)?;
        }
        answer.ended(delta.stop_reason.as_str())?;
        Ok(())
    }
}
