//! A snapshot in memory for tests; [`words`] fills every field of every record.

mod words;

pub(super) use words::{CALM, Words};

use super::error::ExportError;
use super::source::{LateCancel, Sink, Source, TitleChange};
use super::{ExportOptions, Sanitize, write_export};
use crate::protocol::abort::*;
use crate::protocol::connection::*;
use crate::protocol::diagnostics::*;
use crate::protocol::export::*;
use crate::protocol::ids::*;
use crate::protocol::message::*;
use crate::protocol::tool_run::ToolRun;
use crate::protocol::turn::{TurnBasis, TurnTime};
use crate::provenance::KnownKeys;
use crate::store::Unreadable;
use serde_json::Value;
use std::sync::Arc;

/// A snapshot in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) sessions: Vec<SessionInfo>,
    pub(super) turns: Vec<TurnInfo>,
    pub(super) messages: Vec<(SessionId, Message)>,
    pub(super) aborts: Vec<Abort>,
    pub(super) cancels: Vec<CancelRequest>,
    pub(super) titles: Vec<TitleGeneration>,
    pub(super) traces: Vec<StreamTrace>,
    pub(super) tool_runs: Vec<ToolRun>,
    pub(super) turn_times: Vec<TurnTime>,
    pub(super) turn_bases: Vec<TurnBasis>,
    pub(super) lifecycle: Vec<LifecycleEvent>,
    pub(super) incidents: Vec<Incident>,
    pub(super) late: Vec<LateCancel>,
    pub(super) changes: Vec<TitleChange>,
    pub(super) connections: Vec<ConnectionRecord>,
    pub(super) unreadable: Unreadable,
}

fn all<T: Clone>(items: &[T], each: Sink<'_, T>) -> Result<(), ExportError> {
    items.iter().cloned().try_for_each(each)
}

impl Source for Memory {
    fn at_seq(&self) -> u64 {
        42
    }

    fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    fn sessions(&mut self) -> Result<Vec<SessionInfo>, ExportError> {
        Ok(self.sessions.clone())
    }

    fn turns(&mut self, session: &SessionId, each: Sink<'_, TurnInfo>) -> Result<(), ExportError> {
        self.turns.iter().filter(|turn| turn.session_id == *session).cloned().try_for_each(each)
    }

    fn messages(&mut self, session: &SessionId, each: Sink<'_, Message>) -> Result<(), ExportError> {
        self.messages.iter().filter(|(of, _)| of == session).map(|(_, message)| message.clone()).try_for_each(each)
    }

    fn aborts(&mut self, each: Sink<'_, Abort>) -> Result<(), ExportError> {
        all(&self.aborts, each)
    }

    fn cancel_requests(&mut self, each: Sink<'_, CancelRequest>) -> Result<(), ExportError> {
        all(&self.cancels, each)
    }

    fn title_generations(&mut self, each: Sink<'_, TitleGeneration>) -> Result<(), ExportError> {
        all(&self.titles, each)
    }

    fn stream_traces(&mut self, each: Sink<'_, StreamTrace>) -> Result<(), ExportError> {
        all(&self.traces, each)
    }

    fn tool_runs(&mut self, each: Sink<'_, ToolRun>) -> Result<(), ExportError> {
        all(&self.tool_runs, each)
    }

    fn turn_times(&mut self, each: Sink<'_, TurnTime>) -> Result<(), ExportError> {
        all(&self.turn_times, each)
    }

    fn turn_bases(&mut self, each: Sink<'_, TurnBasis>) -> Result<(), ExportError> {
        all(&self.turn_bases, each)
    }

    fn lifecycle(&mut self, each: Sink<'_, LifecycleEvent>) -> Result<(), ExportError> {
        all(&self.lifecycle, each)
    }

    fn incidents(&mut self, each: Sink<'_, Incident>) -> Result<(), ExportError> {
        all(&self.incidents, each)
    }

    fn connection(&mut self, id: &ConnectionId) -> Result<Option<ConnectionRecord>, ExportError> {
        Ok(self.connections.iter().find(|connection| connection.connection_id == *id).cloned())
    }

    fn late_cancels(&mut self, each: Sink<'_, LateCancel>) -> Result<(), ExportError> {
        all(&self.late, each)
    }

    fn title_changes(&mut self, each: Sink<'_, TitleChange>) -> Result<(), ExportError> {
        all(&self.changes, each)
    }
}

impl Memory {
    /// The export of this snapshot, as JSON text.
    pub(super) fn export(&self, sanitize: Sanitize, keys: &[&str]) -> String {
        let mut out = Vec::new();
        write_export(&mut self.clone(), &options(sanitize, keys), &mut out).expect("an export");
        String::from_utf8(out).expect("UTF-8")
    }
}

pub(super) fn options(sanitize: Sanitize, keys: &[&str]) -> ExportOptions {
    ExportOptions {
        sanitize,
        exported_at: 1_767_225_600_000,
        runtime: Runtime {
            app_version: "0.1.0".into(),
            channel: "dev".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            os: "linux".into(),
            config_digest: "0a".repeat(32),
            commit: Some("0123abc".into()),
        },
        known_keys: Arc::new(KnownKeys::new(keys.iter().map(|key| (*key).into()).collect())),
    }
}

/// The document as a tree of values.
pub(super) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}
