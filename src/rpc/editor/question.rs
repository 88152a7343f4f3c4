//! The permission question: a card in a client that has one, a message with buttons in any other LSP editor.
//!
//! Invariant: whatever is no clear answer is none, and the end of the connection answers nothing.

use super::asking::{Asked, Asker, Form, Outcome};
use crate::protocol::content::ContentBlock;
use crate::protocol::ids::SessionId;
use crate::protocol::permission::{
    AskedCall, PermissionChoice, PermissionMeta, PermissionOption, PermissionOutcome, PermissionParams, PermissionPlace, PermissionResult,
};
use crate::protocol::update::{ToolCall, ToolCallContent};
use crate::session::editor::{PermissionAnswer, PermissionQuestion};
use crate::tool::text::{cut, visible};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower_lsp::jsonrpc::{Error, ErrorCode};

/// The longest message of a question, in bytes.
const MAX_MESSAGE_BYTES: usize = 2000;

/// LSP's `MessageType.Warning`.
const WARNING: u8 = 2;

/// What is asked.
struct Matter {
    session_id: SessionId,
    call: Box<ToolCall>,
    question: Box<PermissionQuestion>,
}

/// Puts the question in the form that the client is known to have, and in the next one if it has not.
pub(super) fn ask(
    asker: Asker,
    session_id: SessionId,
    call: Box<ToolCall>,
    question: Box<PermissionQuestion>,
    reply: oneshot::Sender<PermissionAnswer>,
) {
    let (matter, form) = (Matter { session_id, call, question }, asker.line.form());
    let Some(asked) = matter.put(&asker, form) else {
        let _ = reply.send(PermissionAnswer::Unanswerable);
        return;
    };
    tokio::spawn(answer(asker, matter, form, asked, reply));
}

async fn answer(asker: Asker, matter: Matter, mut form: Form, mut asked: Asked, mut reply: oneshot::Sender<PermissionAnswer>) {
    let answer = loop {
        match asked.outcome(reply.closed()).await {
            // Nobody said no. The stop that the end of the connection brings is what ends the question.
            Outcome::Ended => return reply.closed().await,
            Outcome::Unwanted => return,
            Outcome::HungUp => break PermissionAnswer::Unanswerable,
            Outcome::Answered(Err(error)) if error.code == ErrorCode::MethodNotFound => {
                form = asker.line.is_without(form);
                match matter.put(&asker, form) {
                    Some(again) => asked = again,
                    None => break PermissionAnswer::Unanswerable,
                }
            }
            Outcome::Answered(answer) => break matter.understood(form, answer),
        }
    };
    // The session may have gone meanwhile; then the answer concerns nobody.
    let _ = reply.send(answer);
}

impl Matter {
    fn put(&self, asker: &Asker, form: Form) -> Option<Asked> {
        match form {
            Form::Card => asker.ask("session/request_permission", |id| self.card(id)),
            Form::Message => asker.ask("window/showMessageRequest", |_| {
                let actions: Vec<_> = self.question.options.iter().map(|option| json!({ "title": option.name })).collect();
                json!({ "type": WARNING, "message": self.message(), "actions": actions })
            }),
            Form::Nobody => None,
        }
    }

    /// The parameters of `session/request_permission`, of one shape in both dialects.
    fn card(&self, request_id: i64) -> Value {
        let Self { session_id, call, question } = self;
        json!(PermissionParams {
            session_id,
            tool_call: AskedCall { call, content: &question.content },
            options: question.options,
            meta: PermissionMeta { pillion: PermissionPlace { request_id, turn_id: &question.turn_id, message_id: &question.message_id } },
        })
    }

    /// The call, and whatever the session shows of it in words: the whole of a command, the reason to ask. Lines stay lines.
    fn message(&self) -> String {
        let mut message = format!("pillion asks: {}", visible(&self.call.title));
        let texts = self.question.content.iter().filter_map(|content| match content {
            ToolCallContent::Content { content: ContentBlock::Text { text } } => Some(text),
            _ => None,
        });
        for line in texts.flat_map(|text| text.split('\n')) {
            message.push('\n');
            message.push_str(&visible(line));
        }
        let kept = cut(&message, MAX_MESSAGE_BYTES).len();
        if kept < message.len() {
            message.truncate(kept);
            message.push_str("\n[this is not all of it: there is no room for more]");
        }
        message
    }

    /// What the editor's person decided.
    fn understood(&self, form: Form, answer: Result<Value, Error>) -> PermissionAnswer {
        let Ok(answer) = answer else { return PermissionAnswer::Unanswerable };
        if form == Form::Card {
            return match PermissionResult::deserialize(&answer).map(|result| result.outcome) {
                Ok(PermissionOutcome::Selected { option_id }) => PermissionAnswer::Chosen(option_id),
                Ok(PermissionOutcome::Cancelled) => PermissionAnswer::Cancelled,
                Err(_) => PermissionAnswer::Unanswerable,
            };
        }
        let is_chosen = |option: &&PermissionOption| answer["title"].as_str() == Some(option.name);
        match self.question.options.iter().find(is_chosen) {
            Some(option) => PermissionAnswer::Chosen(option.option_id),
            // The person closed the message.
            None if answer.is_null() => PermissionAnswer::Chosen(PermissionChoice::RejectOnce),
            None => PermissionAnswer::Unanswerable,
        }
    }
}
