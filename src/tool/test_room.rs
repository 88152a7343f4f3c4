//! What the tests of this room stand in: a workspace of its own, its documents, and a token that can be pulled.

use super::command::Commands;
use super::documents::Documents;
use super::editor_files::{Abilities, DocumentEdit, EditorFiles, Refusal};
use super::outputs::Outputs;
use super::scratch::Scratch;
use super::workspace::{Confirmed, Place, Workspace};
use super::{Approved, Tool, ToolContext, ToolError, ToolOutput};
use crate::config::Sandbox;
use crate::policy::{Rule, Rules};
use crate::process::{Keeper, Meter};
use crate::protocol::cause::{CancelMode, Cause, Initiator};
use crate::provenance::{Canceller, Grace, Provenance, Stop};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) struct Room {
    /// Holds `ws`, the workspace, and whatever a test puts beside it.
    pub(super) directory: tempfile::TempDir,
    pub(super) workspace: Arc<Workspace>,
    pub(super) documents: Documents,
    pub(super) editor: Arc<FakeEditor>,
    pub(super) commands: Arc<Commands>,
    pub(super) canceller: Arc<Canceller>,
}

/// A client that does what a test says, and notes what it was asked.
#[derive(Default)]
pub(super) struct FakeEditor {
    pub(super) can: Mutex<Abilities>,
    pub(super) asked: Mutex<Vec<Asked>>,
    /// What it says to the next requests. With none it never answers.
    pub(super) answers: Mutex<Vec<Result<String, Refusal>>>,
    /// What happens while it is asked.
    pub(super) meanwhile: Mutex<Option<Box<dyn Fn() + Send>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Apply(DocumentEdit),
    Read(String),
    Write(String, String),
}

impl FakeEditor {
    pub(super) fn can(&self, abilities: Abilities) {
        *self.can.lock().unwrap() = abilities;
    }

    pub(super) fn answer(&self, answer: Result<&str, Refusal>) {
        self.answers.lock().unwrap().push(answer.map(Into::into));
    }

    pub(super) fn meanwhile(&self, happens: impl Fn() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(happens));
    }

    /// What it was asked since the last look.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn ask(&self, asked: Asked) -> BoxFuture<'static, Result<String, Refusal>> {
        self.asked.lock().unwrap().push(asked);
        if let Some(happens) = &*self.meanwhile.lock().unwrap() {
            happens();
        }
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { pending().boxed() } else { ready(answers.remove(0)).boxed() }
    }
}

impl EditorFiles for FakeEditor {
    fn abilities(&self) -> Abilities {
        *self.can.lock().unwrap()
    }

    fn apply(&self, edit: DocumentEdit) -> BoxFuture<'static, Result<(), Refusal>> {
        self.ask(Asked::Apply(edit)).map(|answer| answer.map(drop)).boxed()
    }

    fn read(&self, path: String) -> BoxFuture<'static, Result<String, Refusal>> {
        self.ask(Asked::Read(path))
    }

    fn write(&self, path: String, text: String) -> BoxFuture<'static, Result<(), Refusal>> {
        self.ask(Asked::Write(path, text)).map(|answer| answer.map(drop)).boxed()
    }
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
            writable: Vec::new(),
            scratch: Scratch::default(),
            outputs: Outputs::of(&directory.path().join("data"), "ses_1"),
            keys: Arc::default(),
        };
        Self {
            directory,
            workspace,
            documents: Documents::default(),
            editor: Arc::default(),
            commands: Arc::new(commands),
            canceller: Arc::default(),
        }
    }

    /// Lets these rules hold.
    pub(super) fn hide(&self, deny: &[&str], ask: &[&str]) {
        let read = |rules: &[&str]| rules.iter().map(|rule| Rule::read(rule).unwrap()).collect();
        self.workspace.hide(vec![Arc::new(Rules { deny: read(deny), ask: read(ask), allow: Vec::new() })]);
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
            editor: Arc::clone(&self.editor) as _,
            commands: Arc::clone(&self.commands),
            token: self.canceller.token(),
            hop: Arc::new(|_| {}),
            meter: Meter::default(),
        }
    }

    /// Plans and runs a call, as a session does.
    pub(super) async fn call(&self, tool: &dyn Tool, input: Value) -> Result<ToolOutput, ToolError> {
        let plan = tool.plan(&input, &self.context()).await?;
        tool.run(input, Approved { seen: plan.seen, access: plan.access, confirmed: Confirmed::No }, self.context()).await
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
