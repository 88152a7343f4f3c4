//! One connection from its first byte to the exit code: the wire, the guard, the sessions, and an orderly end.
//!
//! Invariant: whatever ends the connection stops every run with its own cause, and the process leaves within two seconds.

use crate::config::Settings;
use crate::host::Host;
use crate::protocol::abort::RequestRef;
use crate::protocol::cause::Cause;
use crate::protocol::connection::ClientProcess;
use crate::rpc::deadline;
use crate::rpc::guard::{Connection, Door, Guard, Listener};
use crate::rpc::logbook::Logbook;
use crate::rpc::lsp::{Lsp, OpenDocuments};
use crate::rpc::outbox::Outbox;
use crate::rpc::stdio::{self, Kind};
use crate::rpc::watch::{EndReason, Ending, Evidence, Interrupt, Signals};
use crate::rpc::wire::{AtEof, Terms, Wire};
use crate::session::Sessions;
use crate::session::demand::{End, Explained, Explanation};
use crate::session::service::SessionService;
use crate::tool::documents::Documents;
use crate::tool::scratch;
use crate::{build_info, process, telemetry};
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tracing::level_filters::LevelFilter;

/// When, counted from the end of the connection, the runs must have settled, the client have read, the store be closed.
/// What comes first may take the time that the later ones do not need; two seconds are never reached.
const SETTLED_BY: Duration = Duration::from_millis(1_350);
const READ_BY: Duration = Duration::from_millis(1_500);
const CLOSED_BY: Duration = Duration::from_millis(1_700);

/// The longest that a client which does not read is waited for.
const DRAIN: Duration = Duration::from_millis(400);

/// Serves the editor on stdin and stdout.
///
/// # Errors
/// The standard streams or the signals are not to be had.
pub async fn on_stdio(settings: Settings) -> std::io::Result<EndReason> {
    let interrupt = match stdio::stdin_kind() {
        Kind::Pipe | Kind::Socket => Interrupt::Ignore,
        Kind::Terminal | Kind::File => Interrupt::End,
    };
    let signals = Signals::catch(interrupt)?;
    deadline::after_signals()?;
    let raised = process::raise_limit();
    let host = Host::new(settings);
    let log = host.start_log();
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised; many sessions at once may run into it");
    }
    // Beside all else: whoever is swept after is gone.
    drop(std::thread::Builder::new().name("pillion-sweeper".into()).spawn(scratch::sweep));
    let watch = |ending: &Ending, outbox: &Outbox| {
        ending.watch_parent();
        tokio::spawn(signals.tell(ending.clone()));
        let (by_pipe, outbox) = (ending.clone(), outbox.clone());
        tokio::spawn(async move {
            stdio::stdout_gone().await;
            outbox.give_up();
            by_pipe.end_behind_last_words(EndReason::WriteFailed).await;
        });
    };
    let client = Client { door: Door::Stdio, process: stdio::client_process() };
    let reason = serve(stdio::stdin()?, stdio::stdout()?, &host, client, watch).await;
    log.flush();
    Ok(reason)
}

/// Serves a client inside this process; signals are its business.
pub async fn in_process<R, W>(read: R, write: W, settings: Settings) -> EndReason
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let host = Host::new(settings);
    let log = host.start_log();
    let client = Client { door: Door::InProcess, process: None };
    let reason = serve(read, write, &host, client, |_, _| ()).await;
    log.flush();
    reason
}

/// Who is at the other end, before it has said anything.
struct Client {
    door: Door,
    process: Option<ClientProcess>,
}

