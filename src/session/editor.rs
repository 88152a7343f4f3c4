//! The one way from a session to the client: a closed enum of what can be said, and the door it goes through.

use crate::protocol::ids::{MessageId, SessionId, TurnId};
use crate::protocol::permission::{PermissionChoice, PermissionOption};
use crate::protocol::turn::QuestionForm;
use crate::protocol::update::{SessionUpdate, ToolCall, ToolCallContent};
use crate::tool::editor_files::{Abilities, DocumentEdit, Refusal as FileRefusal};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Hears what becomes of something that was said. It must not wait for anything.
pub trait Receipt: Send + Sync {
    /// It is taken to be written: so many bytes. Once writing has failed, nothing is.
    fn taken(&self, _bytes: usize) {}

    /// The last of its bytes was written to the client's pipe.
    fn written(&self, bytes: usize, at: Instant);
}

/// Something that a session says to its client.
pub enum Outgoing {
    Update(Box<NumberedUpdate>),
    /// Asks the client's person; the answer comes through `reply`. Dropping the receiver withdraws the question.
    AskPermission {
        session_id: SessionId,
        call: Box<ToolCall>,
        question: Box<PermissionQuestion>,
        reply: oneshot::Sender<PermissionAnswer>,
    },
    /// Asks the client to do something with a file. Dropping the receiver takes the request back.
    ApplyEdit {
        edit: Box<DocumentEdit>,
        reply: FileReply<()>,
    },
    ReadFile {
        session_id: SessionId,
        path: String,
        reply: FileReply<String>,
    },
    WriteFile {
        session_id: SessionId,
        path: String,
        text: String,
        reply: FileReply<()>,
    },
}

/// Where the client's answer about a file goes. Dropped: no answer will come.
pub type FileReply<T> = oneshot::Sender<Result<T, FileRefusal>>;

/// One `session/update`.
pub struct NumberedUpdate {
    pub session_id: SessionId,
    /// Counts per session from 1.
    pub seq: u64,
    /// Absent outside of a turn (a title that arrives later, a history that is replayed).
    pub turn_id: Option<TurnId>,
    pub message_id: Option<MessageId>,
    pub update: SessionUpdate,
    pub receipt: Option<Arc<dyn Receipt>>,
}

/// What a permission question shows besides the call itself.
#[derive(Debug)]
pub struct PermissionQuestion {
    pub turn_id: TurnId,
    pub message_id: MessageId,
    pub content: Vec<ToolCallContent>,
    pub options: &'static [PermissionOption],
    pub answered: AnsweredAt,
}

/// When the answer to a question was read. It is known before the answer itself arrives, so that whoever is stopped in between
/// can tell which of the two came first.
#[derive(Debug, Clone, Default)]
pub struct AnsweredAt(Arc<Mutex<Option<Instant>>>);

impl AnsweredAt {
    /// None takes it back: it was no answer.
    pub fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    pub fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a permission question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionAnswer {
    /// One of the options, also one that was not offered.
    Chosen(PermissionChoice),
    /// The person put the question away, or the client did because "the turn was cancelled meanwhile".
    Cancelled,
    /// The client asks in a form that has no room for the whole of the call, so nobody was asked: a no.
    TooLong,
    /// The client cannot answer such questions, or answered something else: a no.
    Unanswerable,
}

/// The client of a session, as the session sees it.
pub trait Editor: Send + Sync {
    /// Says it. Order is kept, also towards the answers of requests. Never waits.
    fn post(&self, outgoing: Outgoing);

    /// Resolves when there is room for more updates; at once unless the client reads too slowly, and never once nothing can
    /// reach it any more.
    fn room(&self) -> BoxFuture<'_, ()>;

    /// Resolves when what was said before is written and its receipts have heard of it, or the client must read first.
    fn caught_up(&self) -> BoxFuture<'_, ()>;

    /// Since when the client has not been reading, if nothing more can be written before it does.
    fn unread_since(&self) -> Option<Instant>;

    /// Whether [`Editor::room`] would wait.
    fn is_full(&self) -> bool;

    /// What the client has said that it does with files itself.
    fn abilities(&self) -> Abilities;

    /// How its person is asked, as far as it has let us know.
    fn questions(&self) -> QuestionForm;
}

/// A shared editor.
pub type SharedEditor = Arc<dyn Editor>;
