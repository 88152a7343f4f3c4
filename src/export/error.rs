//! Why an export could not be written.

use crate::protocol::ids::SessionId;
use std::io;

/// The whole error space of writing an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The other end of a pipe going away is one of these; `io::ErrorKind` tells.
    #[error("the export could not be written: {0}")]
    Write(#[source] io::Error),
    #[error("a stored record could not be turned into JSON: {0}")]
    Encode(#[source] serde_json::Error),
    #[error("the session could not be read: {0}")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the session is not in the store any more; session/list shows the ones that are")]
    Gone,
    #[error("session {0} does not stand below its parent in the store; `pillion doctor` checks the store")]
    Tree(SessionId),
}

impl ExportError {
    /// An error of the store, as the export reports it.
    pub fn read(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Read(error.into())
    }
}