async fn serve<R, W>(read: R, write: W, host: &Host, client: Client, watch: impl FnOnce(&Ending, &Outbox)) -> EndReason
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let settings = Arc::clone(&host.parts.settings);
    let outbox = Outbox::new(settings.limits.outbox);
    let documents = Arc::new(host.parts.documents.clone());
    let (lsp, editor) = Lsp::new(documents, outbox.clone());
    let sessions = Sessions::new(host.parts.clone(), Arc::clone(&editor) as _, host.exporter());
    let service: Arc<dyn SessionService> = Arc::new(sessions.clone());
    let ending = Ending::new();
    watch(&ending, &outbox);
    let listener = Box::new(Wishes { ending: ending.clone() });
    let connection_id = host.parts.provenance.ids.connection();
    let known_keys = Arc::clone(&host.parts.provenance.keys);
    let provenance = host.parts.provenance.clone();
    let store = host.parts.store.clone();
    // If it cannot be kept, neither can what names it, and that is what is told.
    let keep = Box::new(move |record| drop(store.open_connection(record)));
    let logbook = Logbook::begin(connection_id.clone(), client.process, provenance, keep);
    let connection = Connection {
        id: connection_id,
        logbook: logbook.clone(),
        door: client.door,
        limits: settings.limits,
        version: build_info::runtime_version(),
        known_keys,
    };
    let mut guard = Guard::new(connection, service, lsp, editor, outbox.clone(), listener);
    let answered = guard.all_answered();
    let at_eof = if settings.drain { AtEof::Finish(guard.finish().boxed()) } else { AtEof::Leave };
    let receive = move |inbound, at| guard.receive(inbound, at);
    let terms = Terms { limits: &settings.limits, framing: settings.framing, at_eof };
    let wire = Wire::open(read, write, terms, outbox.clone(), ending.clone(), receive);
    let evidence = tokio::select! {
        biased;
        evidence = wire.ended() => evidence,
        never = note_beside(&sessions, &ending) => match never {},
    };
    let end = Instant::from_std(evidence.at.instant());
    let stopped = sessions.stop_all(End { explanation: explanation(&evidence, &ending), ..end_by(&evidence, logbook.exit()) });
    let settled = async {
        stopped.await;
        answered.await;
    };
    let in_time = tokio::select! {
        settled = timeout_at(end + SETTLED_BY, settled) => settled.is_ok(),
        never = note_beside(&sessions, &ending) => match never {},
    };
    let reason = ending.explained().await.reason;
    tracing::info!(?reason, "the connection ended");
    if !in_time {
        tracing::error!("not everything had settled in time; the next start closes the turns that are left");
    }
    wire.drain((end + READ_BY).duration_since(Instant::now()).min(DRAIN)).await;
    if let Some(record) = logbook.end(&Evidence { reason: reason.clone(), ..evidence }, &outbox) {
        drop(host.parts.store.close_connection(record));
    }
    if !matches!(timeout_at(end + CLOSED_BY, host.parts.store.close()).await, Ok(Ok(()))) {
        tracing::error!("the store was not closed in time");
    }
    reason
}

/// Posts what comes in beside the end; for ever.
async fn note_beside(sessions: &Sessions, ending: &Ending) -> std::convert::Infallible {
    loop {
        let (evidence, heed) = ending.beside().await;
        sessions.note(&end_by(&evidence, None), heed);
    }
}

/// The end that this evidence is; `exit` is the message of an end that is one.
fn end_by(evidence: &Evidence, exit: Option<RequestRef>) -> End {
    let cause = evidence.reason.cause();
    let is_exit = matches!(evidence.reason, EndReason::ExitAfterShutdown | EndReason::ExitWithoutShutdown);
    End { point: point(&cause), cause, request: exit.filter(|_| is_exit), requested: evidence.at.clone(), explanation: None }
}

/// What the evidence may turn out to be: a closed pipe, the death of a process.
fn explanation(evidence: &Evidence, ending: &Ending) -> Option<Explanation> {
    let (first, ending) = (evidence.clone(), ending.clone());
    let explained = async move {
        let known = ending.explained().await;
        let cause = known.reason.cause();
        (known != first).then(|| Explained { point: point(&cause), cause, at: known.at.instant() })
    };
    evidence.reason.is_closed_pipe().then(|| explained.boxed().shared())
}

/// The hop at which the end of a connection enters.
fn point(cause: &Cause) -> &'static str {
    match cause {
        Cause::ClientEof => "wire.eof",
        Cause::ClientFramingBroken => "wire.framing_broken",
        Cause::ClientWriteFailed => "wire.write_failed",
        Cause::ClientProcessDied { .. } => "process.died",
        Cause::ExitWithoutShutdown => "rpc.exit",
        Cause::ShutdownRequest => "rpc.shutdown",
        Cause::Signal { .. } => "process.signal",
        _ => "wire.ended",
    }
}

/// The editor's open texts are what the tools read.
impl OpenDocuments for Documents {
    fn open(&self, uri: &str, version: i32, text: String) {
        Self::open(self, uri, version, text);
    }

    fn change(&self, uri: &str, version: i32, text: String) {
        Self::change(self, uri, version, text);
    }

    fn close(&self, uri: &str) {
        Self::close(self, uri);
    }
}

/// What the client wants beside its sessions.
struct Wishes {
    ending: Ending,
}

impl Listener for Wishes {
    fn editor_process(&mut self, pid: u32) {
        // A client inside this process cannot outlive it, nor the other way round.
        if pid != std::process::id() {
            self.ending.watch_process(pid);
        }
    }

    fn trace(&mut self, level: &str) {
        telemetry::set_level(match level {
            "verbose" => Some(LevelFilter::DEBUG),
            "messages" => Some(LevelFilter::INFO),
            _ => None,
        });
    }
}
