//! The export as JSON, written as a stream: never more than one record in memory, whatever the session's size.
//!
//! What is known only after everything was read (completeness, stats, the redaction report) stands at the end.

#[cfg(test)]
mod tests;

use super::error::ExportError;
use super::join::Joins;
use super::redact::{Mode, Redactor};
use super::source::Source;
use super::{ExportOptions, Sanitize};
use crate::protocol::export::{Completeness, Incident, SCHEMA, SCHEMA_VERSION, SessionInfo, Stats};
use crate::protocol::ids::{ConnectionId, SessionId};
use crate::protocol::record::Shaped;
use crate::store::{Unreadable, UnreadableRow};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// Writes the whole document, without a line end behind it.
///
/// # Errors
/// The source could not be read or the output not be written; what was written until then is no export.
pub fn write_export<S: Source, W: Write>(source: &mut S, options: &ExportOptions, out: W) -> Result<Completeness, ExportError> {
    let mode = match options.sanitize {
        Sanitize::Yes => Mode::Sanitized,
        Sanitize::No => Mode::Full,
    };
    let mut pen = Pen { out: BufWriter::new(out), redactor: Redactor::new(mode, Arc::clone(&options.known_keys)), at_start: true };
    pen.open("{")?;
    pen.field("schema", &SCHEMA)?;
    pen.field("schema_version", &SCHEMA_VERSION)?;
    pen.field("exported_at", &options.exported_at)?;
    pen.field("at_seq", &source.at_seq())?;
    pen.field("sanitized", &(options.sanitize == Sanitize::Yes))?;
    pen.name("runtime")?;
    pen.record(&options.runtime)?;
    pen.name("session")?;
    let Walked { stats, mut completeness, connections } = write_tree(source, &mut pen)?;
    // Behind all that is read, since what could not be is told in it.
    pen.name("diagnostics")?;
    write_diagnostics(source, &mut pen, connections, options.exported_at)?;
    if source.unreadable().count > 0 || source.is_ahead() {
        completeness = Completeness::Partial;
    }
    pen.field("completeness", &completeness)?;
    pen.field("stats", &stats)?;
    let report = pen.redactor.report();
    pen.name("redaction")?;
    pen.record(&report)?;
    pen.close("}")?;
    pen.out.flush().map_err(ExportError::Write)?;
    Ok(completeness)
}

/// `connections` are those that the tree names.
fn write_diagnostics<W: Write>(
    source: &mut impl Source,
    pen: &mut Pen<W>,
    mut connections: BTreeSet<ConnectionId>,
    now: u64,
) -> Result<(), ExportError> {
    let mut joins = Joins::collect(source)?;
    pen.open("{")?;
    pen.list("aborts", |pen| {
        source.aborts(&mut |abort| {
            connections.extend(abort.prompt_request.as_ref().map(|request| request.connection_id.clone()));
            connections.extend(abort.request.as_ref().map(|request| request.connection_id.clone()));
            pen.record(&joins.apply(abort))
        })
    })?;
    pen.list("cancel_requests", |pen| {
        source.cancel_requests(&mut |cancel| {
            connections.extend(cancel.request.as_ref().map(|request| request.connection_id.clone()));
            pen.record(&cancel)
        })
    })?;
    pen.list("title_generations", |pen| source.title_generations(&mut pen.each()))?;
    pen.list("stream_traces", |pen| source.stream_traces(&mut pen.each()))?;
    pen.list("tool_runs", |pen| source.tool_runs(&mut pen.each()))?;
    pen.list("turn_times", |pen| source.turn_times(&mut pen.each()))?;
    pen.list("turn_bases", |pen| source.turn_bases(&mut pen.each()))?;
    pen.list("lifecycle", |pen| source.lifecycle(&mut pen.each()))?;
    pen.list("connections", |pen| {
        for id in &connections {
            if let Some(connection) = source.connection(id)? {
                pen.record(&connection)?;
            }
        }
        Ok(())
    })?;
    pen.list("incidents", |pen| {
        source.incidents(&mut pen.each())?;
        incidents_of(source.unreadable(), now).try_for_each(|incident| pen.record(&incident))
    })?;
    pen.close("}")
}

/// The rows that this export had to pass over, as incidents that were found just now.
fn incidents_of(unreadable: &Unreadable, now: u64) -> impl Iterator<Item = Incident> + '_ {
    let name = move |row: &UnreadableRow| Incident {
        session_id: Some(row.session_id.clone()),
        name: "unreadable_row".into(),
        message: format!("a row of the store could not be read: {}", row.why),
        at: now,
        turn_id: None,
        row: Some(row.row.clone()),
        method: None,
        panicked_at: None,
        seq: None,
    };
    let more = unreadable.count - unreadable.rows.len() as u64;
    let rest = unreadable.rows.first().filter(|_| more > 0).map(move |first| Incident {
        row: Some(format!("{more} more rows")),
        message: "further rows of the store could not be read".into(),
        ..name(first)
    });
    unreadable.rows.iter().map(name).chain(rest)
}

