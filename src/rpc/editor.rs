//! The editor as a session sees it: updates go into the outbox, questions go out as requests and their answers come back.
//!
//! Invariant: what is posted is in the outbox when `post` returns, so order is the order of the calls.

mod asking;
mod files;
mod question;
#[cfg(test)]
mod tests;

use super::dialect::{Dialect, FileSkills};
use super::outbox::{Outbound, Outbox};
use crate::protocol::ids::RequestId;
use crate::protocol::turn::QuestionForm;
use crate::protocol::update::{UpdateMeta, UpdateParams, UpdatePlace};
use crate::session::editor::{Editor, NumberedUpdate, Outgoing};
use crate::tool::editor_files::Abilities;
use asking::Line;
use futures_util::future::{BoxFuture, FutureExt};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use tower_lsp::jsonrpc::{Error, Id, Response};
use tower_lsp::{Client, ClientSocket};

/// The bytes of an update with a few words of text.
const TYPICAL_UPDATE: usize = 384;

/// The editor at the other end of one connection.
pub struct RpcEditor {
    client: Client,
    line: Arc<Line>,
}

impl RpcEditor {
    pub(super) fn new(client: Client, socket: ClientSocket, outbox: Outbox) -> Self {
        Self { client, line: Arc::new(Line::new(socket, outbox)) }
    }

    /// Tells which dialect the client speaks, and what it does with files. The first word counts.
    pub(super) fn speak(&self, dialect: Dialect, files: FileSkills) {
        self.line.speak(dialect, files);
    }

    /// Takes the answer to a question. One that fits no question of ours, or comes too late, is ignored.
    pub(super) fn answered(&self, id: &RequestId, outcome: Result<Box<RawValue>, Box<RawValue>>, received: Instant) {
        let Ok(id) = serde_json::from_str::<i64>(id.as_json()) else { return };
        self.line.is_read(id, received);
        self.line.answered(match outcome.map(|result| serde_json::from_str(result.get()).unwrap_or(Value::Null)) {
            Ok(result) => Response::from_ok(Id::Number(id), result),
            Err(error) => Response::from_error(Id::Number(id), told(&error)),
        });
    }

    /// The client has sent its last message: questions, also later ones, cannot be answered.
    pub(super) fn hang_up(&self) {
        self.line.hung_up.cancel();
    }

    /// The connection is over: no answer will come.
    pub(super) fn end(&self) {
        self.line.ended.cancel();
    }
}

impl Editor for RpcEditor {
    fn post(&self, outgoing: Outgoing) {
        let asker = || asking::Asker::new(self.client.clone(), Arc::clone(&self.line));
        match outgoing {
            Outgoing::Update(update) => {
                let mut bytes = Vec::with_capacity(TYPICAL_UPDATE);
                match serde_json::to_writer(&mut bytes, &Notification::of(&update)) {
                    Ok(()) => self.line.outbox.push_update(Outbound::update(bytes).with(update.receipt)),
                    Err(error) => tracing::error!(%error, session_id = %update.session_id, "an update could not be written"),
                }
            }
            Outgoing::AskPermission { session_id, call, question, reply } => question::ask(asker(), session_id, call, question, reply),
            Outgoing::ApplyEdit { edit, reply } => files::apply(asker(), &edit, reply),
            Outgoing::ReadFile { session_id, path, reply } => files::read(asker(), &session_id, &path, reply),
            Outgoing::WriteFile { session_id, path, text, reply } => files::write(asker(), &session_id, &path, &text, reply),
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.line.outbox.room().boxed()
    }

    fn is_full(&self) -> bool {
        self.line.outbox.is_full()
    }

    fn caught_up(&self) -> BoxFuture<'_, ()> {
        self.line.outbox.caught_up().boxed()
    }

    fn unread_since(&self) -> Option<Instant> {
        self.line.outbox.unread_since()
    }

    fn abilities(&self) -> Abilities {
        let files = self.line.files();
        Abilities { edits: files.edits, reads: files.reads, writes: files.writes }
    }

    fn questions(&self) -> QuestionForm {
        self.line.form()
    }
}

/// The error object of an answer, as far as it is one.
fn told(error: &RawValue) -> Error {
    let error: Value = serde_json::from_str(error.get()).unwrap_or(Value::Null);
    Error {
        code: error["code"].as_i64().unwrap_or_default().into(),
        message: Cow::Owned(error["message"].as_str().unwrap_or_default().to_owned()),
        data: None,
    }
}

/// A `session/update`, written straight from the session's own values.
#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: UpdateParams<'a>,
}

impl<'a> Notification<'a> {
    fn of(update: &'a NumberedUpdate) -> Self {
        let pillion = UpdatePlace { seq: update.seq, turn_id: update.turn_id.as_ref(), message_id: update.message_id.as_ref() };
        let params = UpdateParams { session_id: &update.session_id, update: &update.update, meta: UpdateMeta { pillion } };
        Self { jsonrpc: "2.0", method: "session/update", params }
    }
}
