//! Files as the editor has them: what a tool may ask of the client, and the bounds of every such wait.
//!
//! Invariant: nothing here decides where a path leads; what is named to the client was decided by `workspace` before.

use crate::provenance::CancelToken;
use crate::text::{cut, exact};
use futures_util::future::BoxFuture;
use std::time::Duration;

/// How long the client may take to answer.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The longest reason of the client's that a model is told, in bytes.
const MAX_REASON_BYTES: usize = 300;

/// What a client does with files itself. Dropping a future takes the request back.
pub trait EditorFiles: Send + Sync {
    fn abilities(&self) -> Abilities;

    /// Changes an open document, as one step of undo. That the client said yes does not say that it did it.
    fn apply(&self, edit: DocumentEdit) -> BoxFuture<'static, Result<(), Refusal>>;

    /// The text of a file, with what is not saved.
    fn read(&self, path: String) -> BoxFuture<'static, Result<String, Refusal>>;

    /// Replaces the text of a file, or makes it.
    fn write(&self, path: String, text: String) -> BoxFuture<'static, Result<(), Refusal>>;
}

/// Which of it the client can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Changes documents that it has open.
    pub edits: bool,
    pub reads: bool,
    pub writes: bool,
}

/// What is to become of an open document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEdit {
    /// What the editor may call the change.
    pub label: String,
    pub uri: String,
    /// The version that the edits are made for.
    pub version: i32,
    /// They touch different lines, from the first to the last.
    pub edits: Vec<TextEdit>,
}

/// A piece of a document and the text in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    pub start: Point,
    pub end: Point,
    pub text: String,
}

/// A place in a document, as LSP counts: lines from 0, characters in UTF-16 units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    pub line: usize,
    pub character: usize,
}

/// Why the client did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the editor has no such file")]
    NotFound,
    /// It knows no such request, whatever it had declared: nothing was done.
    #[error("the editor cannot do that")]
    Unable,
    /// The client's own words.
    #[error("the editor refused: {}", exact(cut(.0, MAX_REASON_BYTES)))]
    Said(String),
    /// An error, or an answer that says neither yes nor no: it may have been done all the same.
    #[error("the editor failed: {}", exact(cut(.0, MAX_REASON_BYTES)))]
    Failed(String),
    #[error("the connection to the editor ended")]
    Gone,
    #[error("the editor did not answer within {} seconds", ANSWER_DEADLINE.as_secs())]
    Late,
    #[error("the turn was stopped while the editor was asked")]
    Stopped,
}

/// The client's answer, for as long as it may take and the turn goes on.
pub(super) async fn answered<T>(token: &CancelToken, asked: BoxFuture<'static, Result<T, Refusal>>) -> Result<T, Refusal> {
    match token.race(tokio::time::timeout(ANSWER_DEADLINE, asked)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_elapsed)) => Err(Refusal::Late),
        Err(_stopped) => Err(Refusal::Stopped),
    }
}
