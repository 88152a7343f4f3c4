//! The turn itself: opens the session, sends the prompt, shows what comes, and stops it when something asks for that.
//!
//! Invariant: whatever stops the turn here goes to the server as a `session/cancel` that says who asked, so that the
//! record of this turn is as good as an editor's.

use super::show::{Show, Shown};
use super::signals::{Caught, Kind, Signals};
use crate::cli::exit::{Exit, is_before_the_turn, tell};
use crate::protocol::cause::{CancelMode, Initiator};
use crate::protocol::content::ContentBlock;
use crate::protocol::ids::SessionId;
use crate::protocol::params::{
    CancelParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams, WhenBusy,
};
use crate::protocol::results::PromptResult;
use crate::rpc::client::{Client, ClientError, Connected, SessionApiClient as _, Updates};
use anyhow::Context as _;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::Sleep;
use tokio_util::task::AbortOnDropHandle;

/// What to run.
pub(super) struct Order {
    pub(super) session: Session,
    pub(super) prompt: String,
    pub(super) timeout: Option<Duration>,
}

/// The session to run it in.
pub(super) enum Session {
    New {
        cwd: PathBuf,
    },
    /// The one of this directory that was used last.
    Newest {
        cwd: PathBuf,
    },
    Named {
        id: SessionId,
        /// Must be the session's own.
        cwd: Option<PathBuf>,
    },
}

/// Something that wants the turn to stop, as the cancel request will say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Signal(Caught),
    Timeout,
    /// Nobody reads stdout: the text has nowhere to go.
    ReaderGone,
}

/// Everything that can want the turn to stop.
struct Stops {
    signals: Signals,
    timeout: Option<Pin<Box<Sleep>>>,
    seen: Arc<Seen>,
}

/// What the painter has come across.
#[derive(Default)]
struct Seen {
    title: Notify,
    reader_gone: Notify,
}

/// How long the end waits for a title that is still being written.
const TITLE_WAIT: Duration = Duration::from_secs(2);

/// Runs one turn and ends the connection.
pub(super) async fn run<O, E>(connected: Connected, order: Order, show: Show<O, E>) -> anyhow::Result<Exit>
where
    O: Write + Send + 'static,
    E: Write + Send + 'static,
{
    let client = Arc::new(connected.client);
    let is_new = matches!(order.session, Session::New { .. });
    let session_id = order.session.open(&client).await?;
    let seen = Arc::<Seen>::default();
    let painter = AbortOnDropHandle::new(tokio::spawn(paint(connected.updates, show, Arc::clone(&seen))));
    let mut stops = Stops::new(order.timeout, Arc::clone(&seen))?;

    let content = vec![ContentBlock::text(order.prompt)];
    let params = PromptParams { session_id: session_id.clone(), prompt: content, when_busy: WhenBusy::Reject };
    let mut answer = std::pin::pin!({
        let client = Arc::clone(&client);
        async move { client.prompt(params).await }
    });
    let mut cancelling = None;
    let answer = loop {
        let stop = tokio::select! {
            biased;
            answer = &mut answer => break answer,
            stop = stops.next() => stop,
        };
        if cancelling.is_none() {
            let (client, params) = (Arc::clone(&client), stop.params(session_id.clone()));
            cancelling = Some(AbortOnDropHandle::new(tokio::spawn(async move { client.cancel(params).await })));
        } else if matches!(stop, Stop::Signal(Caught { kind: Kind::Interrupt, .. })) {
            tell("left without waiting; the next start of pillion closes the turn's record");
            return Ok(Exit::Cancelled);
        }
    };
    if answer.as_ref().is_ok_and(title_is_under_way) {
        tokio::select! {
            () = seen.title.notified() => {}
            () = tokio::time::sleep(TITLE_WAIT) => {}
            _ = stops.next() => {}
        }
    }
    // Nobody would look for it, and nothing is in it.
    let is_empty = is_new && matches!(&answer, Err(ClientError::Call(error)) if is_before_the_turn(error));
    let is_gone = is_empty && client.delete(SessionParams { session_id: session_id.clone() }).await.is_ok();
    // Without a client the server ends, and with it the updates.
    drop((cancelling, client));
    let mut show = painter.await.context("the output failed")??;
    show.end()?;
    match answer {
        Ok(result) => {
            show.result(&json!({ "sessionId": session_id, "result": result }))?;
            if let Some(abort) = &result.diagnostics.abort {
                tell(&abort.sentence());
            }
            Ok(Exit::of_stop(result.stop_reason))
        }
        Err(error) => {
            if let ClientError::Call(object) = &error {
                let mut last = json!({ "error": object });
                if !is_gone {
                    last["sessionId"] = json!(session_id);
                }
                show.result(&last)?;
            }
            Err(error.into())
        }
    }
}

