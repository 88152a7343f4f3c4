//! Vendors that give something with each step and want it back: what they stream, and the rule of each, as it is published.
//!
//! - DeepSeek: <https://api-docs.deepseek.com/guides/thinking_mode>
//! - Gemini: <https://ai.google.dev/gemini-api/docs/thought-signatures>
//! - OpenRouter: <https://openrouter.ai/docs/use-cases/reasoning-tokens>
//! - Anthropic: <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>
//! - OpenAI: <https://platform.openai.com/docs/guides/reasoning>

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    DeepSeek,
    Gemini,
    OpenRouter,
    Anthropic,
    OpenAi,
}

pub(super) const VENDORS: [Vendor; 5] = [Vendor::DeepSeek, Vendor::Gemini, Vendor::OpenRouter, Vendor::Anthropic, Vendor::OpenAi];

/// A step as it was streamed.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) n: usize,
    /// Its turn calls tools.
    pub(super) turn_calls: bool,
    pub(super) words: String,
    /// The files that its calls read.
    pub(super) reads: Vec<&'static str>,
    /// It was stopped before its end.
    pub(super) is_cut: bool,
}

/// What stands in everything that only a vendor reads.
pub(super) const MARK: &str = "opaque";

impl Given {
    fn thought(&self) -> String {
        // Now and then a model thinks nothing, and says so.
        if self.n % 4 == 3 { String::new() } else { format!("{MARK} thought {} “é”\n", self.n) }
    }

    fn signature(&self) -> String {
        format!("{MARK}-signature/{}+==", self.n)
    }

    fn id(&self, call: usize) -> String {
        format!("call_{}_{call}", self.n)
    }

    fn details(&self) -> Value {
        json!([
            { "type": "reasoning.text", "text": format!("{MARK} thought {}", self.n), "signature": self.signature(), "format": "x-v1", "index": 0 },
            { "type": "reasoning.encrypted", "data": format!("{MARK} data {}", self.n), "format": "x-v1", "index": 1 },
        ])
    }

    fn item(&self) -> Value {
        json!({
            "id": format!("rs_{}", self.n), "type": "reasoning", "summary": [{ "type": "summary_text", "text": format!("{MARK} thought {}", self.n) }],
            "encrypted_content": self.signature(),
        })
    }

    /// The blocks of thought in front of a message.
    fn blocks(&self) -> Vec<Value> {
        let thinking = json!({ "type": "thinking", "thinking": format!("{MARK} thought {}", self.n), "signature": self.signature() });
        let redacted = json!({ "type": "redacted_thinking", "data": format!("{MARK} data {}", self.n) });
        if self.n % 3 == 2 { vec![thinking, redacted] } else { vec![thinking] }
    }
}

