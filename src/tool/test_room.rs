//! What the tests of this room stand in: a workspace of its own, its documents, and a token that can be pulled.

use super::command::Commands;
use super::documents::Documents;
use super::outputs::Outputs;
use super::scratch::Scratch;
use super::workspace::{Confirmed, Place, Workspace};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput};
use crate::config::Sandbox;
use crate::process::Keeper;
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::provenance::{Canceller, Grace, Provenance, Stop};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Room {
    /// Holds `ws`, the workspace, and whatever a test puts beside it.
    pub(super) directory: tempfile::TempDir,
    pub(super) workspace: Arc<Workspace>,
    pub(super) documents: Documents,
    pub(super) commands: Arc<Commands>,
    pub(super) canceller: Arc<Canceller>,
}

impl Room {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("ws");
        std::fs::create_dir(&root).unwrap();
        let workspace = Arc::new(Workspace::open(&root).unwrap());
        let commands = Commands {
            // Commands are run by the tests of the whole program, which can keep them.
            keeper: Keeper::at("/nowhere/pillion"),
            environment: Arc::default(),
            grace: Grace { soft: Duration::from_secs(2), hard: Duration::from_millis(250) },
            sandbox: Sandbox::default(),
            longest: Duration::from_secs(900),
            scratch: Scratch::default(),
            outputs: Outputs::of(&directory.path().join("data"), "ses_1"),
            keys: Arc::default(),
        };
        Self { directory, workspace, documents: Documents::default(), commands: Arc::new(commands), canceller: Arc::default() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.workspace.path().join(name)
    }

    pub(super) fn place(&self, path: &str) -> Place {
        self.workspace.place(path).unwrap()
    }

    /// Writes a file, with the directories that it needs.
    pub(super) fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn fifo(&self, name: &str) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, self.path(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    pub(super) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn context(&self) -> ToolContext {
        ToolContext {
            workspace: Arc::clone(&self.workspace),
            documents: self.documents.clone(),
            commands: Arc::clone(&self.commands),
            token: self.canceller.token(),
            hop: Arc::new(|_| {}),
        }
    }

    /// Plans and runs a call, as a session does.
    pub(super) async fn call(&self, tool: &dyn Tool, input: Value) -> Result<ToolOutput, ToolError> {
        let plan = tool.plan(&input, &self.context()).await?;
        tool.run(input, Approved { seen: plan.seen, confirmed: Confirmed::No }, self.context()).await
    }

    pub(super) async fn text_of_call(&self, tool: &dyn Tool, input: Value) -> String {
        self.call(tool, input).await.unwrap().text
    }

    pub(super) async fn error_of_call(&self, tool: &dyn Tool, input: Value) -> String {
        self.call(tool, input).await.unwrap_err().0
    }

    pub(super) fn stop(&self) {
        let ids = Provenance::deterministic().ids;
        let stop = Stop {
            abort_id: ids.abort(),
            cancel_id: Some(ids.cancel()),
            cause: Cause::ClientCancel,
            initiator: Initiator::User,
            mode: CancelMode::Hard,
            source: None,
            reason: None,
            request: None,
            via_ctx_abort: false,
            requested_at: 0,
            requested: Instant::now(),
            missing: Vec::new(),
            error_name: None,
            error_message: None,
        };
        // A second stop changes nothing, and no test minds.
        let _ = self.canceller.stop(stop);
    }
}
