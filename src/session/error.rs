//! Why a session could not do what was asked. `rpc` turns each into one wire error.

use crate::protocol::cause::Cause;
use crate::protocol::diagnostics::Diagnostics;
use crate::protocol::ids::{SessionId, TurnId};
use crate::protocol::params::BadField;

/// The whole error space of the session room.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    BadField(#[from] BadField),
    #[error("there is no session {0} here; session/list shows the sessions, session/new creates one")]
    UnknownSession(SessionId),
    #[error("session {0} is not open; session/load or session/resume opens it again")]
    NotOpen(SessionId),
    #[error("the session id {0} is taken; choose another, or open the session with session/load")]
    SessionTaken(SessionId),
    #[error("session {0} is running a turn and the prompt asked not to wait (whenBusy: reject)")]
    Busy(SessionId),
    #[error("session {0} is busy, and a command does not wait; stop what runs with session/cancel, or send it again when that has ended")]
    BusyForShell(SessionId),
    /// Another process runs a turn of this session.
    #[error("session {session_id} is running in another pillion process (pid {pid}); stop it there, or wait until its turn ends")]
    NotOwner { session_id: SessionId, pid: u32 },
    /// Nobody chose a model; the text says what is within reach and which setting chooses it.
    #[error("{0}")]
    NoModel(String),
    /// A model is chosen and cannot be asked; the text says what is missing or broken.
    #[error("{0}")]
    UnusableModel(String),
    /// The turn ran and failed.
    #[error("{message}")]
    TurnFailed { cause: Cause, turn_id: TurnId, message: String, diagnostics: Box<Diagnostics> },
    #[error("the export has more than {limit} bytes; call again with `path` to have it written to a file")]
    ResultTooLarge { limit: usize },
    #[error("{0}")]
    Export(String),
    #[error("the session store failed: {0}")]
    Store(String),
    /// A panic of pillion's own, which is an incident.
    #[error(
        "a bug in pillion made this fail; `pillion doctor` says where. If the session is no longer open, session/load or session/resume \
         opens it again"
    )]
    Broke,
    #[error("pillion is shutting down and takes no more prompts")]
    ShuttingDown,
}