/// What is known of the tree when it is written.
struct Walked {
    stats: Stats,
    completeness: Completeness,
    /// Those that its turns name.
    connections: BTreeSet<ConnectionId>,
}

/// Writes the sessions, each inside its parent. They come parents first, so the sessions that are still open are a stack.
fn write_tree<W: Write>(source: &mut impl Source, pen: &mut Pen<W>) -> Result<Walked, ExportError> {
    let stats = Stats { sessions: 0, turns: 0, messages: 0, parts: 0 };
    let mut walked = Walked { stats, completeness: Completeness::Complete, connections: BTreeSet::new() };
    let mut open: Vec<SessionId> = Vec::new();
    for session in source.sessions()? {
        // The root's own parent, if it has one, lies outside of what is exported.
        if walked.stats.sessions > 0 {
            while open.last().is_some_and(|last| Some(last) != session.parent_session_id.as_ref()) {
                open.pop();
                pen.close("]}")?;
            }
            if open.is_empty() {
                return Err(ExportError::Tree(session.session_id));
            }
        }
        walked.stats.sessions += 1;
        write_session(source, pen, &session, &mut walked)?;
        open.push(session.session_id);
    }
    if open.is_empty() {
        return Err(ExportError::Gone);
    }
    for _ in open {
        pen.close("]}")?;
    }
    Ok(walked)
}

/// Writes one session up to the beginning of its children.
fn write_session<W: Write>(
    source: &mut impl Source,
    pen: &mut Pen<W>,
    session: &SessionInfo,
    walked: &mut Walked,
) -> Result<(), ExportError> {
    pen.open("{")?;
    pen.name("info")?;
    pen.record(session)?;
    pen.list("turns", |pen| {
        source.turns(&session.session_id, &mut |turn| {
            walked.stats.turns += 1;
            if turn.stop.is_none() {
                walked.completeness = Completeness::Partial;
            }
            walked.connections.extend(turn.prompt_request.as_ref().map(|request| request.connection_id.clone()));
            pen.record(&turn)
        })
    })?;
    pen.list("messages", |pen| {
        source.messages(&session.session_id, &mut |message| {
            walked.stats.messages += 1;
            walked.stats.parts += message.parts.len() as u64;
            pen.record(&message)
        })
    })?;
    pen.name("children")?;
    pen.open("[")
}

/// Writes JSON piece by piece; every record goes through the redactor.
struct Pen<W: Write> {
    out: BufWriter<W>,
    redactor: Redactor,
    /// Nothing stands before the next value that a comma would have to part it from.
    at_start: bool,
}

impl<W: Write> Pen<W> {
    fn open(&mut self, bracket: &str) -> Result<(), ExportError> {
        self.part()?;
        self.at_start = true;
        self.raw(bracket)
    }

    fn close(&mut self, brackets: &str) -> Result<(), ExportError> {
        self.at_start = false;
        self.raw(brackets)
    }

    fn name(&mut self, name: &str) -> Result<(), ExportError> {
        self.value(&name)?;
        self.at_start = true;
        self.raw(":")
    }

    /// A value of ours, which needs no projection.
    fn field(&mut self, name: &str, value: &impl Serialize) -> Result<(), ExportError> {
        self.name(name)?;
        self.value(value)
    }

    fn list(&mut self, name: &str, items: impl FnOnce(&mut Self) -> Result<(), ExportError>) -> Result<(), ExportError> {
        self.name(name)?;
        self.open("[")?;
        items(self)?;
        self.close("]")
    }

    fn record<T: Shaped + Serialize>(&mut self, record: &T) -> Result<(), ExportError> {
        let projected = self.redactor.record(record).map_err(ExportError::Encode)?;
        self.value(&projected)
    }

    /// Writes each record that comes.
    fn each<T: Shaped + Serialize>(&mut self) -> impl FnMut(T) -> Result<(), ExportError> {
        |record| self.record(&record)
    }

    fn value(&mut self, value: &impl Serialize) -> Result<(), ExportError> {
        self.part()?;
        serde_json::to_writer(&mut self.out, value).map_err(|error| ExportError::Write(error.into()))
    }

    fn part(&mut self) -> Result<(), ExportError> {
        if std::mem::replace(&mut self.at_start, false) { Ok(()) } else { self.raw(",") }
    }

    fn raw(&mut self, text: &str) -> Result<(), ExportError> {
        self.out.write_all(text.as_bytes()).map_err(ExportError::Write)
    }
}
