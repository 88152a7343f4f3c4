//! An editor for the tests: spawns the real binary and talks to it over pipes, in either framing.
//!
//! Invariant: whatever arrives is kept in order and must be claimed; [`Editor::finish`] fails on anything that was not.

use super::resolved::assert_resolved;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// Whatever leads to pillion's stdin.
pub type Input = Box<dyn AsyncWrite + Send + Unpin>;

/// Whatever comes from its stdout.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// How long anything may take before a test is called hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How the messages are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Headers,
    Lines,
}

/// What shape the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Lsp,
    Acp,
}

/// A machine of one test's own: home, data directory, workspace.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pillion-e2e-").tempdir().expect("a directory of our own");
        for name in ["home", "data", "work", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        Self { dir }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn workspace(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Where temporary files lie.
    pub fn temporary(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("pillion.log")
    }

    /// Writes a file into the workspace.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.workspace().join(name);
        std::fs::write(&path, text).expect("a file in the workspace");
        path
    }

    /// Writes a script for the scripted provider and returns its model name.
    pub fn script(&self, script: &Value) -> String {
        let path = self.dir.path().join("script.json");
        std::fs::write(&path, script.to_string()).expect("a script");
        format!("scripted:{}", path.display())
    }

    /// The binary, cut off from everything of the real user.
    pub fn command(&self) -> std::process::Command {
        self.command_of(env!("CARGO_BIN_EXE_pillion"))
    }

    /// pillion as the first process of a container of its own: its numbers mean nothing outside, and nobody's session is its own.
    /// Where namespaces are not to be had, as it is.
    pub fn contained(&self) -> std::process::Command {
        let pillion = self.command();
        let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let (nothing, ignored) = (std::process::Stdio::null(), std::process::Stdio::null());
        let can = std::process::Command::new("unshare").args(flags).arg("true").stdin(nothing).stderr(ignored).status();
        if !can.is_ok_and(|status| status.success()) {
            return pillion;
        }
        let mut command = self.command_of("unshare");
        command.args(flags).arg(pillion.get_program());
        command
    }

    /// Another program in pillion's place, as cut off as pillion.
    pub fn command_of(&self, program: &str) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command
            .env_clear()
            .env("HOME", self.dir.path().join("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", self.temporary())
            .env("PILLION_DATA_DIR", self.data_dir())
            .env("PILLION_LOG", self.log_file())
            .env("PILLION_LOG_LEVEL", "debug")
            .current_dir(self.workspace());
        command
    }
}

/// A running pillion and what it has said so far.
pub struct Editor {
    child: Child,
    stdin: Option<Input>,
    framing: Framing,
    dialect: Dialect,
    incoming: mpsc::UnboundedReceiver<Value>,
    /// Whether we read what pillion writes.
    reading: watch::Sender<bool>,
    reader: AbortHandle,
    /// Arrived and not claimed, in order.
    unclaimed: VecDeque<Value>,
    next_id: i64,
    finished: bool,
}

impl Editor {
    /// Starts the server with these arguments and speaks this dialect and framing.
    pub fn start(home: &Home, framing: Framing, dialect: Dialect, args: &[&str]) -> Self {
        Self::spawn(home.command(), framing, dialect, args)
    }

    pub fn spawn(command: std::process::Command, framing: Framing, dialect: Dialect, args: &[&str]) -> Self {
        let mut child = Command::from(command)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("pillion starts");
        let (stdin, stdout) = (child.stdin.take().expect("a stdin"), child.stdout.take().expect("a stdout"));
        Self::attach(child, Box::new(stdin), Box::new(stdout), framing, dialect)
    }

