//! Tool calls put together from their pieces, whichever vendor's they are, and handed out.
//!
//! Invariants: a call is known by its id, then by its item's id, then by its index. Nothing is run twice and nothing is dropped
//! without a word: what belongs to no call that is under way begins one. Every call that leaves here has a name and an id that no
//! other call of the conversation has.

use super::documents::{join, mark_halves};
use super::limits::AnswerLimits;
use super::loose::Index;
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::ids::AttemptId;
use crate::protocol::message::PartKind;
use crate::protocol::model::{ModelEvent, ModelRequest};
use crate::protocol::nesting::{MAX_NESTING, is_deeper_than};
use crate::protocol::said;
use crate::provider::failure::{ProtocolKind, protocol};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

/// A piece of a call. What the vendor leaves out is empty.
#[derive(Debug, Default)]
pub(in crate::provider) struct Piece<'a> {
    pub(in crate::provider) id: Cow<'a, str>,
    /// The id of the item that the call is, where that is another one.
    pub(in crate::provider) item: Cow<'a, str>,
    pub(in crate::provider) index: Index,
    pub(in crate::provider) name: Cow<'a, str>,
    pub(in crate::provider) arguments: Arguments<'a>,
    /// What the provider wants back with the call, as JSON.
    pub(in crate::provider) state: Option<&'a str>,
    /// It announces a call of its own at its index, whatever id that has.
    pub(in crate::provider) begins: bool,
}

