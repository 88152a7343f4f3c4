//! A model server for tests: raw HTTP/1.1 on loopback, driven event by event, that reports when its client goes away.
//!
//! Invariant: nothing happens unless the test says so (no time-outs, no retries), and every request's history is checked: a tool
//! call without its one result, or a result without a call, fails the test at the latest when the server is dropped.

#[path = "vendor_history.rs"]
mod vendor_history;

pub(crate) use vendor_history::check_history;

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

/// The server. Dropping it stops listening; exchanges that are still held go on.
pub(crate) struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    requests: mpsc::UnboundedReceiver<Exchange>,
    listener: AbortHandle,
}

/// One request and the means to answer it. Dropping an unfinished exchange closes its connection.
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Null if the request has no body.
    pub(crate) body: Value,
    /// When the whole request had arrived.
    pub(crate) received: Instant,
    connection: Arc<Connection>,
    closed: watch::Receiver<Option<Closed>>,
    head_sent: bool,
    keeps_connection: bool,
}

/// How and when a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) at: Instant,
    pub(crate) by: CloseKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseKind {
    Fin,
    Reset,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    violations: Mutex<Vec<String>>,
}

struct Connection {
    stream: TcpStream,
    /// Tells the reading task to let go of the stream.
    hang_up: Notify,
}

impl ModelServer {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared::default());
        let (send, requests) = mpsc::unbounded_channel();
        let listening = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                listening.connections.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).expect("an open socket");
                let connection = Arc::new(Connection { stream, hang_up: Notify::new() });
                tokio::spawn(serve(connection, send.clone(), Arc::clone(&listening)));
            }
        });
        Self { address, shared, requests, listener: task.abort_handle() }
    }

    /// Listens and answers every request with `answer`, each in a task of its own.
    pub(crate) async fn auto<A, F>(answer: A) -> Self
    where
        A: Fn(Exchange) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut server = Self::start().await;
        let (_, nobody) = mpsc::unbounded_channel();
        let mut requests = std::mem::replace(&mut server.requests, nobody);
        tokio::spawn(async move {
            while let Some(exchange) = requests.recv().await {
                tokio::spawn(answer(exchange));
            }
        });
        server
    }

    /// What a client is given as its base URL.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits for the next request.
    pub(crate) async fn next_request(&mut self) -> Exchange {
        self.requests.recv().await.expect("the listener runs as long as the server")
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.listener.abort();
        let violations = self.shared.violations.lock().map(|found| found.clone()).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "requests with a broken history: {violations:?}");
        }
    }
}

impl Exchange {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Sends the head of an event stream. The other senders do it by themselves where it is still missing.
    pub(crate) async fn head(&mut self) {
        self.head_with(200, &[("content-type", "text/event-stream")]).await;
    }

    /// Sends a head with this status and these headers, for a chunked body.
    pub(crate) async fn head_with(&mut self, status: u16, headers: &[(&str, &str)]) {
        let mut head = format!("HTTP/1.1 {status} Status\r\ntransfer-encoding: chunked\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        self.head_sent = true;
        self.socket_bytes(head.as_bytes()).await;
    }

    /// One event with this data.
    pub(crate) async fn event(&mut self, data: &Value) {
        self.raw(format!("data: {data}\n\n").as_bytes()).await;
    }

    /// Bytes of the body, such as half an event.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        if !self.head_sent {
            self.head().await;
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.socket_bytes(&chunk).await;
    }

    /// Bytes on the socket, outside of any framing. A client that has gone is no error: `closed_by_client` tells.
    pub(crate) async fn socket_bytes(&mut self, bytes: &[u8]) {
        let _ = self.connection.write_all(bytes).await;
    }