impl Vendor {
    pub(super) fn model(self) -> &'static str {
        match self {
            Self::DeepSeek | Self::Gemini | Self::OpenRouter => "openai:thinker",
            Self::Anthropic => "anthropic:claude-opus-5",
            Self::OpenAi => "openai-responses:thinker",
        }
    }

    /// Another model of the same provider.
    pub(super) fn other_model(self) -> String {
        format!("{}:another", self.model().split(':').next().unwrap_or_default())
    }

    /// The step as the vendor streams it; one that is cut has no end.
    pub(super) fn stream(self, given: &Given) -> Vec<String> {
        let mut events = match self {
            Self::Anthropic => messages(given),
            Self::OpenAi => responses(given),
            _ => self.chunks(given),
        };
        if given.is_cut {
            // What ends a thought comes with what follows it.
            let words = events.iter().position(|event| event.contains(&given.words)).expect("its words");
            events.truncate(words + 1);
        }
        events
    }

    fn chunks(self, given: &Given) -> Vec<String> {
        let mut deltas = Vec::new();
        let thought = given.thought();
        match self {
            Self::DeepSeek => {
                deltas.push(json!({ "role": "assistant", "content": null, "reasoning_content": "" }));
                let (a, b) = thought.split_at(thought.len() / 2 / 4 * 4);
                deltas.extend([a, b].map(|piece| json!({ "content": null, "reasoning_content": piece })));
            }
            Self::OpenRouter => {
                let details = given.details();
                let mut begin = details[0].clone();
                begin["signature"] = Value::Null;
                begin["text"] = MARK.into();
                let rest = details[0]["text"].as_str().expect("text").trim_start_matches(MARK);
                let mut end = details[0].clone();
                end["text"] = rest.into();
                let piece = |text: &str, detail: &Value| json!({ "content": "", "reasoning": text, "reasoning_details": [detail] });
                deltas.extend([piece(MARK, &begin), piece(rest, &end), json!({ "reasoning_details": [details[1]] })]);
            }
            _ => {}
        }
        if !given.words.is_empty() {
            deltas.push(json!({ "content": given.words }));
        }
        for (at, path) in given.reads.iter().enumerate() {
            let function = json!({ "name": "read_file", "arguments": json!({ "path": path }).to_string() });
            let mut call = json!({ "index": at, "id": given.id(at), "type": "function", "function": function });
            if self == Self::Gemini && at == 0 {
                call["extra_content"] = json!({ "google": { "thought_signature": given.signature() } });
            }
            deltas.push(json!({ "tool_calls": [call] }));
        }
        let reason = if given.reads.is_empty() { "stop" } else { "tool_calls" };
        let chunk = |delta: &Value, reason: Value| {
            format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }))
        };
        let chunks = deltas.iter().map(|delta| chunk(delta, Value::Null));
        chunks.chain([chunk(&json!({}), reason.into()), "data: [DONE]\n\n".to_owned()]).collect()
    }

    /// The rule: each step that was given, as it is in the request.
    pub(super) fn check(self, body: &Value, given: &[Given]) -> Result<(), String> {
        let steps = match self {
            Self::OpenAi => items(body),
            _ => body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "assistant").cloned().collect(),
        };
        if self == Self::OpenAi && (body["store"] != false || body["include"] != json!(["reasoning.encrypted_content"])) {
            return Err(format!("reasoning is neither kept nor asked for: {} {}", body["store"], body["include"]));
        }
        if steps.len() != given.len() {
            return Err(format!("{} steps were given, and {} came back", given.len(), steps.len()));
        }
        given.iter().zip(&steps).try_for_each(|(given, step)| self.check_step(given, step))
    }

    fn check_step(self, given: &Given, step: &Value) -> Result<(), String> {
        let (right, came) = match self {
            // Of a turn that called tools each message has it, of another none.
            Self::DeepSeek => {
                let thought = if given.is_cut { String::new() } else { given.thought() };
                (json!(given.turn_calls.then_some(thought)), step["reasoning_content"].clone())
            }
            Self::Gemini => {
                let signatures = |signature: Value| json!({ "google": { "thought_signature": signature } });
                let right: Vec<_> =
                    (0..given.reads.len()).map(|at| if at == 0 { signatures(given.signature().into()) } else { Value::Null }).collect();
                let calls = step["tool_calls"].as_array().cloned().unwrap_or_default();
                (right.into(), calls.iter().map(|call| call["extra_content"].clone()).collect())
            }
            Self::OpenRouter => (if given.is_cut { Value::Null } else { given.details() }, step["reasoning_details"].clone()),
            Self::Anthropic => {
                let mut blocks = step["content"].as_array().cloned().unwrap_or_default();
                blocks.iter_mut().filter_map(Value::as_object_mut).for_each(|block| drop(block.remove("cache_control")));
                let words = (!given.words.is_empty()).then(|| json!({ "type": "text", "text": given.words }));
                let calls =
                    given.reads.iter().enumerate().map(
                        |(at, path)| json!({ "type": "tool_use", "id": given.id(at), "name": "read_file", "input": { "path": path } }),
                    );
                (given.blocks().into_iter().chain(words).chain(calls).collect(), blocks.into())
            }
            Self::OpenAi => {
                let words = (!given.words.is_empty()).then(|| json!({ "type": "message", "role": "assistant", "content": given.words }));
                let calls = given.reads.iter().enumerate().map(|(at, path)| {
                    json!({ "type": "function_call", "call_id": given.id(at), "name": "read_file", "arguments": json!({ "path": path }).to_string() })
                });
                ([given.item()].into_iter().chain(words).chain(calls).collect(), step.clone())
            }
        };
        if right == came { Ok(()) } else { Err(format!("step {} came back as {came} and not as {right}", given.n)) }
    }
}

