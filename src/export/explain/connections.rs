//! The connections that the records name: who was at the other end, from when until when, what was said last.

use super::abort::{NO_WORDS, client};
use super::others;
use super::story::{Story, wall};
use super::turns::Turns;
use super::view::View;
use crate::protocol::connection::{ConnectionEnd, KnownFrom};
use std::collections::HashSet;

pub(super) fn tell_all(export: View<'_>, turns: &Turns<'_>, story: &mut Story) {
    let records = turns.records("aborts").chain(turns.records("cancel_requests")).chain(turns.all());
    let named: HashSet<&str> = records
        .flat_map(|record| [record.at("prompt_request"), record.at("request")])
        .filter_map(|request| request.text("connection_id"))
        .collect();
    for connection in export.at("diagnostics").list("connections") {
        if connection.text("connection_id").is_some_and(|id| named.contains(id)) {
            tell(connection, turns, story);
        }
    }
}

/// The process that served it and died, where the stop of a turn tells of that.
fn died(connection: View<'_>, turns: &Turns<'_>) -> Option<u64> {
    let id = connection.text("connection_id");
    let mut served = turns.records("aborts").filter(|abort| abort.at("prompt_request").text("connection_id") == id);
    served.find_map(|abort| abort.at("crash").number("pid"))
}

/// Whether a title that was asked for on it ended with its process.
fn served_a_dead_title(connection: View<'_>, turns: &Turns<'_>) -> bool {
    let dead: Vec<_> =
        turns.records("title_generations").filter(|title| others::has_died(*title)).filter_map(|title| title.text("turn_id")).collect();
    let id = connection.text("connection_id");
    turns
        .all()
        .any(|turn| turn.at("prompt_request").text("connection_id") == id && turn.text("turn_id").is_some_and(|turn| dead.contains(&turn)))
}

fn tell(connection: View<'_>, turns: &Turns<'_>, story: &mut Story) {
    story.head(&format!("Connection {}", connection.said("connection_id")));
    story.fact("client", &format!("{}, {}", client(connection), connection.said("transport")));
    let process = connection.at("process");
    if let Some(pid) = process.number("pid") {
        let from = match process.word("known_from") {
            Some(KnownFrom::Initialize) => "as the client said",
            Some(KnownFrom::SocketPeer) => "the other end of the socket, as the system said",
            Some(KnownFrom::Parent) => "it started pillion",
            None => NO_WORDS,
        };
        story.fact("process", &format!("{pid}: {from}"));
    }
    story.fact("opened", &wall(connection.number("opened_at")));
    story.fact("closed", &closed(connection, turns));
    for (name, field) in [("last read", "last_read"), ("last sent", "last_written")] {
        let message = connection.at(field);
        if !message.is_absent() {
            let id = message.at("id");
            let id = if id.is_absent() { String::new() } else { format!(" {}", id.value()) };
            story.fact(name, &format!("{}{id}, {}", message.said("method"), wall(message.number("at"))));
        }
    }
}

fn closed(connection: View<'_>, turns: &Turns<'_>) -> String {
    let Some(at) = connection.number("closed_at") else {
        return match died(connection, turns) {
            Some(pid) => format!("not recorded: process {pid}, which served it, died"),
            None if served_a_dead_title(connection, turns) => "not recorded: the process that served it died".into(),
            None => "not recorded: it was open when this was written, or the process that served it died".into(),
        };
    };
    let how = match connection.word("closed_by") {
        Some(ConnectionEnd::Eof) => "the client closed its end",
        Some(ConnectionEnd::Exit) => "the client said exit, after shutdown",
        Some(ConnectionEnd::ExitWithoutShutdown) => "the client said exit, without shutdown",
        Some(ConnectionEnd::FramingBroken) => "the client sent bytes that are no message",
        Some(ConnectionEnd::WriteFailed) => "the client took no more output",
        Some(ConnectionEnd::ProcessDied) => "the client's process ended",
        Some(ConnectionEnd::Signal) => "a signal ended pillion",
        Some(ConnectionEnd::Panic) => "a bug in pillion ended it",
        None => NO_WORDS,
    };
    let signal = connection.text("signal_name").map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}: {how}{signal}", wall(Some(at)))
}