    pub(crate) async fn delta(&mut self, delta: Value) {
        self.event(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]})).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.delta(json!({"content": text})).await;
    }

    /// A whole tool call in one delta.
    pub(crate) async fn tool_call(&mut self, index: u64, id: &str, name: &str, arguments: &Value) {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        self.delta(json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})).await;
    }

    pub(crate) async fn finish(&mut self, reason: &str) {
        self.event(&json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})).await;
    }

    pub(crate) async fn usage(&mut self, input: u64, output: u64) {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
        self.event(&json!({"id": "chatcmpl-1", "choices": [], "usage": usage})).await;
    }

    /// Ends the stream as the protocol wants it; the connection can carry another request.
    pub(crate) async fn done(mut self) {
        self.raw(b"data: [DONE]\n\n").await;
        self.end_body().await;
    }

    /// Ends the body in good order, whatever was said in it.
    pub(crate) async fn end_body(mut self) {
        self.keeps_connection = true;
        self.socket_bytes(b"0\r\n\r\n").await;
    }

    /// Says these words and ends: a whole simple answer.
    pub(crate) async fn answer(mut self, text: &str) {
        self.text(text).await;
        self.finish("stop").await;
        self.usage(1, 1).await;
        self.done().await;
    }

    /// Answers with an error status and this body.
    pub(crate) async fn error(mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.head_with(status, headers).await;
        if !body.is_empty() {
            self.raw(body.as_bytes()).await;
        }
        self.end_body().await;
    }

    /// Closes the connection (FIN), wherever the answer stands.
    pub(crate) fn hang_up(self) {
        drop(self);
    }

    /// Resets the connection (RST).
    pub(crate) fn reset(self) {
        self.connection.stream.set_zero_linger().expect("an open socket");
    }

    /// Waits until the client has closed the connection and says when that was.
    pub(crate) async fn closed_by_client(&mut self) -> Closed {
        let closed = self.closed.wait_for(Option::is_some).await.expect("the connection's task reports before it ends");
        closed.expect("it was waited for")
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.keeps_connection {
            self.connection.hang_up.notify_one();
        }
    }
}

impl Connection {
    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Adds what arrives to `buffer`; `Err` is how the client left.
    async fn read_more(&self, buffer: &mut Vec<u8>) -> Result<(), CloseKind> {
        loop {
            self.stream.readable().await.map_err(|_| CloseKind::Reset)?;
            match self.stream.try_read_buf(buffer) {
                Ok(0) => return Err(CloseKind::Fin),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(CloseKind::Reset),
            }
        }
    }
}

/// Reads one connection until it is closed by either side.
async fn serve(connection: Arc<Connection>, requests: mpsc::UnboundedSender<Exchange>, shared: Arc<Shared>) {
    let (report, closed) = watch::channel(None);
    let mut buffer = Vec::new();
    loop {
        while let Some(exchange) = take_request(&mut buffer, &connection, &closed) {
            if let Err(violation) = check_history(&exchange.body)
                && let Ok(mut violations) = shared.violations.lock()
            {
                violations.push(violation);
            }
            let _ = requests.send(exchange);
        }
        let read = tokio::select! {
            read = connection.read_more(&mut buffer) => read,
            () = connection.hang_up.notified() => return,
        };
        if let Err(by) = read {
            let _ = report.send(Some(Closed { at: Instant::now(), by }));
            return;
        }
    }
}

/// Takes a whole request from the front of `buffer`, if one is there.
fn take_request(buffer: &mut Vec<u8>, connection: &Arc<Connection>, closed: &watch::Receiver<Option<Closed>>) -> Option<Exchange> {
    let head_end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().expect("a length"));
    if buffer.len() < head_end + length {
        return None;
    }
    let body = serde_json::from_slice(&buffer[head_end..head_end + length]).unwrap_or(Value::Null);
    buffer.drain(..head_end + length);
    Some(Exchange {
        method: first.next()?,
        path: first.next()?,
        headers,
        body,
        received: Instant::now(),
        connection: Arc::clone(connection),
        closed: closed.clone(),
        head_sent: false,
        keeps_connection: false,
    })
}
