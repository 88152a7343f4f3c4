//! A whole connection in memory, for the tests of this room: the real wire and guard over a pipe, with made-up sessions.
//!
//! Invariant: a test that ends with [`Peer::finish`] has claimed every message that it was sent.

mod fake;

pub(super) use fake::{Fake, FakeDocuments};

use super::editor::RpcEditor;
use super::guard::{Connection, Door, Guard, Listener};
use super::logbook::Logbook;
use super::lsp::Lsp;
use super::outbox::Outbox;
use super::watch::{EndReason, Ending};
use super::wire::{AtEof, Terms, Wire};
use crate::config::{Framing, Limits};
use crate::protocol::ids::ConnectionId;
use crate::provenance::Provenance;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

pub(super) const FRAMINGS: [Framing; 2] = [Framing::Headers, Framing::Lines];

/// What the guard told of the client's wishes.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Heard {
    pub(super) pids: Vec<u32>,
    pub(super) traces: Vec<String>,
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

impl Listener for Ear {
    fn editor_process(&mut self, pid: u32) {
        self.0.lock().expect("ear").pids.push(pid);
    }

    fn trace(&mut self, level: &str) {
        self.0.lock().expect("ear").traces.push(level.to_owned());
    }
}

/// A server and what a test needs to see of its inside.
pub(super) struct Server {
    pub(super) sessions: Arc<Fake>,
    pub(super) documents: Arc<FakeDocuments>,
    ear: Ear,
    pub(super) ended: JoinHandle<EndReason>,
}

impl Server {
    /// Serves one connection; the other end of it is given back.
    pub(super) fn start(limits: Limits, door: Door) -> (Self, DuplexStream) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let outbox = Outbox::new(limits.outbox);
        let documents = Arc::new(FakeDocuments::default());
        let (lsp, editor): (Lsp, Arc<RpcEditor>) = Lsp::new(documents.clone(), outbox.clone());
        let sessions = Arc::new(Fake::new(editor.clone()));
        let ear = Ear::default();
        let id = ConnectionId::new("conn_1");
        let logbook = Logbook::begin(id.clone(), None, Provenance::deterministic(), Box::new(|_| ()));
        let connection = Connection { id, logbook, door, limits, version: "1.2.3", known_keys: Arc::default() };
        let mut guard = Guard::new(connection, sessions.clone(), lsp, editor, outbox.clone(), Box::new(ear.clone()));
        let (read, write) = tokio::io::split(far);
        let receive = move |inbound, at| guard.receive(inbound, at);
        let terms = Terms { limits: &limits, framing: None, at_eof: AtEof::Leave };
        let wire = Wire::open(read, write, terms, outbox, Ending::new(), receive);
        let ended = tokio::spawn(async move {
            let reason = wire.ended().await.reason;
            wire.drain(Duration::from_secs(5)).await;
            reason
        });
        (Self { sessions, documents, ear, ended }, near)
    }

    pub(super) fn heard(&self) -> Heard {
        self.ear.0.lock().expect("ear").clone()
    }
}

/// A client that speaks raw JSON.
pub(super) struct Peer {
    pub(super) framing: Framing,
    read: ReadHalf<DuplexStream>,
    write: WriteHalf<DuplexStream>,
    buffer: Vec<u8>,
}

/// A client and its server, not yet greeted.
pub(super) fn open(framing: Framing) -> (Peer, Server) {
    open_with(framing, Limits::default())
}

pub(super) fn open_with(framing: Framing, limits: Limits) -> (Peer, Server) {
    let (server, near) = Server::start(limits, Door::Stdio);
    let (read, write) = tokio::io::split(near);
    (Peer { framing, read, write, buffer: Vec::new() }, server)
}

/// A client that has greeted its server as an LSP editor.
pub(super) async fn lsp(framing: Framing) -> (Peer, Server) {
    greeted(open(framing), json!({"capabilities": {}, "clientInfo": {"name": "test", "version": "0.1"}})).await
}

/// The same, as an ACP editor.
pub(super) async fn acp(framing: Framing) -> (Peer, Server) {
    greeted(open(framing), json!({"protocolVersion": 1, "clientInfo": {"name": "test", "version": "0.1"}})).await
}

pub(super) async fn greeted((mut peer, server): (Peer, Server), hello: Value) -> (Peer, Server) {
    let answer = peer.call(json!("hello"), "initialize", hello).await;
    assert!(answer["result"].is_object(), "{answer}");
    (peer, server)
}

impl Peer {
    /// Sends bodies in one write.
    pub(super) async fn send_raw(&mut self, bodies: &[&str]) {
        let framed = bodies.iter().map(|body| match self.framing {
            Framing::Headers => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
            Framing::Lines => format!("{body}\n"),
        });
        let bytes: String = framed.collect();
        self.write.write_all(bytes.as_bytes()).await.expect("the server reads");
    }

    pub(super) async fn send(&mut self, messages: &[Value]) {
        let bodies: Vec<String> = messages.iter().map(Value::to_string).collect();
        self.send_raw(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    pub(super) async fn notify(&mut self, method: &str, params: Value) {
        self.send(&[note(method, params)]).await;
    }

    /// The next message, as it was written.
    pub(super) async fn next_raw(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(20), self.read_body()).await.expect("a message in time").expect("a message")
    }

    pub(super) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_raw().await).expect("json")
    }

    /// Sends a request and takes the next message, which must be its answer.
    pub(super) async fn call(&mut self, id: Value, method: &str, params: Value) -> Value {
        self.send(&[request(id.clone(), method, params)]).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Closes the connection; nothing may have been left unread.
    pub(super) async fn finish(mut self) {
        self.write.shutdown().await.expect("shutdown");
        let left = tokio::time::timeout(Duration::from_secs(20), self.read_body()).await.expect("an end in time");
        assert_eq!(left, None, "a message that nobody claimed");
    }

    async fn read_body(&mut self) -> Option<String> {
        loop {
            if let Some(body) = self.take_body() {
                return Some(body);
            }
            if self.read.read_buf(&mut self.buffer).await.expect("read") == 0 {
                assert!(self.buffer.is_empty(), "half a message at the end");
                return None;
            }
        }
    }

    fn take_body(&mut self) -> Option<String> {
        let (start, end, next) = match self.framing {
            Framing::Lines => {
                let end = memchr::memchr(b'\n', &self.buffer)?;
                (0, end, end + 1)
            }
            Framing::Headers => {
                let head = memchr::memmem::find(&self.buffer, b"\r\n\r\n")?;
                let text = std::str::from_utf8(&self.buffer[..head]).expect("headers");
                let length: usize = text.rsplit(' ').next().and_then(|length| length.parse().ok()).expect("a length");
                (head + 4, head + 4 + length, head + 4 + length)
            }
        };
        if self.buffer.len() < next {
            return None;
        }
        let body = String::from_utf8(self.buffer[start..end].to_vec()).expect("utf-8");
        self.buffer.drain(..next);
        Some(body)
    }
}

pub(super) fn request(id: Value, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(super) fn note(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// A `session/prompt` whose text tells the made-up session what to do.
pub(super) fn prompt(id: Value, session: &str, text: &str) -> Value {
    request(id, "session/prompt", json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]}))
}
