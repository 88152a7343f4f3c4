//! What an answer has said so far, whichever vendor's it is.
//!
//! Invariants: words count wherever they stand, and once; an answer that has finished is not failed by what comes behind its
//! end; an answer that said nothing is no success. Everything that was not understood is told.

use super::calls::{Calls, Piece};
use super::documents::join;
use super::fault;
use super::limits::AnswerLimits;
use super::reasons::{Reason, reason};
use super::tags::Thinking;
use super::told::Told;
use crate::protocol::diagnostics::{StreamFailure, Usage};
use crate::protocol::model::{FinishReason, ModelEvent, ModelRequest, NoteKind};
use std::collections::VecDeque;

/// As much of a long text as one event carries, so that others get their turn in between.
const PIECE: usize = 64 << 10;
/// As many things are noted of one answer, and as much is said of each.
const NOTES: usize = 16;
const NOTE_BYTES: usize = 512;

/// One answer in the making.
#[derive(Debug)]
pub struct Answer {
    out: VecDeque<ModelEvent>,
    calls: Calls,
    text: Told,
    thought: Told,
    thinking: Thinking,
    /// Half a character at the end of the words, and of the thoughts.
    halves: [Option<char>; 2],
    usage: Option<Usage>,
    /// Why the model ended, as the provider wrote it.
    end: Option<(Reason, String)>,
    refused: bool,
    /// Bytes of what the provider wants back.
    kept: usize,
    is_named: bool,
    notes: usize,
    limits: AnswerLimits,
    /// Something of the protocol was understood.
    pub(super) is_understood: bool,
}

/// Where words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) enum Source {
    /// They are new.
    Delta,
    /// They may repeat what has come, each in its own way: a part that is done, an item that is done, the whole answer.
    TextDone,
    PartDone,
    ItemDone,
    Whole,
}

impl Answer {
    pub(super) fn begin(request: &ModelRequest, limits: AnswerLimits) -> Self {
        Self {
            out: VecDeque::new(),
            calls: Calls::new(request, limits),
            text: Told::default(),
            thought: Told::default(),
            thinking: Thinking::default(),
            halves: [None; 2],
            usage: None,
            end: None,
            refused: false,
            kept: 0,
            is_named: false,
            notes: 0,
            limits,
            is_understood: false,
        }
    }

    /// The provider's own id of the answer.
    pub(in crate::provider) fn named(&mut self, id: &str) {
        if !id.is_empty() && !std::mem::replace(&mut self.is_named, true) {
            self.out.push_back(ModelEvent::ResponseId(id.to_owned()));
        }
    }

    /// Words to the person.
    pub(in crate::provider) fn text(&mut self, text: &str, source: Source) -> Result<(), Box<StreamFailure>> {
        if text.is_empty() {
            return Ok(());
        }
        let text = whole(self.text.new_in(text, source), &mut self.halves[0]);
        self.text.add(&text);
        Self::push(&mut self.out, text, ModelEvent::Text);
        self.within_limits()
    }

    /// Words of a model that may write its thoughts in tags before them.
    pub(in crate::provider) fn tagged_text(&mut self, text: &str, source: Source) -> Result<(), Box<StreamFailure>> {
        if self.thinking.is_over() {
            return self.text(text, source);
        }
        if source == Source::Delta {
            let (thought, text) = self.thinking.split(text);
            self.thought(&thought, source)?;
            return self.text(&text, source);
        }
        let mut thinking = Thinking::default();
        let (mut thought, mut said) = thinking.split(text);
        let (more, rest) = thinking.end();
        thought.push_str(&more);
        said.push_str(&rest);
        self.thought(&thought, source)?;
        self.text(&said, source)
    }

    /// What the model thinks.
    pub(in crate::provider) fn thought(&mut self, text: &str, source: Source) -> Result<(), Box<StreamFailure>> {
        if text.is_empty() {
            return Ok(());
        }
        let text = whole(self.thought.new_in(text, source), &mut self.halves[1]);
        self.thought.add(&text);
        Self::push(&mut self.out, text, ModelEvent::Reasoning);
        self.within_limits()
    }

    /// Words with which the model refuses.
    pub(in crate::provider) fn refusal(&mut self, text: &str, source: Source) -> Result<(), Box<StreamFailure>> {
        // A number or a word for nothing is no refusal.
        if text.trim().is_empty() || text.parse::<f64>().is_ok() {
            return Ok(());
        }
        self.refused = true;
        self.text(text, source)
    }

    /// A piece of a tool call.
    pub(in crate::provider) fn call(&mut self, piece: Piece<'_>) -> Result<(), Box<StreamFailure>> {
        self.calls.add(piece)
    }

    /// What the provider wants back with this step, as JSON.
    pub(in crate::provider) fn state(&mut self, state: String) -> Result<(), Box<StreamFailure>> {
        self.kept += state.len();
        self.out.extend(self.calls.keep(state).map(ModelEvent::State));
        self.within_limits()
    }

    /// The same, of a call that has come.
    pub(in crate::provider) fn state_before(&mut self, state: String, call: usize) -> Result<(), Box<StreamFailure>> {
        self.kept += state.len();
        self.out.extend(self.calls.keep_before(state, call).map(ModelEvent::State));
        self.within_limits()
    }

    pub(in crate::provider) fn begins_a_call(&self, piece: &Piece<'_>) -> bool {
        self.calls.begins_another(piece)
    }