/// What a piece says of a call's arguments.
#[derive(Debug, Default)]
pub(in crate::provider) enum Arguments<'a> {
    #[default]
    Nothing,
    /// More of them.
    More(Cow<'a, str>),
    /// All of them; what came before said the same.
    All(Cow<'a, str>),
    /// All of them, unless pieces follow: those take their place.
    Given(Cow<'a, str>),
}

impl<'a> Arguments<'a> {
    /// Arguments as servers send them: a string of JSON, or the object itself.
    pub(in crate::provider) fn more(json: Option<&'a RawValue>) -> Self {
        text(json).map_or(Self::Nothing, Self::More)
    }

    pub(in crate::provider) fn all(json: Option<&'a RawValue>) -> Self {
        text(json).map_or(Self::Nothing, Self::All)
    }

    pub(in crate::provider) fn given(json: Option<&'a RawValue>) -> Self {
        text(json).filter(|text| !is_placeholder(text)).map_or(Self::Nothing, Self::Given)
    }

    fn text(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::More(text) | Self::All(text) | Self::Given(text) => text,
        }
    }
}

fn text(json: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = json?.get();
    let text = match json.as_bytes().first()? {
        b'"' => match serde_json::from_str::<Text<'_>>(json) {
            Ok(Text(text)) => text,
            // Half a character, which no string can hold.
            Err(_) => serde_json::from_str::<String>(&mark_halves(json)).map_or(Cow::Borrowed(json), Cow::Owned),
        },
        b'{' | b'[' => Cow::Borrowed(json),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The calls of one answer, in the order in which they began.
#[derive(Debug)]
pub(super) struct Calls {
    begun: Vec<Call>,
    ids: CallIds,
    tools: Vec<&'static str>,
    limits: AnswerLimits,
    /// Something came of a call that was not told yet.
    news: bool,
    /// The call that was told of last.
    told: Option<usize>,
    /// What the provider wants back with the step behind the last call.
    behind: Vec<String>,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    item: String,
    index: Index,
    name: String,
    arguments: String,
    /// They came with the call's beginning.
    given: bool,
    scan: Scan,
    /// Its name or its id is not told yet, and so many bytes of its arguments are not.
    renamed: bool,
    untold: usize,
    /// What the provider wants back with the call.
    state: Option<String>,
    /// What it wants back with the step in front of the call.
    before: Vec<String>,
}

impl Calls {
    pub(super) fn new(request: &ModelRequest, limits: AnswerLimits) -> Self {
        let tools = request.tools.iter().map(|tool| tool.name).collect();
        Self { begun: Vec::new(), ids: CallIds::new(request), tools, limits, news: false, told: None, behind: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Whether all that came of every call can be run as it is.
    pub(super) fn are_whole(&self) -> bool {
        self.begun.iter().all(|call| call.scan.is_whole())
    }

    /// How much has come of them.
    pub(super) fn bytes(&self) -> usize {
        self.begun.iter().map(|call| call.name.len() + call.arguments.len()).sum()
    }

    /// The names of the calls, as far as they came.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.begun.iter().map(|call| call.name.as_str())
    }

    /// Keeps what the provider wants back with the step in its place among the calls; gives it back if none has begun.
    pub(super) fn keep(&mut self, state: String) -> Option<String> {
        if self.begun.is_empty() {
            return Some(state);
        }
        self.behind.push(state);
        None
    }

    /// The same, in front of a call that has come.
    pub(super) fn keep_before(&mut self, state: String, nth: usize) -> Option<String> {
        match self.begun.get_mut(nth) {
            Some(call) => {
                call.before.push(state);
                None
            }
            None => self.keep(state),
        }
    }

    /// Whether the piece belongs to no call so far.
    pub(super) fn begins_another(&self, piece: &Piece<'_>) -> bool {
        self.find(piece).is_none()
    }

    pub(super) fn have_news(&self) -> bool {
        self.news
    }

    /// Tells which calls began or went on since it was told last, and by how many bytes.
    pub(super) fn tell_news(&mut self, out: &mut VecDeque<ModelEvent>) {
        if !std::mem::take(&mut self.news) {
            return;
        }
        for (nth, call) in self.begun.iter_mut().enumerate() {
            let (renamed, bytes) = (std::mem::take(&mut call.renamed), std::mem::take(&mut call.untold));
            if renamed || (bytes > 0 && self.told != Some(nth)) {
                self.told = Some(nth);
                out.push_back(ModelEvent::ToolBegins { nth, call_id: call.id.clone(), tool: call.name.clone() });
            }
            out.extend((bytes > 0).then_some(ModelEvent::ToolInput { bytes }));
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// There are more calls, or a call is longer, than the limits allow.
    pub(super) fn add(&mut self, piece: Piece<'_>) -> Result<(), Box<StreamFailure>> {
        let mut bytes = piece.arguments.text().len();
        let at = match self.find(&piece) {
            Some(at) => at,
            None if piece.name.is_empty() && piece.id.is_empty() && bytes == 0 => return Ok(()),
            None if self.begun.len() >= self.limits.calls => return Err(self.limits.too_many_calls()),
            None => {
                self.begun.push(Call { before: std::mem::take(&mut self.behind), ..Call::default() });
                self.begun.len() - 1
            }
        };
        let call = &mut self.begun[at];
        let known = call.id.len() + call.name.len();
        for (known, new) in [(&mut call.id, &piece.id), (&mut call.item, &piece.item)] {
            if known.is_empty() {
                known.push_str(new);
            }
        }
        call.index = Index(call.index.0.or(piece.index.0));
        if let Some(state) = piece.state.filter(|state| *state != "null") {
            call.state = Some(state.to_owned());
        }
        // A server that sends the name with every piece does not mean it twice.
        if call.name != piece.name {
            call.name.push_str(&piece.name);
        }
        match piece.arguments {
            Arguments::Nothing => {}
            Arguments::More(more) => {
                // An empty object stands before the real one where a server had nothing better to begin with.
                let is_first = std::mem::take(&mut call.given) || (call.is_placeholder() && more.trim_start().starts_with('{'));
                if call.scan.is_whole() && call.arguments == more {
                    bytes = 0;
                } else {
                    if is_first {
                        call.set("");
                    }
                    call.scan.read(&more);
                    call.arguments.push_str(&more);
                }
            }
            Arguments::All(all) => {
                bytes = if call.arguments.is_empty() { bytes } else { 0 };
                if !(call.scan.is_whole() && is_placeholder(&all)) {
                    call.set(&all);
                }
            }
            Arguments::Given(all) => {
                bytes = 0;
                call.given = true;
                call.set(&all);
            }
        }
        call.renamed |= call.id.len() + call.name.len() > known;
        call.untold += bytes;
        self.news |= call.renamed || bytes > 0;
        let size = call.id.len() + call.item.len() + call.name.len() + call.arguments.len() + call.state.as_ref().map_or(0, String::len);
        if size > self.limits.call_bytes { Err(self.limits.too_long_a_call()) } else { Ok(()) }
    }

    /// The call that the piece belongs to; none, if it begins another.
    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let last = |is: &dyn Fn(&Call) -> bool| self.begun.iter().rposition(is);
        if piece.begins && piece.index.0.is_some() && last(&|call| call.index == piece.index).is_none() {
            return None;
        }
        if !piece.id.is_empty()
            && let Some(at) = last(&|call| call.id == piece.id)
        {
            return self.begun[at].goes_on_with(piece, &self.tools).then_some(at);
        }
        if !piece.item.is_empty()
            && let Some(at) = last(&|call| call.item == piece.item)
        {
            return Some(at);
        }
        // What says all of a call, and not which, says it again of one that is known.
        if matches!(piece.arguments, Arguments::All(_))
            && piece.id.is_empty()
            && let Some(at) = last(&|call| call.name == piece.name && call.says_the_same(piece))
        {
            return Some(at);
        }
        // What has an id of its own is another call, unless it is only now that the call gets its id, or a server makes a
        // new one for each piece.
        let may_be = |call: &Call| {
            let other_id = !piece.id.is_empty() && !call.id.is_empty();
            let other_item = !piece.item.is_empty() && !call.item.is_empty();
            !(other_item || (other_id && !piece.name.is_empty())) && call.goes_on_with(piece, &self.tools)
        };
        if piece.index.0.is_some()
            && let Some(at) = last(&|call| call.index == piece.index)
        {
            return may_be(&self.begun[at]).then_some(at);
        }
        let at = self.begun.len().checked_sub(1)?;
        let call = &self.begun[at];
        // Without anything that says which call it is, it goes on with the last, if that can still go on.
        let is_nameless = piece.name.is_empty() && piece.id.is_empty();
        let same_index = piece.index.0.is_none() || call.index.0.is_none();
        let is_same =
            call.name.is_empty() || !piece.id.is_empty() || call.name == piece.name || call.is_named_in_pieces(piece, &self.tools);
        ((is_nameless || (same_index && is_same)) && may_be(call)).then_some(at)
    }

    /// Hands out the calls.
    ///
    /// # Errors
    /// A call without a name cannot be run and cannot be answered.
    pub(super) fn hand_out(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), Box<StreamFailure>> {
        self.news = false;
        for (n, call) in self.begun.drain(..).enumerate() {
            if call.name.is_empty() {
                let what = said::NAMELESS_CALL;
                return Err(protocol(ProtocolKind::BadToolCall, what, None, &["a tool call had no name when the answer was complete"]));
            }
            out.extend(call.before.into_iter().map(ModelEvent::State));
            let call_id = self.ids.unused(call.id, n + 1);
            out.push_back(ModelEvent::ToolCall { call_id, tool: call.name, input: input(call.arguments), state: call.state });
        }
        out.extend(self.behind.drain(..).map(ModelEvent::State));
        Ok(())
    }
}

impl Call {
    fn set(&mut self, arguments: &str) {
        self.scan = Scan::default();
        self.scan.read(arguments);
        arguments.clone_into(&mut self.arguments);
    }

    fn is_placeholder(&self) -> bool {
        is_placeholder(&self.arguments)
    }

    fn says_the_same(&self, piece: &Piece<'_>) -> bool {
        let text = piece.arguments.text();
        self.arguments == text || text.trim().is_empty()
    }

    /// Whether the name of a tool comes in two pieces, and this is the second.
    fn is_named_in_pieces(&self, piece: &Piece<'_>, tools: &[&str]) -> bool {
        let name = [self.name.as_str(), &piece.name].concat();
        self.arguments.is_empty() && tools.contains(&name.as_str()) && !tools.contains(&&*piece.name)
    }

    /// Whether the piece can be more of this call, or says again what is known of it: a new name, or arguments behind those
    /// that are whole, are another call.
    fn goes_on_with(&self, piece: &Piece<'_>, tools: &[&str]) -> bool {
        let is_new_name =
            !piece.name.is_empty() && !self.name.is_empty() && piece.name != self.name && !self.is_named_in_pieces(piece, tools);
        let is_named_anew = !piece.name.is_empty() && piece.id.is_empty();
        let is_over = self.scan.is_whole() && !self.given && (!self.is_placeholder() || is_named_anew);
        let is_more = match &piece.arguments {
            Arguments::Nothing => false,
            Arguments::More(_) | Arguments::Given(_) => true,
            // All of them are said of a call that is known; of one that is not, other arguments are another call's.
            Arguments::All(_) => piece.id.is_empty() && piece.item.is_empty(),
        };
        !(is_new_name || is_over && is_more && !self.says_the_same(piece))
    }
}

/// Arguments that say nothing yet.
fn is_placeholder(arguments: &str) -> bool {
    let mut inner = arguments.trim().bytes();
    arguments.is_empty() || (inner.next() == Some(b'{') && inner.next_back() == Some(b'}') && inner.all(|byte| byte.is_ascii_whitespace()))
}

/// Whether text that comes in pieces is a whole object or list of JSON; each byte is looked at once.
#[derive(Debug, Default, Clone, Copy)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Scan {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_whole(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

/// The ids of a conversation's calls.
#[derive(Debug)]
struct CallIds {
    used: HashSet<String>,
    attempt: AttemptId,
}

impl CallIds {
    fn new(request: &ModelRequest) -> Self {
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        let used = parts.filter(|part| part.kind == PartKind::ToolCall).filter_map(|part| part.call_id.clone()).collect();
        Self { used, attempt: request.attempt_id.clone() }
    }

    /// The vendor's own id if it has one that is not taken, else one made of the attempt's. `nth` counts from 1.
    fn unused(&mut self, id: String, nth: usize) -> String {
        if !id.is_empty() && self.used.insert(id.clone()) {
            return id;
        }
        let attempt = self.attempt.as_str().trim_start_matches(AttemptId::PREFIX).trim_start_matches('_');
        // OpenAI refuses ids of more than 40 characters; the tail of an attempt's id is its random part.
        let tail = attempt.get(attempt.len().saturating_sub(24)..).unwrap_or(attempt);
        (nth..).map(|nth| format!("call_{tail}_{nth}")).find(|id| self.used.insert(id.clone())).unwrap_or_default()
    }
}

/// Arguments as JSON; no arguments are `{}`, an object that was written as a string is that object, and what is no object, or
/// nests too deep, stays the text that the model wrote.
fn input(arguments: String) -> Value {
    let mut held = None;
    let mut text = join(&mark_halves(&arguments), &mut held);
    text.extend(held.map(|_| char::REPLACEMENT_CHARACTER));
    if matches!(text.trim(), "" | "null" | "\"\"") {
        return Value::Object(Map::new());
    }
    let read = |json: &str| serde_json::from_str(json).ok().filter(|_| !is_deeper_than(MAX_NESTING, json.as_bytes()));
    let value = match read(&text) {
        Some(Value::String(inner)) => read(&inner),
        value => value,
    };
    value.filter(Value::is_object).unwrap_or(Value::String(arguments))
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
