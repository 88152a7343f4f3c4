//! What a session's tools ask of the client about files: each question leaves by the one way to the client.

use super::editor::{FileReply, Outgoing, SharedEditor};
use super::stopwatch::Stopwatch;
use crate::protocol::ids::SessionId;
use crate::protocol::turn::Lane;
use crate::tool::editor_files::{Abilities, DocumentEdit, EditorFiles, Refusal};
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The files of one session's client.
pub(super) struct SessionFiles {
    session_id: SessionId,
    editor: SharedEditor,
    /// Of the turn that asks.
    stopwatch: Arc<Stopwatch>,
}

impl SessionFiles {
    pub(super) fn new(session_id: SessionId, editor: SharedEditor, stopwatch: Arc<Stopwatch>) -> Self {
        Self { session_id, editor, stopwatch }
    }

    fn ask<T: Send + 'static>(&self, outgoing: impl FnOnce(FileReply<T>) -> Outgoing) -> BoxFuture<'static, Result<T, Refusal>> {
        let (reply, answer) = oneshot::channel();
        self.editor.post(outgoing(reply));
        let stopwatch = Arc::clone(&self.stopwatch);
        async move { stopwatch.during(Lane::Editor, answer).await.unwrap_or(Err(Refusal::Gone)) }.boxed()
    }
}

impl EditorFiles for SessionFiles {
    fn abilities(&self) -> Abilities {
        self.editor.abilities()
    }

    fn apply(&self, edit: DocumentEdit) -> BoxFuture<'static, Result<(), Refusal>> {
        self.ask(|reply| Outgoing::ApplyEdit { edit: Box::new(edit), reply })
    }

    fn read(&self, path: String) -> BoxFuture<'static, Result<String, Refusal>> {
        let session_id = self.session_id.clone();
        self.ask(|reply| Outgoing::ReadFile { session_id, path, reply })
    }

    fn write(&self, path: String, text: String) -> BoxFuture<'static, Result<(), Refusal>> {
        let session_id = self.session_id.clone();
        self.ask(|reply| Outgoing::WriteFile { session_id, path, text, reply })
    }
}
