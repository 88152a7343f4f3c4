//! The permission question: a card in a client that has one, a message with buttons in any other LSP editor.
//!
//! Invariant: whatever is no clear answer is none, nobody agrees to what was not shown whole, and the end of the connection
//! answers nothing.

use super::asking::{Asked, Asker, Outcome};
use crate::protocol::content::ContentBlock;
use crate::protocol::ids::SessionId;
use crate::protocol::permission::{
    AskedCall, PermissionMeta, PermissionOption, PermissionOutcome, PermissionParams, PermissionPlace, PermissionResult,
};
use crate::protocol::turn::QuestionForm;
use crate::protocol::update::{ToolCall, ToolCallContent};
use crate::session::editor::{PermissionAnswer, PermissionQuestion};
use crate::text::{cut, exact};
use crate::tool::hunks::changes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower_lsp::jsonrpc::{Error, ErrorCode};

/// The longest title of a question, in bytes: there are clients that show nothing else, so it must hold the whole of a command,
/// and a person must be able to read it.
const MAX_TITLE_BYTES: usize = 4 << 10;

/// The longest message of a question, in bytes: an editor may cut a longer one, or put its buttons beyond the screen.
const MAX_MESSAGE_BYTES: usize = 2000;

/// The most of a title that stands above the rest of a message, in bytes.
const MAX_HEADLINE_BYTES: usize = 100;

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
    match matter.put(&asker, form) {
        Ok(asked) => drop(tokio::spawn(answer(asker, matter, form, asked, reply))),
        // The session may have gone meanwhile; then the answer concerns nobody.
        Err(unasked) => drop(reply.send(unasked)),
    }
}

async fn answer(asker: Asker, matter: Matter, mut form: QuestionForm, mut asked: Asked, mut reply: oneshot::Sender<PermissionAnswer>) {
    let answer = loop {
        match asked.outcome(reply.closed()).await {
            // Nobody said no. The stop that the end of the connection brings is what ends the question.
            Outcome::Ended => return reply.closed().await,
            Outcome::Unwanted => return,
            Outcome::HungUp => break PermissionAnswer::Unanswerable,
            Outcome::Answered(Err(error)) if error.code == ErrorCode::MethodNotFound => {
                form = asker.line.is_without(form);
                matter.question.answered.set(None);
                match matter.put(&asker, form) {
                    Ok(again) => asked = again,
                    Err(unasked) => break unasked,
                }
            }
            Outcome::Answered(answer) => break matter.understood(form, answer),
        }
    };
    let _ = reply.send(answer);
}

impl Matter {
    /// Asks, or says why nobody is asked.
    fn put(&self, asker: &Asker, form: QuestionForm) -> Result<Asked, PermissionAnswer> {
        let asked = match form {
            QuestionForm::Card if self.call.title.len() > MAX_TITLE_BYTES => return Err(PermissionAnswer::TooLong),
            QuestionForm::Card => asker.ask("session/request_permission", |id| {
                asker.line.time(id, &self.question.answered);
                self.card(id)
            }),
            QuestionForm::Message => {
                let message = self.message().ok_or(PermissionAnswer::TooLong)?;
                let actions: Vec<_> = self.question.options.iter().map(|option| json!({ "title": option.name })).collect();
                asker.ask("window/showMessageRequest", |id| {
                    asker.line.time(id, &self.question.answered);
                    json!({ "type": WARNING, "message": message, "actions": actions })
                })
            }
            QuestionForm::Nobody => None,
        };
        asked.ok_or(PermissionAnswer::Unanswerable)
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

    /// The call and all that would be done, in words; None if that is more than a message holds. Lines stay lines. Titles and
    /// texts of a call are such that a person may read them.
    fn message(&self) -> Option<String> {
        let title = &self.call.title;
        // What it leaves out stands below.
        let title = if self.question.content.is_empty() { title } else { cut(title, MAX_HEADLINE_BYTES) };
        let more = if title.len() < self.call.title.len() { "…" } else { "" };
        let mut message = format!("pillion asks: {title}{more}");
        let mut add = |line: &str| {
            message.push('\n');
            message.push_str(line);
            (message.len() <= MAX_MESSAGE_BYTES).then_some(())
        };
        for content in &self.question.content {
            match content {
                ToolCallContent::Content { content: ContentBlock::Text { text } } => text.split('\n').try_for_each(&mut add)?,
                ToolCallContent::Diff { path, old_text, new_text } => {
                    add(&exact(path))?;
                    changes(old_text.as_deref().unwrap_or_default(), new_text).iter().try_for_each(|line| add(line))?;
                }
                // What a message cannot show.
                ToolCallContent::Content { .. } => return None,
            }
        }
        Some(message)
    }

    /// What the editor's person decided.
    fn understood(&self, form: QuestionForm, answer: Result<Value, Error>) -> PermissionAnswer {
        let Ok(answer) = answer else { return PermissionAnswer::Unanswerable };
        if form == QuestionForm::Card {
            // A list of the right values would be read as an answer, too.
            let is_answer = answer.get("outcome").is_some_and(Value::is_object);
            let read = is_answer.then(|| PermissionResult::deserialize(&answer).ok()).flatten();
            return match read.map(|result| result.outcome) {
                Some(PermissionOutcome::Selected { option_id }) => PermissionAnswer::Chosen(option_id),
                Some(PermissionOutcome::Cancelled) => PermissionAnswer::Cancelled,
                None => PermissionAnswer::Unanswerable,
            };
        }
        let title = answer.get("title").and_then(Value::as_str);
        let is_chosen = |option: &&PermissionOption| title == Some(option.name);
        match self.question.options.iter().find(is_chosen) {
            Some(option) => PermissionAnswer::Chosen(option.option_id),
            // The person closed the message.
            None if answer.is_null() => PermissionAnswer::Cancelled,
            None => PermissionAnswer::Unanswerable,
        }
    }
}
