//! One answer of a script, played.
//!
//! Invariant: an answer that the script does not end is ended with a finish of its own.

use super::history;
use super::script::{Entry, Finish, HttpError, ProtocolError, Script, Short, Tokens, ToolCall, TransportError, Words};
use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::{ClosedBy, StreamFailure, Usage, UsageSource};
use crate::protocol::model::{ModelEvent, ModelRequest, Purpose};
use crate::protocol::said;
use crate::provider::failure::{ProtocolKind, TransportKind, closed_by, http, protocol, transport};
use crate::text::cut;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What every failure that a script asks for rests on.
const EVIDENCE: &[&str] = &["the script says so"];

/// Plays the next answer; the step is taken at the first poll.
pub(super) fn open(
    script: Arc<Script>,
    file: Arc<str>,
    next: Arc<AtomicUsize>,
    request: ModelRequest,
) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
    let replay = Replay { script, file, state: State::Unstarted { next, request }, ready: VecDeque::new() };
    stream::unfold(Box::new(replay), |mut replay| async move { replay.next().await.map(|event| (event, replay)) }).boxed()
}

struct Replay {
    script: Arc<Script>,
    file: Arc<str>,
    state: State,
    ready: VecDeque<ModelEvent>,
}

enum State {
    Unstarted { next: Arc<AtomicUsize>, request: ModelRequest },
    Playing(Playing),
    Failed(Box<StreamFailure>),
    Ended,
}

/// Where a running answer stands.
struct Playing {
    which: Which,
    entry: usize,
    /// The next piece of the entry's words.
    piece: usize,
    head_sent: bool,
    calls: usize,
    /// Ids of tool calls that the conversation has used: a script may be played twice in one session.
    used: HashSet<String>,
}

/// Which of the script's answers.
#[derive(Debug, Clone, Copy)]
enum Which {
    Step(usize),
    Title,
}

