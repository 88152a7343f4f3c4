//! What a connection leaves in the records: its beginning, before anything that names it is recorded, and its end.
//!
//! Invariant: a connection that no record names leaves nothing.

use super::envelope::Inbound;
use super::outbox::{Label, Outbox};
use super::watch::{EndReason, Evidence};
use crate::protocol::abort::{Client, RequestRef, Transport};
use crate::protocol::connection::{ClientProcess, ConnectionRecord, KnownFrom, LastMessage};
use crate::protocol::ids::ConnectionId;
use crate::provenance::{Moment, Provenance};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps the beginning of a connection.
pub type Keep = Box<dyn Fn(ConnectionRecord) + Send + Sync>;

/// The log of one connection. Clones are the same log.
#[derive(Clone)]
pub struct Logbook(Arc<Shared>);

struct Shared {
    provenance: Provenance,
    keep: Keep,
    book: Mutex<Book>,
}

struct Book {
    record: ConnectionRecord,
    is_kept: bool,
    last_read: Option<(Label, Moment)>,
    exit: Option<RequestRef>,
}

impl Logbook {
    /// A connection that begins now; `keep` gets its beginning when something of it is about to be recorded.
    pub fn begin(connection_id: ConnectionId, process: Option<ClientProcess>, provenance: Provenance, keep: Keep) -> Self {
        let record = ConnectionRecord {
            connection_id,
            // Known with the first byte, and nothing is kept before.
            transport: Transport::InProcess,
            opened_at: provenance.clock.wall_ms(),
            client: None,
            process,
            closed_at: None,
            closed_by: None,
            signal_name: None,
            last_read: None,
            last_written: None,
        };
        let book = Mutex::new(Book { record, is_kept: false, last_read: None, exit: None });
        Self(Arc::new(Shared { provenance, keep, book }))
    }

    /// The client has said who it is.
    pub(super) fn greeted(&self, client: Option<&Client>, process_id: Option<u32>) {
        let mut book = self.book();
        book.record.client = client.cloned();
        if let Some(pid) = process_id {
            book.record.process = Some(ClientProcess { pid, known_from: KnownFrom::Initialize });
        }
    }

    /// A message was read. `is_served` knows the methods that are pillion's or LSP's own.
    pub(super) fn read(&self, message: &Inbound, at: Moment, is_served: impl FnOnce(&str) -> bool) {
        let named = |method: &str| if is_served(method) { Cow::Owned(method.to_owned()) } else { "unknown".into() };
        let label = match message {
            Inbound::Request { id, method, .. } => Label { method: named(method), id: Some(id.clone()) },
            Inbound::Notification { method, .. } => Label { method: named(method), id: None },
            Inbound::Response { id, .. } => Label::response(id.clone()),
        };
        self.book().last_read = Some((label, at));
    }

    /// Something that names the connection is about to be recorded.
    pub(super) fn introduce(&self, transport: Transport) {
        let mut book = self.book();
        if !std::mem::replace(&mut book.is_kept, true) {
            book.record.transport = transport;
            let record = self.0.provenance.recorded(book.record.clone());
            drop(book);
            (self.0.keep)(record);
        }
    }

    /// `exit` came: this message.
    pub(super) fn exits(&self, request: RequestRef) {
        self.book().exit = Some(request);
    }

    /// The message that ended the connection, if one did.
    pub fn exit(&self) -> Option<RequestRef> {
        self.book().exit.clone()
    }

    /// The whole record of a connection that has ended; nothing if no record names it.
    pub fn end(&self, evidence: &Evidence, outbox: &Outbox) -> Option<ConnectionRecord> {
        let book = self.book();
        let clock = &self.0.provenance.clock;
        let told = |(label, at): (Label, Moment)| LastMessage { method: label.method.into_owned(), at: at.wall_ms(clock), id: label.id };
        let record = ConnectionRecord {
            closed_at: Some(evidence.at.wall_ms(clock)),
            closed_by: Some(evidence.reason.closed_by()),
            signal_name: if let EndReason::Signal { name, .. } = evidence.reason { Some(name.into()) } else { None },
            last_read: book.last_read.clone().map(told),
            last_written: outbox.last_written().map(|(label, at)| told((label, at.into()))),
            ..book.record.clone()
        };
        book.is_kept.then(|| self.0.provenance.recorded(record))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::connection::ConnectionEnd;
    use crate::protocol::ids::RequestId;

    fn logbook() -> (Logbook, Arc<Mutex<Vec<ConnectionRecord>>>) {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keeper = Arc::clone(&kept);
        let keep = Box::new(move |record| keeper.lock().expect("what is kept").push(record));
        let parent = ClientProcess { pid: 7, known_from: KnownFrom::Parent };
        (Logbook::begin(ConnectionId::new("conn_1"), Some(parent), Provenance::deterministic(), keep), kept)
    }

    fn eof() -> Evidence {
        Evidence { reason: EndReason::Eof, at: Moment::now() }
    }

    #[test]
    fn a_connection_that_nothing_names_leaves_nothing() {
        let (logbook, kept) = logbook();
        logbook.greeted(None, None);
        assert_eq!(logbook.end(&eof(), &Outbox::new(1)), None);
        assert_eq!(*kept.lock().expect("what is kept"), []);
    }

    #[test]
    fn a_connection_is_kept_once_and_ends_with_what_was_said_last() {
        let (logbook, kept) = logbook();
        let client = Client { name: "Editor".into(), version: None };
        logbook.greeted(Some(&client), Some(42));
        logbook.introduce(Transport::StdioLsp);
        logbook.introduce(Transport::StdioLsp);
        let named = Inbound::Request { id: RequestId::from_text("p"), method: "session/prompt".into(), params: None };
        logbook.read(&named, Moment::now(), |method| method == "session/prompt");
        let began = kept.lock().expect("what is kept").clone();
        assert_eq!(began.len(), 1);
        let process = Some(ClientProcess { pid: 42, known_from: KnownFrom::Initialize });
        assert_eq!((&began[0].client, &began[0].process, began[0].closed_at), (&Some(client), &process, None));
        let ended = logbook.end(&eof(), &Outbox::new(1)).expect("a record");
        let at = began[0].opened_at;
        let last_read = LastMessage { method: "session/prompt".into(), at, id: Some(RequestId::from_text("p")) };
        let expected =
            ConnectionRecord { closed_at: Some(at), closed_by: Some(ConnectionEnd::Eof), last_read: Some(last_read), ..began[0].clone() };
        assert_eq!(ended, expected);

        // What a client makes up is not repeated.
        let made_up = Inbound::Notification { method: "my/password-is-hunter2".into(), params: None };
        logbook.read(&made_up, Moment::now(), |method| method == "session/prompt");
        let ended = logbook.end(&eof(), &Outbox::new(1)).expect("a record");
        assert_eq!(ended.last_read.map(|message| (message.method, message.id)), Some(("unknown".into(), None)));
    }
}
