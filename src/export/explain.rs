//! The story of a session, told from its export: three lines for a person, and then for each stop what, who, when, how far,
//! what was lost, and whether a retry is safe.
//!
//! Invariant: it says what the document says and nothing more; what is absent is told as not recorded. Every line is
//! made safe to read in one place, [`story::Story`].

mod abort;
mod account;
mod brief;
mod connections;
mod crash;
mod others;
mod retry;
mod story;
mod streams;
#[cfg(test)]
mod tests;
mod tools;
mod turns;
mod view;

use crate::protocol::export::{SCHEMA, SCHEMA_VERSION};
use crate::protocol::nesting;
use serde_json::Value;
use story::{Story, wall};
use turns::Turns;
use view::View;

/// What stands deeper than this in a document that no parser takes is told as text. Every record lies above it.
const MAX_LEVELS: usize = 100;

/// Why a document could not be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("not a JSON document ({0}); give it the output of `pillion export`")]
    NotJson(#[source] serde_json::Error),
    #[error("not a session export (its `schema` is not \"{SCHEMA}\"); give it the output of `pillion export`")]
    NotAnExport,
    #[error(
        "this export has schema version {0}, and this pillion reads versions up to {SCHEMA_VERSION}: its records may mean \
         things that are not known here; explain it with the pillion that wrote it, or a newer one"
    )]
    Newer(u64),
}

/// How a story is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The columns of a line; only a word that is longer makes a longer one.
    pub width: usize,
    /// The one turn to tell of.
    pub turn: Option<&'a str>,
}

/// Tells the story as plain text.
///
/// # Errors
/// The document is no export, or newer than this program.
pub fn explain(json: &str, reading: Reading<'_>) -> Result<String, ExplainError> {
    let document: Value = nesting::read(json, MAX_LEVELS).map_err(ExplainError::NotJson)?;
    let export = View::new(&document);
    if export.text("schema") != Some(SCHEMA) {
        return Err(ExplainError::NotAnExport);
    }
    match export.number("schema_version") {
        None => return Err(ExplainError::NotAnExport),
        Some(version) if version > SCHEMA_VERSION => return Err(ExplainError::Newer(version)),
        Some(_) => {}
    }
    let turns = Turns::index(export, reading.turn);
    let mut story = Story::on_paper(reading.width);
    brief::tell(&turns, &mut story);
    opening(export, &mut story);
    abort::tell_all(&turns, &mut story);
    account::tell_unstopped(&turns, &mut story);
    others::tell_all(&turns, &mut story);
    connections::tell_all(export, &turns, &mut story);
    crash::tell_running(&turns, &mut story);
    Ok(story.into_text())
}

fn opening(export: View<'_>, story: &mut Story) {
    let info = export.at("session").at("info");
    story.head(&format!("Session {}", info.said("session_id")));
    if let Some(title) = info.text("title") {
        story.fact("title", &format!("\"{title}\""));
    }
    if let Some(cwd) = info.text("cwd") {
        story.fact("directory", cwd);
    }
    let runtime = export.at("runtime");
    story.fact(
        "export",
        &format!(
            "written {} by pillion {} ({}, {}); {}, {}",
            wall(export.number("exported_at")),
            runtime.said("app_version"),
            runtime.said("channel"),
            runtime.said("target"),
            match export.text("completeness") {
                None => "completeness not recorded",
                Some(completeness) => completeness,
            },
            match export.flag("sanitized") {
                Some(true) => "sanitized",
                Some(false) => "full",
                None => "sanitizing not recorded",
            },
        ),
    );
    if export.text("completeness") == Some("partial") {
        story.fact(
            "note",
            "a turn was running, its end could not be stored, or a row was unreadable when this was written: the story is not over",
        );
    }
}
