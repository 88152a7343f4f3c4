//! The Responses API against a server that does what the vendor does, and worse.

mod answers;
mod endings;

use super::Responses;
use crate::protocol::model::ModelEvent;
use crate::provider::model_server::ModelServer;
use crate::provider::wire::testing::{self, Cut, KEY, call, class, event, finish, said, usage};
use serde_json::{Value, json};

const TOOLS: &str = include_str!("../../../tests/fixtures/responses/tools.sse");
const REFUSAL: &str = include_str!("../../../tests/fixtures/responses/refusal.sse");
const FAILED: &str = include_str!("../../../tests/fixtures/responses/failed.sse");

fn begin() -> String {
    event("response.created", json!({"response": {"id": "resp_1", "usage": null}}))
}

fn text(text: &str) -> String {
    event("response.output_text.delta", json!({"output_index": 0, "delta": text}))
}

fn completed() -> String {
    event("response.completed", json!({"response": {"id": "resp_1", "usage": {"input_tokens": 9, "output_tokens": 3}}}))
}
