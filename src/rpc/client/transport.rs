//! JSON lines under jsonrpsee's client, with the half of JSON-RPC that it lacks: requests that come from the server.

use super::{Answerer, Unanswered};
use crate::rpc::error::code;
use jsonrpsee::core::client::{ReceivedMessage, TransportReceiverT, TransportSenderT};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::task::AbortHandle;

/// The two halves of a transport.
pub(super) fn over<R, W>(read: R, write: W, answerer: Arc<dyn Answerer>) -> (Sender<W>, Receiver<R, W>)
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let line = Arc::new(Line { write: tokio::sync::Mutex::new(write), state: Mutex::default() });
    let receiver = Receiver { read: BufReader::new(read), buffer: Vec::new(), line: Arc::clone(&line), answerer };
    (Sender(line), receiver)
}

/// What both halves and the answers under way share.
struct Line<W> {
    write: tokio::sync::Mutex<W>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The ids of our requests that have no answer yet.
    waiting: HashSet<u64>,
    /// The server's requests that are being answered, by their id's JSON.
    answering: HashMap<String, AbortHandle>,
}

impl<W: AsyncWrite + Unpin> Line<W> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, mut message: String) -> io::Result<()> {
        message.push('\n');
        let mut write = self.write.lock().await;
        write.write_all(message.as_bytes()).await?;
        write.flush().await
    }
}

/// The half that sends.
pub(super) struct Sender<W>(Arc<Line<W>>);

impl<W: AsyncWrite + Send + Unpin + 'static> TransportSenderT for Sender<W> {
    type Error = io::Error;

    async fn send(&mut self, message: String) -> io::Result<()> {
        #[derive(Deserialize)]
        struct Outgoing {
            id: Option<u64>,
        }
        if let Ok(Outgoing { id: Some(id) }) = serde_json::from_str(&message) {
            self.0.state().waiting.insert(id);
        }
        self.0.write(message).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.write.lock().await.shutdown().await
    }
}

/// The half that receives.
pub(super) struct Receiver<R, W> {
    read: BufReader<R>,
    buffer: Vec<u8>,
    line: Arc<Line<W>>,
    answerer: Arc<dyn Answerer>,
}

impl<R, W> TransportReceiverT for Receiver<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    /// The next message that jsonrpsee's client can take.
    async fn receive(&mut self) -> io::Result<ReceivedMessage> {
        loop {
            self.buffer.clear();
            if self.read.read_until(b'\n', &mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            if self.is_for_the_client() {
                return Ok(ReceivedMessage::Bytes(std::mem::take(&mut self.buffer)));
            }
        }
    }
}

/// As much of a message as it takes to tell whom it is for.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

impl<R, W: AsyncWrite + Send + Unpin + 'static> Receiver<R, W> {
    fn is_for_the_client(&self) -> bool {
        let Ok(message) = serde_json::from_slice::<Incoming<'_>>(&self.buffer) else {
            tracing::warn!(bytes = self.buffer.len(), "the server sent a line that is no message");
            return false;
        };
        match (message.method.as_deref(), message.id) {
            (Some(method), Some(id)) => {
                self.answer(method, id, message.params);
                false
            }
            (Some("$/cancelRequest" | "$/cancel_request"), None) => {
                self.take_back(message.params);
                false
            }
            (Some(_), None) => true,
            (None, id) => {
                let ours = id.and_then(|id| id.get().parse().ok()).is_some_and(|id: u64| self.line.state().waiting.remove(&id));
                if !ours {
                    tracing::warn!("the server answered something that was not asked");
                }
                ours
            }
        }
    }

    fn answer(&self, method: &str, id: &RawValue, params: Option<&RawValue>) {
        let params = params.unwrap_or(RawValue::NULL).to_owned();
        let work = self.answerer.answer(method.to_owned(), params);
        let (line, id) = (Arc::clone(&self.line), id.get().to_owned());
        // The lock is held while the task is entered, so that the task cannot leave the table before it is in it.
        let mut state = self.line.state();
        let task = tokio::spawn({
            let id = id.clone();
            async move {
                let outcome = work.await;
                if line.state().answering.remove(&id).is_some() {
                    reply(&line, &id, outcome).await;
                }
            }
        });
        state.answering.insert(id, task.abort_handle());
    }

    /// The server wants no answer any more. It gets one all the same, as every request does.
    fn take_back(&self, params: Option<&RawValue>) {
        #[derive(Deserialize)]
        struct Target<'a> {
            #[serde(borrow, alias = "requestId")]
            id: &'a RawValue,
        }
        let Some(Ok(Target { id })) = params.map(|params| serde_json::from_str(params.get())) else { return };
        let Some(task) = self.line.state().answering.remove(id.get()) else { return };
        task.abort();
        let (line, id) = (Arc::clone(&self.line), id.get().to_owned());
        tokio::spawn(async move {
            reply(&line, &id, Err(Unanswered { code: code::REQUEST_CANCELLED, message: "the question was taken back".into() })).await;
        });
    }
}

async fn reply<W: AsyncWrite + Unpin>(line: &Line<W>, id: &str, outcome: Result<Value, Unanswered>) {
    let body = match outcome {
        Ok(result) => format!("\"result\":{result}"),
        Err(error) => format!("\"error\":{}", serde_json::json!({ "code": error.code, "message": error.message })),
    };
    if let Err(error) = line.write(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{body}}}")).await {
        tracing::debug!(%error, "the server is gone; it gets no answer");
    }
}