impl Replay {
    async fn next(&mut self) -> Option<Result<ModelEvent, StreamFailure>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let advanced = match std::mem::replace(&mut self.state, State::Ended) {
                State::Unstarted { next, request } => self.start(&next, &request),
                State::Playing(playing) => self.play(playing).await,
                State::Failed(failure) => return Some(Err(*failure)),
                State::Ended => return None,
            };
            self.state = advanced.unwrap_or_else(|failure| {
                let is_answer = matches!(failure.cause, Cause::ProviderHttp { .. });
                self.ready.push_back(ModelEvent::UpstreamClosed(if is_answer { ClosedBy::Provider } else { closed_by(&failure) }));
                State::Failed(failure)
            });
        }
    }

    fn start(&mut self, next: &AtomicUsize, request: &ModelRequest) -> Result<State, Box<StreamFailure>> {
        history::check(&request.messages)?;
        let which = match request.purpose {
            Purpose::Title => Which::Title,
            Purpose::Turn => Which::Step(next.fetch_add(1, Ordering::Relaxed)),
        };
        let missing = match which {
            Which::Title if self.script.title.is_none() => Some("has no title".to_owned()),
            Which::Step(n) if n >= self.script.steps.len() => {
                Some(format!("has {} steps, and step {} was asked for", n.min(self.script.steps.len()), n + 1))
            }
            Which::Title | Which::Step(_) => None,
        };
        if let Some(missing) = missing {
            let message = said::with(said::SCRIPT_ENDED, &[&format!("{} {missing}", self.file)]);
            return Err(protocol(ProtocolKind::ScriptEnded, message, None, &["the script holds no answer for this model call"]));
        }
        let connects = !self.script.entries(which).iter().any(|entry| matches!(entry, Entry::TransportError(e) if e.kind.is_connecting()));
        self.ready.extend(connects.then_some(ModelEvent::RequestSent));
        Ok(State::Playing(Playing { which, entry: 0, piece: 0, head_sent: false, calls: 0, used: history::call_ids(&request.messages) }))
    }

    async fn play(&mut self, mut playing: Playing) -> Result<State, Box<StreamFailure>> {
        // A long burst must leave room for others, a cancel above all.
        tokio::task::consume_budget().await;
        let script = Arc::clone(&self.script);
        let entry = match (&script.title, playing.which) {
            (Some(Short::Text(title)), Which::Title) if playing.entry == 0 => {
                playing.head(&mut self.ready);
                self.ready.push_back(ModelEvent::Text(title.clone()));
                playing.entry = 1;
                return Ok(State::Playing(playing));
            }
            _ => script.entries(playing.which).get(playing.entry),
        };
        if entry.is_none_or(Entry::needs_head) {
            playing.head(&mut self.ready);
        }
        match entry {
            Some(Entry::Text(words)) => return Ok(playing.say(words, ModelEvent::Text, &mut self.ready).await),
            Some(Entry::Reasoning(words)) => return Ok(playing.say(words, ModelEvent::Reasoning, &mut self.ready).await),
            Some(Entry::ToolCall(call)) => playing.call(call, &mut self.ready),
            Some(Entry::Usage(tokens)) => self.ready.push_back(ModelEvent::Usage(tokens.into())),
            Some(Entry::DelayMs(pause)) => tokio::time::sleep(Duration::from_millis(*pause)).await,
            Some(Entry::Headers) => {}
            Some(Entry::Stall) => std::future::pending().await,
            Some(Entry::HangUp) => {
                return Err(transport(TransportKind::UnexpectedEof, said::SCRIPT_HUNG_UP, EVIDENCE));
            }
            Some(Entry::Panic) => std::panic::panic_any("the script says so"),
            Some(Entry::HttpError(error)) => {
                let request_id = Some(playing.which.request_id());
                self.ready.push_back(ModelEvent::Headers { http_status: error.status, request_id });
                return Err(error.into());
            }
            Some(Entry::TransportError(error)) => return Err(error.into()),
            Some(Entry::ProtocolError(error)) => return Err(error.into()),
            Some(Entry::Finish(finish)) => return Ok(self.finish(*finish)),
            None => return Ok(self.finish(if playing.calls > 0 { Finish::ToolCalls } else { Finish::EndTurn })),
        }
        playing.entry += 1;
        Ok(State::Playing(playing))
    }

    fn finish(&mut self, finish: Finish) -> State {
        let (reason, raw) = finish.reason();
        self.ready.push_back(ModelEvent::UpstreamClosed(ClosedBy::Provider));
        self.ready.push_back(ModelEvent::Finish { reason, raw: raw.into() });
        State::Ended
    }
}

impl Script {
    fn entries(&self, which: Which) -> &[Entry] {
        match which {
            Which::Step(n) => self.steps.get(n).map_or(&[], Vec::as_slice),
            Which::Title => match &self.title {
                Some(Short::Full(entries)) => entries,
                Some(Short::Text(_)) | None => &[],
            },
        }
    }
}

impl Entry {
    /// Whether the head of the answer has come before it.
    fn needs_head(&self) -> bool {
        !matches!(self, Self::DelayMs(_) | Self::Stall | Self::HttpError(_) | Self::TransportError(_))
    }
}

impl Which {
    fn request_id(self) -> String {
        match self {
            Self::Step(n) => format!("scripted-request-{}", n + 1),
            Self::Title => "scripted-request-title".into(),
        }
    }

    fn response_id(self) -> String {
        match self {
            Self::Step(n) => format!("scripted-{}", n + 1),
            Self::Title => "scripted-title".into(),
        }
    }
}

impl Playing {
    fn head(&mut self, out: &mut VecDeque<ModelEvent>) {
        if !self.head_sent {
            self.head_sent = true;
            out.push_back(ModelEvent::Headers { http_status: 200, request_id: Some(self.which.request_id()) });
            out.push_back(ModelEvent::ResponseId(self.which.response_id()));
        }
    }

