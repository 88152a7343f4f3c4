//! A child process behind two pipes that speaks in lines, and pillion as such a child.
//!
//! Invariant: a time is taken when a whole line has arrived and before anything looks into it.

use crate::{hog, relay};
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What every update begins with.
const UPDATE: &[u8] = br#"{"jsonrpc":"2.0","method":"session/update""#;

/// A child that speaks in lines. Dropping it kills it.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// A directory for everything that one pillion keeps.
pub(crate) struct Home(TempDir);

/// A running pillion.
pub(crate) struct Pillion {
    peer: Peer,
    line: Vec<u8>,
    next_id: u64,
    /// Updates that came before the answers that were waited for.
    pub(crate) updates: usize,
}

/// What a call came to, and when its answer had arrived.
pub(crate) struct Answer {
    pub(crate) result: Value,
    pub(crate) at: Instant,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Peer {
    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (stdin, stdout) = (child.stdin.take().context("a stdin")?, child.stdout.take().context("a stdout")?);
        Ok(Self { child, stdin, stdout: BufReader::with_capacity(256 << 10, stdout) })
    }

    /// The floor's process.
    pub(crate) fn relay(model: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env_clear().args([relay::ROLE, model]);
        Self::spawn(command)
    }

    /// A process that keeps the disk busy with this file; it does so by now.
    pub(crate) async fn hog(file: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env_clear().arg(hog::ROLE).arg(file);
        let mut hog = Self::spawn(command)?;
        hog.hear(&mut Vec::new()).await?;
        Ok(hog)
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the process has ended")
    }

    pub(crate) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.stdin.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Adds the next line to `line` and says when it was whole.
    pub(crate) async fn hear(&mut self, line: &mut Vec<u8>) -> anyhow::Result<Instant> {
        let read = self.stdout.read_until(b'\n', line).await?;
        let at = Instant::now();
        ensure!(read > 0, "the process closed its stdout");
        Ok(at)
    }

    /// Closes stdin and waits for a clean end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.stdin);
        let (mut rest, mut status) = (Vec::new(), None);
        while status.is_none() {
            rest.clear();
            // Whatever it still says is read, so that it never waits for us.
            tokio::select! {
                ended = self.child.wait() => status = Some(ended?),
                read = self.stdout.read_until(b'\n', &mut rest) => if read? == 0 { status = Some(self.child.wait().await?) },
            }
        }
        ensure!(status.is_some_and(|status| status.success()), "the process ended with {status:?}");
        Ok(())
    }
}

impl Home {
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("home-").tempdir_in(root)?;
        std::fs::create_dir(dir.path().join("work"))?;
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.path().join("work")
    }

    /// The store's file.
    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("data").join("pillion.db")
    }
}

impl Pillion {
    /// Starts the program, cut off from everything of the real user.
    pub(crate) fn spawn(binary: &Path, home: &Home, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("HOME", home.path())
            .env("PILLION_DATA_DIR", home.path().join("data"))
            .env("PILLION_LOG", home.path().join("pillion.log"))
            .args(flags)
            .current_dir(home.workspace());
        let peer = Peer::spawn(command).with_context(|| format!("{} cannot be started", binary.display()))?;
        Ok(Self { peer, line: Vec::new(), next_id: 0, updates: 0 })
    }

    /// Starts the program and waits for its `initialize`.
    pub(crate) async fn ready(binary: &Path, home: &Home, flags: &[&str]) -> anyhow::Result<Self> {
        let mut pillion = Self::spawn(binary, home, flags)?;
        pillion.initialize().await?;
        Ok(pillion)
    }

    /// Says when it was answered.
    pub(crate) async fn initialize(&mut self) -> anyhow::Result<Instant> {
        self.initialize_for(None).await
    }

    /// The client is this process.
    pub(crate) async fn initialize_for(&mut self, process: Option<u32>) -> anyhow::Result<Instant> {
        let params = json!({ "processId": process, "capabilities": {}, "clientInfo": { "name": "bench" } });
        Ok(self.call("initialize", params).await?.at)
    }

    pub(crate) async fn new_session(&mut self, home: &Home) -> anyhow::Result<(String, Instant)> {
        let answer = self.call("session/new", json!({ "cwd": home.workspace() })).await?;
        Ok((answer.result["sessionId"].as_str().context("a session has an id")?.to_owned(), answer.at))
    }

    pub(crate) async fn prompt(&mut self, session: &str) -> anyhow::Result<u64> {
        let prompt = [json!({ "type": "text", "text": "What does the function at the cursor do?" })];
        self.request("session/prompt", json!({ "sessionId": session, "prompt": prompt })).await
    }

    pub(crate) async fn cancel(&mut self, session: &str) -> anyhow::Result<u64> {
        self.request("session/cancel", json!({ "sessionId": session, "source": "bench", "initiator": "user" })).await
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Answer> {
        let id = self.request(method, params).await?;
        self.answer(id).await
    }

    pub(crate) async fn request(&mut self, method: &str, params: Value) -> anyhow::Result<u64> {
        self.next_id += 1;
        let (id, request) = (self.next_id, json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params }));
        self.peer.say(&request.to_string()).await?;
        Ok(id)
    }

    /// The result that answers `id`. Updates before it are counted; another answer before it is out of order.
    pub(crate) async fn answer(&mut self, id: u64) -> anyhow::Result<Answer> {
        loop {
            self.line.clear();
            let at = self.peer.hear(&mut self.line).await?;
            if self.line.starts_with(UPDATE) {
                self.updates += 1;
                continue;
            }
            let envelope: Envelope<'_> = serde_json::from_slice(&self.line)?;
            ensure!(envelope.id == Some(id), "{id} was to be answered, not {:?}", envelope.id);
            match (envelope.result, envelope.error) {
                (Some(result), None) => return Ok(Answer { result: serde_json::from_str(result.get())?, at }),
                (_, error) => bail!("request {id} failed: {error:?}"),
            }
        }
    }

    /// Waits for the next update; an answer before it is out of order.
    pub(crate) async fn update(&mut self) -> anyhow::Result<Instant> {
        self.line.clear();
        let at = self.peer.hear(&mut self.line).await?;
        ensure!(self.line.starts_with(UPDATE), "an update was to come, not {}", String::from_utf8_lossy(&self.line));
        Ok(at)
    }

    /// Waits for so many answers without an error, in any order.
    pub(crate) async fn any_answers(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.line.clear();
            self.peer.hear(&mut self.line).await?;
            let envelope: Envelope<'_> = serde_json::from_slice(&self.line)?;
            ensure!(envelope.result.is_some(), "a request failed: {}", String::from_utf8_lossy(&self.line));
        }
        Ok(())
    }

    /// The line that was heard last.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.peer.pid()
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.peer.end().await
    }

    /// The process and the two pipes.
    pub(crate) fn into_parts(self) -> (Child, ChildStdin, BufReader<ChildStdout>) {
        let Peer { child, stdin, stdout } = self.peer;
        (child, stdin, stdout)
    }
}
