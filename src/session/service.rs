//! The sessions as the wire sees them: one trait, so that the wire can be tested without a runner behind it.
//!
//! Invariant: what must keep the order of arrival (prompts, cancels, stops) is posted to its runner before the call
//! returns; only the answer is awaited.

use super::demand::{CancelDemand, End};
use super::editor::Receipt;
use super::error::Refusal;
use crate::protocol::abort::RequestRef;
use crate::protocol::ids::{SessionId, TurnId};
use crate::protocol::params::{
    ExportParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams, SetConfigOptionParams,
    SetModeParams, ShellParams,
};
use crate::protocol::results::{
    CancelResult, ConfigResult, Empty, ExportResult, ListSessionsResult, NewSessionResult, OpenSessionResult, PromptResult, ShellResult,
};
use futures_util::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;

/// An answer that comes later.
pub type Answer<T> = BoxFuture<'static, Result<T, Refusal>>;

/// An answer that the session's runner sends by itself.
pub type Reply<T> = oneshot::Receiver<Result<T, Refusal>>;

/// A run that was asked for: its turn has a name before it has an answer.
#[derive(Debug)]
pub struct Ticket<T> {
    pub session_id: SessionId,
    pub turn_id: TurnId,
    pub answer: Reply<T>,
}

/// The way of a run's answer to the client.
pub struct Way {
    /// Fires when the answer stands behind everything that was said before it, or can no longer be sent: the answer of a
    /// cancel that ended the turn waits for it.
    pub queued: oneshot::Receiver<()>,
    /// Who is to hear when the answer is written; to be filled before the answer is given.
    pub receipt: ReceiptSlot,
}

pub type ReceiptSlot = Arc<OnceLock<Arc<dyn Receipt>>>;

pub type PromptTicket = Ticket<PromptResult>;
pub type ShellTicket = Ticket<ShellResult>;

/// Everything that a client can ask of its sessions.
pub trait SessionService: Send + Sync + 'static {
    fn create(&self, origin: RequestRef, params: NewSessionParams) -> Answer<NewSessionResult>;

    /// Opens a session and sends its history as updates before it answers.
    fn load(&self, params: OpenSessionParams) -> Answer<OpenSessionResult>;

    /// Opens a session without its history.
    fn resume(&self, params: OpenSessionParams) -> Answer<OpenSessionResult>;

    fn list(&self, params: ListSessionsParams) -> Answer<ListSessionsResult>;

    fn close(&self, origin: RequestRef, params: SessionParams) -> Answer<Empty>;

    fn delete(&self, origin: RequestRef, params: SessionParams) -> Answer<Empty>;

    /// Posted before it returns.
    fn prompt(&self, origin: RequestRef, params: PromptParams, way: Way) -> PromptTicket;

    /// As a prompt: posted before it returns.
    fn shell(&self, origin: RequestRef, params: ShellParams, way: Way) -> ShellTicket;

    /// Posted before it returns.
    fn cancel(&self, demand: CancelDemand) -> Reply<CancelResult>;

    fn export(&self, params: ExportParams) -> Answer<ExportResult>;

    fn set_config_option(&self, params: SetConfigOptionParams) -> Answer<ConfigResult>;

    fn set_mode(&self, params: SetModeParams) -> Answer<Empty>;

    /// Stops every run, hard. Posted before it returns; resolves when every turn has settled and its prompt is answered.
    fn stop_all(&self, end: End) -> BoxFuture<'static, ()>;

    /// The panic that was contained a moment ago, on this thread, while the client was served: an incident of this name.
    fn broke(&self, name: &'static str, session_id: Option<SessionId>, method: Option<&'static str>);
}