    /// Says the next piece of `words`; behind the last one stands the next entry.
    async fn say(mut self, words: &Short<Words>, event: fn(String) -> ModelEvent, out: &mut VecDeque<ModelEvent>) -> State {
        let (piece, pieces) = match words {
            Short::Text(text) => (text.as_str(), 1),
            Short::Full(words) => {
                if self.piece > 0 && words.every_ms > 0 {
                    // The head and the pieces before this one are out, so that the pause stands between them.
                    tokio::time::sleep(Duration::from_millis(words.every_ms)).await;
                }
                (words.piece(self.piece), words.chunks.saturating_mul(words.repeat))
            }
        };
        if self.piece > 0 || self.entry > 0 {
            // Each piece comes by itself, as from a model.
            tokio::task::yield_now().await;
        }
        // With more pieces than characters, some are empty; no model sends those.
        out.extend((!piece.is_empty()).then(|| event(piece.to_owned())));
        self.piece += 1;
        if self.piece >= pieces {
            self.piece = 0;
            self.entry += 1;
        }
        State::Playing(self)
    }

    fn call(&mut self, call: &ToolCall, out: &mut VecDeque<ModelEvent>) {
        self.calls += 1;
        let call_id = call.id.clone().unwrap_or_else(|| {
            let stem = match self.which {
                Which::Step(n) => format!("call_{}_{}", n + 1, self.calls),
                Which::Title => format!("call_title_{}", self.calls),
            };
            let later = (2..).map(|n| format!("{stem}_{n}"));
            std::iter::once(stem.clone()).chain(later).find(|id| !self.used.contains(id)).unwrap_or_default()
        });
        let bytes = call.input.as_str().map_or_else(|| call.input.to_string().len(), str::len);
        out.push_back(ModelEvent::ToolBegins { nth: self.calls - 1, call_id: call_id.clone(), tool: call.name.clone() });
        out.extend((bytes > 0).then_some(ModelEvent::ToolInput { bytes }));
        out.push_back(ModelEvent::ToolCall { call_id, tool: call.name.clone(), input: call.input.clone(), state: None });
    }
}

impl Words {
    /// The `n`th of `chunks` about equal pieces, counted on through the repetitions.
    fn piece(&self, n: usize) -> &str {
        let n = n % self.chunks;
        let start = |k: usize| {
            let share = self.text.len() as u128 * k as u128 / self.chunks as u128;
            cut(&self.text, usize::try_from(share).unwrap_or(usize::MAX)).len()
        };
        &self.text[start(n)..start(n + 1)]
    }
}

impl From<&Tokens> for Usage {
    fn from(tokens: &Tokens) -> Self {
        Self {
            source: UsageSource::Provider,
            input_tokens: tokens.input_tokens,
            output_tokens: tokens.output_tokens,
            reasoning_tokens: tokens.reasoning_tokens,
            cached_input_tokens: tokens.cached_input_tokens,
            cache_write_input_tokens: tokens.cache_write_input_tokens,
        }
    }
}

impl From<&HttpError> for Box<StreamFailure> {
    fn from(error: &HttpError) -> Self {
        let message = or_default(&error.message, said::SCRIPT_REFUSED);
        let failure = http(error.status, message, error.code.as_deref(), EVIDENCE);
        Box::new(StreamFailure { retry_after_ms: error.retry_after_ms, ..*failure })
    }
}

impl From<&TransportError> for Box<StreamFailure> {
    fn from(error: &TransportError) -> Self {
        transport(error.kind, or_default(&error.message, said::SCRIPT_FAILED), EVIDENCE)
    }
}

impl From<&ProtocolError> for Box<StreamFailure> {
    fn from(error: &ProtocolError) -> Self {
        protocol(error.kind, or_default(&error.message, said::SCRIPT_MADE_NO_SENSE), error.code.as_deref(), EVIDENCE)
    }
}

fn or_default<'a>(message: &'a str, default: &'a str) -> &'a str {
    if message.is_empty() { default } else { message }
}
