//! A client that sends bytes and sees bytes: for input that no editor would write, and answers that must match to the letter.

use crate::support::editor::PATIENCE;
use crate::support::{Framing, Home};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A running pillion behind two pipes.
pub struct Raw {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    framing: Framing,
}

impl Raw {
    pub fn start(home: &Home, framing: Framing, args: &[&str]) -> Self {
        let mut command = Command::from(home.command());
        let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("pillion starts");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("a stdout"));
        Self { child, stdin, stdout: BufReader::new(stdout), framing }
    }

    /// A server that has answered the `initialize` of an LSP client, whose id was `"init"`.
    pub async fn ready(home: &Home, framing: Framing, args: &[&str]) -> Self {
        let mut raw = Self::start(home, framing, args);
        raw.send(r#"{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"capabilities":{}}}"#).await;
        assert!(raw.next().await.starts_with(r#"{"jsonrpc":"2.0","id":"init","result":{"capabilities":"#));
        raw
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running pillion")
    }

    /// Sends one body in the connection's framing.
    pub async fn send(&mut self, body: impl AsRef<[u8]>) {
        self.bytes(&framed(self.framing, body.as_ref())).await;
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).await.expect("pillion reads");
        stdin.flush().await.expect("pillion reads");
    }

    /// The next body, as it stands on the wire.
    pub async fn next(&mut self) -> String {
        self.next_or_end().await.expect("another message")
    }

    /// The next body that is no update.
    pub async fn next_answer(&mut self) -> String {
        loop {
            let body = self.next().await;
            if !body.contains(r#""method":"session/update""#) {
                return body;
            }
        }
    }

    /// The next body, unless pillion has closed its stdout.
    pub async fn next_or_end(&mut self) -> Option<String> {
        let body = read_body(&mut self.stdout, self.framing);
        tokio::time::timeout(PATIENCE, body).await.expect("pillion writes or ends")
    }

    /// A prompt on a new session is answered: what came before has harmed nothing. Needs a script that says "fine".
    pub async fn still_serves(&mut self, home: &Home) {
        let new = json!({ "jsonrpc": "2.0", "id": "n", "method": "session/new", "params": { "cwd": home.workspace() } });
        self.send(new.to_string()).await;
        let created: Value = serde_json::from_str(&self.next_answer().await).expect("JSON");
        let session = created["result"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {created}"));
        self.still_answers(session).await;
    }

    /// A prompt on this session is answered "fine".
    pub async fn still_answers(&mut self, session: &str) {
        let params = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "Are you well?" }] });
        self.send(json!({ "jsonrpc": "2.0", "id": "p", "method": "session/prompt", "params": params }).to_string()).await;
        let update: Value = serde_json::from_str(&self.next().await).expect("JSON");
        assert_eq!(update["params"]["update"]["content"], json!({ "type": "text", "text": "fine" }));
        let answer: Value = serde_json::from_str(&self.next_answer().await).expect("JSON");
        assert_eq!((&answer["id"], &answer["result"]["stopReason"]), (&json!("p"), &json!("end_turn")), "{answer}");
    }

    /// Ends it as the kernel would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("pillion was running");
    }

    /// Closes stdin, if it is still open, and gives the exit code and what was said until the end.
    pub async fn end(mut self) -> (Option<i32>, Vec<String>) {
        let since = Instant::now();
        self.stdin = None;
        let mut said = Vec::new();
        while let Some(body) = self.next_or_end().await {
            said.push(body);
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("pillion ends").expect("a status");
        assert!(since.elapsed() < super::process::LEAVES_WITHIN, "pillion left after {:?}", since.elapsed());
        (status.code(), said)
    }
}

/// The script that [`Raw::still_serves`] needs.
pub fn fine(home: &Home) -> String {
    home.script(&json!({ "steps": [[{ "text": "fine" }]] }))
}

/// One body as it stands on the wire.
pub fn framed(framing: Framing, body: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Headers => [format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat(),
        Framing::Lines => [body, b"\n"].concat(),
    }
}

async fn read_body(stdout: &mut BufReader<ChildStdout>, framing: Framing) -> Option<String> {
    let mut line = String::new();
    if stdout.read_line(&mut line).await.expect("text") == 0 {
        return None;
    }
    if framing == Framing::Lines {
        return Some(line.strip_suffix('\n').expect("a whole line").to_owned());
    }
    let length = line.strip_prefix("Content-Length: ").and_then(|rest| rest.strip_suffix("\r\n")).expect("a header");
    let mut body = vec![0; 2 + length.parse::<usize>().expect("a length")];
    stdout.read_exact(&mut body).await.expect("a whole message");
    assert!(body.starts_with(b"\r\n"), "one header");
    Some(String::from_utf8(body.split_off(2)).expect("text"))
}
