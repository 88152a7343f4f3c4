//! What each vendor checks of a request's history before it looks at anything else.
//!
//! Invariant: a history that passes here has one result for each tool call, where the vendor wants it, and no other.

use serde_json::Value;
use std::collections::HashSet;

/// Checks the body of a request, whichever vendor's it is. A body without a history passes.
///
/// # Errors
/// Names the first call or result that is out of place.
pub(crate) fn check_history(body: &Value) -> Result<(), String> {
    if body["input"].is_array() {
        return responses(array(&body["input"]));
    }
    let messages = array(&body["messages"]);
    // Only the Messages API demands a limit of tokens.
    if body["max_tokens"].is_u64() { anthropic(messages) } else { chat_completions(messages) }
}

/// Each call of an assistant message is answered by exactly one `tool` message right behind it.
fn chat_completions(messages: &[Value]) -> Result<(), String> {
    let mut open = Open::default();
    for message in messages {
        if message["role"] == "tool" {
            open.answer(&message["tool_call_id"])?;
            continue;
        }
        open.none_left()?;
        for call in array(&message["tool_calls"]) {
            open.call(&call["id"])?;
        }
    }
    open.none_left()
}

/// Each call's output stands behind it, before the next words. Behind a thought stands what was thought of.
fn responses(items: &[Value]) -> Result<(), String> {
    let mut open = Open::default();
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str() {
            Some("reasoning") => {
                let next = items.get(at + 1);
                let follows =
                    next.is_some_and(|next| next["role"] == "assistant" || next["type"] == "function_call" || next["type"] == "reasoning");
                if !follows {
                    return Err(format!("the thought {} was given without what followed it", item["id"]));
                }
            }
            Some("function_call") if open.answering => return Err(format!("the calls {:?} have no result", open.ids)),
            Some("function_call") => open.call(&item["call_id"])?,
            Some("function_call_output") => {
                open.answer(&item["call_id"])?;
                open.answering = !open.ids.is_empty();
            }
            _ => open.none_left()?,
        }
    }
    open.none_left()
}

/// Roles alternate, beginning and ending with the user; no text is blank; the results of a message's calls come first in
/// the next one. A thought is never a message's last.
fn anthropic(messages: &[Value]) -> Result<(), String> {
    let mut open = Open::default();
    for (at, message) in messages.iter().enumerate() {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        if message["role"] != role {
            return Err(format!("message {at} is {}, not the {role}'s", message["role"]));
        }
        let blocks = array(&message["content"]);
        if blocks.is_empty() {
            return Err(format!("message {at} is empty"));
        }
        for block in blocks {
            match block["type"].as_str() {
                Some("tool_result") if role == "user" => open.answer(&block["tool_use_id"])?,
                Some("tool_use") if role == "assistant" => open.call(&block["id"])?,
                Some("text") if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
                    return Err(format!("message {at} has a blank text"));
                }
                Some("thinking" | "redacted_thinking") if role == "assistant" && blocks.last() != Some(block) => {}
                Some("text") if role == "user" => open.none_left()?,
                Some("text") => {}
                _ => return Err(format!("message {at} of the {role} has the block {block}")),
            }
        }
        if role == "user" {
            open.none_left()?;
        }
    }
    if messages.len().is_multiple_of(2) { Err("the last message is not the user's".into()) } else { open.none_left() }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Calls that wait for their result.
#[derive(Default)]
struct Open {
    ids: HashSet<String>,
    seen: HashSet<String>,
    /// Some of the step's calls have their result, others not.
    answering: bool,
}

impl Open {
    fn call(&mut self, id: &Value) -> Result<(), String> {
        let id = id.as_str().filter(|id| !id.is_empty()).ok_or("a call has no id")?;
        self.ids.insert(id.to_owned());
        if self.seen.insert(id.to_owned()) { Ok(()) } else { Err(format!("two calls are named {id:?}")) }
    }

    fn answer(&mut self, id: &Value) -> Result<(), String> {
        let id = id.as_str().unwrap_or_default();
        if self.ids.remove(id) { Ok(()) } else { Err(format!("the result of {id:?} has no call in front of it, or is its second")) }
    }

    fn none_left(&self) -> Result<(), String> {
        if self.ids.is_empty() { Ok(()) } else { Err(format!("the calls {:?} have no result", self.ids)) }
    }
}