impl Session {
    async fn open(self, client: &Client) -> anyhow::Result<SessionId> {
        let (session_id, cwd) = match self {
            Self::New { cwd } => {
                let new = client.new_session(NewSessionParams { cwd: text(cwd)?, ..NewSessionParams::default() }).await?;
                new.notices.iter().for_each(|notice| tell(notice));
                return Ok(new.session_id);
            }
            Self::Newest { cwd } => {
                let cwd = text(cwd)?;
                let list = client.list(ListSessionsParams { cwd: Some(cwd.clone()), cursor: None }).await?;
                let newest = list.sessions.into_iter().next();
                let newest = newest.with_context(|| none_in(&cwd))?;
                (newest.session_id, None)
            }
            Self::Named { id, cwd } => (id, cwd.map(text).transpose()?),
        };
        let params = OpenSessionParams { session_id: session_id.clone(), cwd, mcp_servers: Vec::new() };
        let opened = client.resume(params).await?;
        opened.notices.iter().for_each(|notice| tell(notice));
        Ok(session_id)
    }
}

impl Stop {
    fn params(self, session_id: SessionId) -> CancelParams {
        let (source, initiator, reason) = match self {
            Self::Signal(caught) => (caught.source(), caught.initiator(), caught.reason()),
            Self::Timeout => ("cli.timeout", Initiator::Program, None),
            Self::ReaderGone => ("cli.stdout_closed", Initiator::Program, None),
        };
        CancelParams { session_id, turn_id: None, source: Some(source.into()), initiator, reason, mode: CancelMode::Hard }
    }
}

impl Stops {
    fn new(timeout: Option<Duration>, seen: Arc<Seen>) -> io::Result<Self> {
        Ok(Self { signals: Signals::catch()?, timeout: timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout))), seen })
    }

    async fn next(&mut self) -> Stop {
        let timeout = async {
            match &mut self.timeout {
                Some(timeout) => timeout.await,
                None => std::future::pending().await,
            }
        };
        let stop = tokio::select! {
            caught = self.signals.next() => Stop::Signal(caught),
            () = timeout => Stop::Timeout,
            () = self.seen.reader_gone.notified() => Stop::ReaderGone,
        };
        if stop == Stop::Timeout {
            self.timeout = None;
        }
        stop
    }
}

/// Shows every update until the connection ends. A slow terminal holds up nothing but this.
async fn paint<O: Write, E: Write>(mut updates: Updates, mut show: Show<O, E>, seen: Arc<Seen>) -> io::Result<Show<O, E>> {
    while let Some(params) = updates.next().await {
        match block_in_place(|| show.update(&params)) {
            Ok(Shown::Title) => seen.title.notify_one(),
            Ok(Shown::Other) => {}
            Err(error) => {
                seen.reader_gone.notify_one();
                return Err(error);
            }
        }
    }
    Ok(show)
}

/// What is told where there is nothing to go on with.
pub(super) fn none_in(cwd: &str) -> String {
    format!("there is no session in {cwd} yet; leave out --continue to begin one")
}

fn title_is_under_way(result: &PromptResult) -> bool {
    result.diagnostics.title_generation.as_ref().is_some_and(|title| title.completed_at.is_none())
}

fn text(path: PathBuf) -> anyhow::Result<String> {
    path.into_os_string().into_string().ok().context("the directory's name is not valid UTF-8; pillion cannot keep it")
}
