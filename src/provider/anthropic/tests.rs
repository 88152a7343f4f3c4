//! The Messages API against a server that does what the vendor does, and worse.

mod answers;
mod endings;

use super::Messages;
use crate::protocol::model::ModelEvent;
use crate::provider::Provider;
use crate::provider::model_server::ModelServer;
use crate::provider::wire::testing::{self, Cut, KEY, call, class, collect, event, finish, hello, said, usage};
use serde_json::{Value, json};

const TOOLS: &str = include_str!("../../../tests/fixtures/anthropic/tools.sse");
const REFUSAL: &str = include_str!("../../../tests/fixtures/anthropic/refusal.sse");
const OVERLOADED: &str = include_str!("../../../tests/fixtures/anthropic/overloaded.sse");

fn begin() -> String {
    event("message_start", json!({"message": {"id": "msg_1", "usage": {"input_tokens": 9, "output_tokens": 1}}}))
}

fn text(text: &str) -> String {
    event("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}}))
}

fn stop(reason: &str) -> String {
    event("message_delta", json!({"delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 3}}))
}

fn end() -> String {
    event("message_stop", json!({}))
}
