//! The export: one consistent document of a session tree, sanitized by default, and the story that can be told from it.
//!
//! Invariant: what leaves sanitized has passed an allow-list; a known key leaves in neither form. The room reads through
//! [`Source`] and holds no more than one message at a time.

mod error;
mod explain;
#[cfg(test)]
mod fixture;
mod join;
mod json;
mod path;
mod placeholder;
mod project;
mod redact;
mod rules;
mod schema;
mod source;
mod stored;

pub use error::ExportError;
pub use explain::{ExplainError, Reading, explain};
pub use json::write_export;
pub use project::Projected;
pub use redact::{Mode, Redactor, sanitize_document};
pub use rules::without_secrets;
pub use schema::{diagnostics_schema, export_schema};
pub use source::{LateCancel, Sink, Source, TitleChange};

use crate::protocol::export::Runtime;
use crate::provenance::KnownKeys;
use std::sync::Arc;

/// Whether texts leave or are replaced by placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanitize {
    Yes,
    No,
}

/// What an export is made with.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    pub sanitize: Sanitize,
    /// Wall clock, milliseconds since 1970: the one thing in which two exports of a finished session differ.
    pub exported_at: u64,
    pub runtime: Runtime,
    pub known_keys: Arc<KnownKeys>,
}
