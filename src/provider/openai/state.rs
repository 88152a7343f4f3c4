//! What vendors of chat completions give with an answer for themselves: their words for what the model thought, and signatures.
//!
//! Invariant: each field goes back as it came. A vendor that cuts one into pieces gets it whole.

use crate::provider::wire::loose::Many;
use crate::provider::wire::words::Words;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Fields of an assistant's message that only its vendor reads.
pub(super) type Fields = Map<String, Value>;

/// What a model thought, in words: in the spelling of those who insist on it, and in the other one.
const THOUGHTS: [&str; 2] = ["reasoning_content", "reasoning"];
const DETAILS: &str = "reasoning_details";
const EXTRA: &str = "extra_content";
/// Anthropic's blocks, as LiteLLM hands them on.
const BLOCKS: &str = "thinking_blocks";

/// The fields of a message while it comes.
#[derive(Debug, Default)]
pub(super) struct State {
    thoughts: [Option<String>; 2],
    details: Vec<Map<String, Value>>,
    /// Blocks, each with the index that its pieces have.
    blocks: Vec<(Option<Value>, Map<String, Value>)>,
    extra: Option<Value>,
}

impl State {
    /// More of what the model thought, in each spelling that came; or all of it.
    pub(super) fn think(&mut self, pieces: [Option<&Words<'_>>; 2], is_all: bool) {
        for (all, piece) in self.thoughts.iter_mut().zip(pieces) {
            if let Some(piece) = piece {
                let all = all.get_or_insert_default();
                if is_all {
                    all.clear();
                }
                all.push_str(piece.as_str());
            }
        }
    }

    /// More details. A piece goes on with the last one, if it is of its kind.
    pub(super) fn detail(&mut self, json: &RawValue, is_all: bool) {
        let details = serde_json::from_str::<Many<Map<String, Value>>>(json.get()).map(|many| many.0).unwrap_or_default();
        if is_all && !details.is_empty() {
            self.details.clear();
        }
        for detail in details {
            match self.details.last_mut().filter(|last| goes_on(last, &detail)) {
                Some(last) if !is_all => add(last, detail, &["text", "summary"]),
                _ => self.details.push(detail),
            }
        }
    }

    /// More of the blocks that a thought stands in. A piece belongs to the block of its index; without one, to the last of its kind.
    pub(super) fn block(&mut self, json: &RawValue, is_all: bool) {
        let pieces = serde_json::from_str::<Many<Map<String, Value>>>(json.get()).map(|many| many.0).unwrap_or_default();
        if is_all && !pieces.is_empty() {
            self.blocks.clear();
        }
        for mut piece in pieces {
            let index = piece.remove("index").filter(|index| !index.is_null());
            let last = match &index {
                Some(index) => self.blocks.iter_mut().find(|(at, _)| at.as_ref() == Some(index)),
                None => self.blocks.last_mut(),
            };
            match last.map(|(_, block)| block).filter(|block| !is_all && block.get("type") == piece.get("type")) {
                Some(block) => add(block, piece, &["thinking", "signature", "data"]),
                None => self.blocks.push((index, piece)),
            }
        }
    }

    pub(super) fn extra(&mut self, json: &RawValue) {
        self.extra = serde_json::from_str(json.get()).ok().filter(Value::is_object).or(self.extra.take());
    }

    /// All of it as JSON, if anything came.
    pub(super) fn whole(&mut self) -> Option<String> {
        let state = std::mem::take(self);
        let thoughts = THOUGHTS.into_iter().zip(state.thoughts).filter_map(|(name, text)| Some((name, Value::String(text?))));
        let details = (!state.details.is_empty()).then(|| (DETAILS, state.details.into_iter().map(Value::Object).collect()));
        let blocks = state.blocks.into_iter().map(|(_, block)| Value::Object(block)).collect::<Vec<_>>();
        let blocks = (!blocks.is_empty()).then_some((BLOCKS, Value::Array(blocks)));
        let extra = state.extra.map(|extra| (EXTRA, extra));
        let fields: Fields = thoughts.chain(details).chain(blocks).chain(extra).map(|(name, value)| (name.to_owned(), value)).collect();
        (!fields.is_empty()).then(|| Value::Object(fields).to_string())
    }
}

/// Whether the detail is more of the last one: what has a kind, a place or a name of its own is another.
fn goes_on(last: &Map<String, Value>, more: &Map<String, Value>) -> bool {
    let same = |field: &str| match (last.get(field), more.get(field)) {
        (Some(last), Some(more)) => last == more || last.is_null() || more.is_null(),
        _ => true,
    };
    let is_text = more.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with(".text") || kind.ends_with(".summary"));
    is_text && last.get("type") == more.get("type") && ["index", "id", "format"].into_iter().all(same)
}

