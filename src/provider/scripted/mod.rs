//! A model that follows a script: a JSON file, replayed exactly, so that a plugin can be tested without a model or a key.
//! The format is described in `docs/scripted.md`.
//!
//! Invariant: it refuses a history that a vendor would refuse, so that nobody finds out from a vendor.

mod history;
mod replay;
mod script;
#[cfg(test)]
mod tests;

pub use script::ScriptError;

use super::{Provider, TitleSupport};
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use futures_util::stream::BoxStream;
use script::Script;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// One session's way through a script: each model call of a turn takes the next step.
#[derive(Debug)]
pub struct Scripted {
    script: Arc<Script>,
    file: Arc<str>,
    /// The next step.
    next: Arc<AtomicUsize>,
}

impl Scripted {
    /// Reads a script whole.
    ///
    /// # Errors
    /// The file cannot be read, or says something that no script can say; the error names the place and what is allowed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ScriptError> {
        let path = path.as_ref();
        let script = Script::read(path)?;
        let file = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        Ok(Self { script: Arc::new(script), file: file.into(), next: Arc::default() })
    }

    /// The same script from its first step, for another session.
    pub fn from_the_start(&self) -> Self {
        Self { script: Arc::clone(&self.script), file: Arc::clone(&self.file), next: Arc::default() }
    }

    /// Whether the script has a title; if not, title generation is `disabled`.
    pub fn has_title(&self) -> bool {
        self.script.title.is_some()
    }
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    /// The file's name.
    fn model(&self) -> &str {
        &self.file
    }

    fn titles(&self) -> TitleSupport {
        if self.has_title() { TitleSupport::Model } else { TitleSupport::None }
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
        replay::open(Arc::clone(&self.script), Arc::clone(&self.file), Arc::clone(&self.next), request)
    }
}