fn named(kind: &str, mut data: Value) -> String {
    data["type"] = kind.into();
    format!("event: {kind}\ndata: {data}\n\n")
}

fn messages(given: &Given) -> Vec<String> {
    let mut events = vec![named("message_start", json!({ "message": { "id": "m", "usage": { "input_tokens": 1, "output_tokens": 1 } } }))];
    let mut index = 0;
    let mut block = |events: &mut Vec<String>, start: Value, deltas: Vec<Value>| {
        events.push(named("content_block_start", json!({ "index": index, "content_block": start })));
        events.extend(deltas.into_iter().map(|delta| named("content_block_delta", json!({ "index": index, "delta": delta }))));
        events.push(named("content_block_stop", json!({ "index": index })));
        index += 1;
    };
    for thought in given.blocks() {
        if thought["type"] == "thinking" {
            let deltas = vec![
                json!({ "type": "thinking_delta", "thinking": MARK }),
                json!({ "type": "thinking_delta", "thinking": thought["thinking"].as_str().expect("text").trim_start_matches(MARK) }),
                json!({ "type": "signature_delta", "signature": thought["signature"] }),
            ];
            block(&mut events, json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas);
        } else {
            block(&mut events, thought, vec![]);
        }
    }
    if !given.words.is_empty() {
        block(&mut events, json!({ "type": "text", "text": "" }), vec![json!({ "type": "text_delta", "text": given.words })]);
    }
    for (at, path) in given.reads.iter().enumerate() {
        let start = json!({ "type": "tool_use", "id": given.id(at), "name": "read_file", "input": {} });
        block(&mut events, start, vec![json!({ "type": "input_json_delta", "partial_json": json!({ "path": path }).to_string() })]);
    }
    let reason = if given.reads.is_empty() { "end_turn" } else { "tool_use" };
    events.extend([named("message_delta", json!({ "delta": { "stop_reason": reason } })), named("message_stop", json!({}))]);
    events
}

fn responses(given: &Given) -> Vec<String> {
    let mut events = vec![named("response.created", json!({ "response": { "id": "r" } }))];
    let mut output = vec![given.item()];
    let mut begun = given.item();
    begun["encrypted_content"] = "not whole yet".into();
    events.push(named("response.output_item.added", json!({ "output_index": 0, "item": begun })));
    events.push(named("response.output_item.done", json!({ "output_index": 0, "item": given.item() })));
    if !given.words.is_empty() {
        let item = json!({ "type": "message", "id": "m", "content": [{ "type": "output_text", "text": given.words }] });
        events.push(named("response.output_text.delta", json!({ "output_index": 1, "item_id": "m", "delta": given.words })));
        events.push(named("response.output_item.done", json!({ "output_index": 1, "item": item })));
        output.push(item);
    }
    for (at, path) in given.reads.iter().enumerate() {
        let arguments = json!({ "path": path }).to_string();
        let item = json!({ "type": "function_call", "id": format!("fc_{at}"), "call_id": given.id(at), "name": "read_file", "arguments": arguments });
        events.push(named("response.output_item.done", json!({ "output_index": output.len(), "item": item })));
        output.push(item);
    }
    events.push(named("response.completed", json!({ "response": { "id": "r", "status": "completed", "output": output } })));
    events
}

/// The assistant's items of a request, step by step.
fn items(body: &Value) -> Vec<Value> {
    let (mut steps, mut step) = (Vec::new(), Vec::new());
    for item in body["input"].as_array().into_iter().flatten() {
        if item["type"] == "function_call_output" || item["role"] == "user" {
            if !step.is_empty() {
                steps.push(Value::Array(std::mem::take(&mut step)));
            }
        } else {
            step.push(item.clone());
        }
    }
    steps.extend((!step.is_empty()).then_some(Value::Array(step)));
    steps
}