    /// Speaks to a process that was started in another way.
    pub fn attach(child: Child, stdin: Input, stdout: Output, framing: Framing, dialect: Dialect) -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        let (reading, gate) = watch::channel(true);
        let reader = tokio::spawn(read_messages(BufReader::new(stdout), framing, sender, gate)).abort_handle();
        let (stdin, unclaimed) = (Some(stdin), VecDeque::new());
        Self { child, stdin, framing, dialect, incoming, reading, reader, unclaimed, next_id: 0, finished: false }
    }

    /// A server that has answered `initialize`.
    pub async fn ready(home: &Home, framing: Framing, dialect: Dialect, args: &[&str]) -> Self {
        let mut editor = Self::start(home, framing, dialect, args);
        editor.initialize().await;
        editor
    }

    /// The usual: LSP over headers, with a model.
    pub async fn lsp(home: &Home, args: &[&str]) -> Self {
        Self::ready(home, Framing::Headers, Dialect::Lsp, args).await
    }

    pub async fn initialize(&mut self) -> Value {
        let params = match self.dialect {
            Dialect::Lsp => json!({ "processId": null, "capabilities": {}, "clientInfo": { "name": "e2e", "version": "1.2.3" } }),
            Dialect::Acp => json!({ "protocolVersion": 1, "clientCapabilities": {}, "clientInfo": { "name": "e2e", "version": "1.2.3" } }),
        };
        let result = self.call("initialize", params).await;
        if self.dialect == Dialect::Lsp {
            self.notify("initialized", json!({})).await;
        }
        result
    }

    pub async fn new_session(&mut self, home: &Home) -> String {
        let result = self.call("session/new", json!({ "cwd": home.workspace(), "mcpServers": [] })).await;
        result["sessionId"].as_str().expect("a session id").to_owned()
    }

    /// Sends a text prompt and returns its request id.
    pub async fn prompt(&mut self, session: &str, text: &str) -> Value {
        self.request("session/prompt", json!({ "sessionId": session, "prompt": [{ "type": "text", "text": text }] })).await
    }

    /// Sends a request under the next integer id.
    pub async fn request(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = json!(self.next_id);
        self.request_as(id.clone(), method, params).await;
        id
    }

    pub async fn request_as(&mut self, id: Value, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    pub async fn respond(&mut self, id: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result })).await;
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_all(std::slice::from_ref(message)).await;
    }

    /// Several messages in one write.
    pub async fn send_all(&mut self, messages: &[Value]) {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(self.framing, message)).collect();
        self.raw(&bytes).await;
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).await.expect("pillion reads");
        stdin.flush().await.expect("pillion reads");
    }

    /// Sends a request and returns its result; an error answer fails the test.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.result(&id).await
    }

    /// The result that answers `id`.
    pub async fn result(&mut self, id: &Value) -> Value {
        let mut answer = self.answer(id).await;
        assert!(answer.get("error").is_none(), "an error answered {id}: {answer}");
        answer["result"].take()
    }

    /// The error that answers `id`.
    pub async fn error(&mut self, id: &Value) -> Value {
        let mut answer = self.answer(id).await;
        assert!(answer.get("result").is_none(), "a result answered {id}: {answer}");
        answer["error"].take()
    }

    /// The whole answer to `id`, result or error.
    pub async fn answer(&mut self, id: &Value) -> Value {
        self.claim(&format!("the answer to {id}"), |message| message.get("method").is_none() && message["id"] == *id).await
    }

    /// The next message with this method: an update, a question.
    pub async fn next(&mut self, method: &str) -> Value {
        self.claim(method, |message| message["method"] == method).await
    }

    /// The next `session/update` of this kind; earlier ones of other kinds stay unclaimed.
    pub async fn next_update(&mut self, kind: &str) -> Value {
        self.claim(kind, |message| message["method"] == "session/update" && message["params"]["update"]["sessionUpdate"] == kind).await
    }

    /// Everything that arrived up to and with the answer to `id`, in order.
    pub async fn all_until(&mut self, id: &Value) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let message = self.claim(&format!("everything up to the answer to {id}"), |_| true).await;
            let last = message.get("method").is_none() && message["id"] == *id;
            all.push(message);
            if last {
                return all;
            }
        }
    }

    /// Drops every update that is waiting: for tests that are about something else.
    pub fn ignore_updates(&mut self) {
        while let Ok(message) = self.incoming.try_recv() {
            self.unclaimed.push_back(message);
        }
        self.unclaimed.retain(|message| message["method"] != "session/update");
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running pillion")
    }

    pub fn kill(&mut self) {
        self.child.start_kill().expect("pillion was running");
    }

    /// Stops reading what pillion writes, or goes on with it. What was read ahead may still arrive.
    pub fn read_on(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// Closes our end of pillion's stdout.
    pub fn close_stdout(&self) {
        self.reader.abort();
    }

    /// Closes stdin.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end of the process.
    pub async fn exited(&mut self) -> ExitStatus {
        self.finished = true;
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("pillion ends").expect("a status")
    }

    /// Closes stdin, waits for a clean end and fails on anything that nobody claimed.
    pub async fn finish(mut self) {
        self.hang_up();
        let status = self.exited().await;
        while let Some(message) = self.incoming.recv().await {
            self.unclaimed.push_back(message);
        }
        assert_eq!(status.code(), Some(0), "pillion ended with {status}");
        let titles = |message: &Value| message["params"]["update"]["sessionUpdate"] == "session_info_update";
        let left: Vec<_> = self.unclaimed.drain(..).filter(|message| !titles(message)).collect();
        assert!(left.is_empty(), "nobody claimed {left:#?}");
    }

    /// The first message that is wanted. An export is looked at, whoever asked for it.
    pub async fn claim(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let message = self.wait_for(what, wanted).await;
        if let Some(export) = message.get("result").and_then(|result| result.get("export")) {
            assert_resolved(export);
        }
        message
    }

    async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.unclaimed.iter().position(&wanted) {
            return self.unclaimed.remove(at).expect("it was found there");
        }
        loop {
            let message = match tokio::time::timeout(PATIENCE, self.incoming.recv()).await {
                Ok(Some(message)) => message,
                Ok(None) => panic!("pillion closed its stdout before {what}; unclaimed: {:#?}", self.unclaimed),
                Err(_) => panic!("{what} never came; unclaimed: {:#?}", self.unclaimed),
            };
            if wanted(&message) {
                return message;
            }
            self.unclaimed.push_back(message);
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if !self.finished && !std::thread::panicking() {
            panic!("an Editor was dropped without finish() or exited()");
        }
    }
}

/// One message as it stands on the wire.
pub fn frame(framing: Framing, message: &Value) -> Vec<u8> {
    let body = message.to_string();
    match framing {
        Framing::Headers => format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        Framing::Lines => format!("{body}\n").into_bytes(),
    }
}

async fn read_messages(
    mut stdout: BufReader<Output>,
    framing: Framing,
    sender: mpsc::UnboundedSender<Value>,
    mut reading: watch::Receiver<bool>,
) {
    while reading.wait_for(|reading| *reading).await.is_ok() {
        let mut line = String::new();
        if stdout.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let body = match framing {
            Framing::Lines => line.into_bytes(),
            Framing::Headers => {
                let length = line.strip_prefix("Content-Length: ").unwrap_or_else(|| panic!("stdout carries frames only, not {line:?}"));
                let length: usize = length.trim().parse().expect("a length");
                let mut blank = String::new();
                stdout.read_line(&mut blank).await.expect("the end of the header");
                let mut body = vec![0; length];
                if stdout.read_exact(&mut body).await.is_err() {
                    return;
                }
                body
            }
        };
        let message = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
        if sender.send(message).is_err() {
            return;
        }
    }
}