    pub(in crate::provider) fn usage(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage.take());
    }

    /// Tells the usage now, in case the answer never ends.
    pub(in crate::provider) fn tell_usage(&mut self) {
        self.out.extend(self.usage.take().map(ModelEvent::Usage));
    }

    /// Why the model ended, as the provider writes it.
    ///
    /// # Errors
    /// It failed, and had not finished before.
    pub(in crate::provider) fn ended(&mut self, raw: &str) -> Result<(), Box<StreamFailure>> {
        match reason(raw) {
            None => Ok(()),
            Some(reason @ (Reason::Failed | Reason::Busy)) => Err(fault::ended(reason, raw)),
            // A reason that is not known does not take the place of one that is.
            Some(Reason::Unknown) if self.end.is_some() => Ok(()),
            Some(reason) => {
                self.end = Some((reason, raw.trim().to_owned()));
                Ok(())
            }
        }
    }

    /// Something about the answer that does not fail it.
    pub(in crate::provider) fn note(&mut self, kind: NoteKind, message: &str) {
        if self.notes < NOTES {
            self.notes += 1;
            let message = crate::text::cut(message, NOTE_BYTES).to_owned();
            self.out.push_back(ModelEvent::Note { kind, message });
        }
    }

    /// The next thing to hand out.
    pub(super) fn pop(&mut self) -> Option<ModelEvent> {
        self.calls.tell_news(&mut self.out);
        self.out.pop_front()
    }

    pub(super) fn tell(&mut self, event: ModelEvent) {
        self.out.push_back(event);
    }

    pub(super) fn is_silent(&self) -> bool {
        self.out.is_empty() && !self.calls.have_news()
    }

    /// How sure it is that the model has finished.
    pub(super) fn tail(&self) -> Tail {
        let Some((reason, _)) = &self.end else { return Tail::NotYet };
        if matches!(reason, Reason::CutOff | Reason::Refused) {
            return Tail::Certain;
        }
        match (self.calls.is_empty(), self.text.is_blank()) {
            (true, true) => Tail::NotYet,
            (false, _) if !self.calls.are_whole() => Tail::Likely,
            _ => Tail::Certain,
        }
    }

    /// How much it has said, calls included.
    pub(super) fn said(&self) -> usize {
        self.text.len() + self.thought.len() + self.calls.bytes()
    }

    /// The provider gave a reason for the end.
    pub(in crate::provider) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The end of the answer: tool calls, usage, and the finish. `last` is what the reason is called where none was given.
    ///
    /// # Errors
    /// The answer said nothing, or a tool call cannot be handed on.
    pub(super) fn finish(&mut self, last: &str) -> Result<(), Box<StreamFailure>> {
        let (thought, text) = self.thinking.end();
        self.thought(&thought, Source::Delta)?;
        self.text(&text, Source::Delta)?;
        for (held, event) in self.halves.iter_mut().zip([ModelEvent::Text as fn(String) -> ModelEvent, ModelEvent::Reasoning]) {
            self.out.extend(held.take().map(|_| event(char::REPLACEMENT_CHARACTER.into())));
        }
        self.calls.tell_news(&mut self.out);
        let (ended, raw) = self.end.take().unwrap_or_else(|| (Reason::Finished, last.to_owned()));
        let reason = match ended {
            Reason::CutOff => FinishReason::MaxTokens,
            Reason::Refused => FinishReason::Refusal,
            _ if self.refused => FinishReason::Refusal,
            // Some say `stop` with tool calls, some say `tool_calls` without any: the calls themselves decide.
            _ if self.calls.is_empty() => FinishReason::EndTurn,
            _ => FinishReason::ToolCalls,
        };
        if ended == Reason::Unknown {
            self.note(NoteKind::UnknownFinishReason, &raw);
        }
        if reason == FinishReason::EndTurn && ended == Reason::Calls {
            self.note(NoteKind::CallMissing, &raw);
        }
        if reason == FinishReason::EndTurn && self.text.is_blank() {
            self.tell_usage();
            return Err(fault::empty(&raw, !self.thought.is_blank()));
        }
        if reason == FinishReason::ToolCalls {
            self.calls.hand_out(&mut self.out)?;
        } else if !self.calls.is_empty() {
            // A call in an answer that was cut off may be cut off itself: it is not handed on.
            let names = self.calls.names().map(|name| if name.is_empty() { "a call without a name" } else { name });
            let names = names.collect::<Vec<_>>().join(", ");
            self.note(NoteKind::CallNotRun, &names);
        }
        self.tell_usage();
        self.out.push_back(ModelEvent::Finish { reason, raw });
        Ok(())
    }

    fn within_limits(&self) -> Result<(), Box<StreamFailure>> {
        if (self.text.len() + self.thought.len()).max(self.kept) > self.limits.text_bytes {
            Err(self.limits.too_much_text())
        } else {
            Ok(())
        }
    }

    fn push(out: &mut VecDeque<ModelEvent>, text: String, event: fn(String) -> ModelEvent) {
        if (1..=PIECE).contains(&text.len()) {
            return out.push_back(event(text));
        }
        let mut rest = &*text;
        while !rest.is_empty() {
            let piece = crate::text::cut(rest, PIECE);
            out.push_back(event(piece.to_owned()));
            rest = &rest[piece.len()..];
        }
    }
}

/// How sure it is that a model has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// It has given no reason, or nothing that a reason could be given for.
    NotYet,
    /// It has given a reason, but a call is not whole.
    Likely,
    Certain,
}

/// Text whose halves of characters are whole again.
fn whole(text: &str, held: &mut Option<char>) -> String {
    // The marks of halves begin with this byte, as few other characters do.
    let may_have_marks = memchr::memchr(0xF4, text.as_bytes()).is_some();
    if held.is_none() && !may_have_marks { text.to_owned() } else { join(text, held) }
}