/// Takes in another piece, in which the fields of these names go on with their texts.
fn add(last: &mut Map<String, Value>, more: Map<String, Value>, texts: &[&str]) {
    for (name, value) in more {
        match (last.get_mut(&name), value) {
            (Some(_), Value::Null) => {}
            (Some(Value::String(text)), Value::String(more)) if texts.contains(&name.as_str()) => text.push_str(&more),
            (_, value) => drop(last.insert(name, value)),
        }
    }
}

/// The fields that were kept.
pub(super) fn read(json: &str) -> Fields {
    serde_json::from_str(json).unwrap_or_default()
}

/// Whether what the model thought is among the fields, in the spelling that is insisted on.
pub(super) fn has_thoughts(json: &str) -> bool {
    read(json).contains_key(THOUGHTS[0])
}

/// Takes out what is not wanted of a turn, and puts in what is missing.
pub(super) fn choose(fields: &mut Fields, calls_tools: bool, thinks: bool) {
    if !calls_tools {
        THOUGHTS.into_iter().for_each(|name| drop(fields.remove(name)));
    } else if thinks && !fields.contains_key(THOUGHTS[0]) {
        fields.insert(THOUGHTS[0].to_owned(), Value::String(String::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn details(pieces: &[Value]) -> Value {
        let mut state = State::default();
        for piece in pieces {
            state.detail(&serde_json::value::to_raw_value(piece).unwrap(), false);
        }
        state.whole().map_or(Value::Null, |json| serde_json::from_str::<Value>(&json).unwrap()[DETAILS].take())
    }

    #[test]
    fn details_that_come_in_pieces_go_back_whole_and_in_their_order() {
        let text = |text: &str, signature: Value| json!({ "type": "reasoning.text", "text": text, "signature": signature, "index": 0 });
        let encrypted = |data: &str| json!({ "type": "reasoning.encrypted", "data": data, "index": 0 });
        let another = json!({ "type": "reasoning.text", "text": "Two", "index": 1 });
        assert_eq!(
            details(&[
                json!([text("I ", Value::Null)]),
                json!([text("think", Value::Null), text(".", json!("sig"))]),
                json!([encrypted("AA")]),
                encrypted("BB"),
                json!([another]),
            ]),
            json!([text("I think.", json!("sig")), encrypted("AA"), encrypted("BB"), another])
        );
        assert_eq!(details(&[json!(null), json!("x"), json!([])]), Value::Null);
    }

    #[test]
    fn blocks_that_come_in_pieces_go_back_whole_and_without_their_index() {
        let mut state = State::default();
        let thinking = |text: &str, index: u32| json!({ "type": "thinking", "thinking": text, "index": index });
        let signature = json!({ "type": "thinking", "thinking": "", "signature": "SIG==", "index": 0 });
        let redacted = json!({ "type": "redacted_thinking", "data": "AA" });
        for piece in
            [json!([thinking("Let ", 0)]), thinking("me.", 0), json!([signature]), json!([thinking("Two", 1), redacted]), json!(null)]
        {
            state.block(&serde_json::value::to_raw_value(&piece).unwrap(), false);
        }
        let blocks = json!([
            { "type": "thinking", "thinking": "Let me.", "signature": "SIG==" },
            { "type": "thinking", "thinking": "Two" },
            redacted,
        ]);
        // A whole message repeats them.
        let whole = serde_json::value::to_raw_value(&blocks).unwrap();
        for is_repeated in [false, true] {
            if is_repeated {
                state.block(&whole, true);
            }
            let told = serde_json::from_str::<Value>(&State { blocks: state.blocks.clone(), ..State::default() }.whole().unwrap()).unwrap();
            assert_eq!(told, json!({ "thinking_blocks": blocks }));
        }
    }

    #[test]
    fn a_thought_that_was_none_is_one_all_the_same() {
        let mut state = State::default();
        state.think([Some(&serde_json::from_str("\"\"").unwrap()), None], false);
        assert_eq!(state.whole().as_deref(), Some(r#"{"reasoning_content":""}"#));
        assert_eq!(State::default().whole(), None);
    }

    #[test]
    fn thoughts_go_back_only_in_turns_that_called_tools_and_then_in_each_message() {
        let chosen = |json: &str, calls_tools, thinks| {
            let mut fields = read(json);
            choose(&mut fields, calls_tools, thinks);
            Value::Object(fields)
        };
        let kept = r#"{"reasoning_content":"a","reasoning_details":[1]}"#;
        assert_eq!(chosen(kept, true, true), json!({ "reasoning_content": "a", "reasoning_details": [1] }));
        assert_eq!(chosen(kept, false, true), json!({ "reasoning_details": [1] }));
        assert_eq!(chosen("{}", true, true), json!({ "reasoning_content": "" }));
        assert_eq!(chosen("{}", true, false), json!({}));
    }
}
