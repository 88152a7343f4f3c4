//! How much one answer may hold.

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::said;
use crate::provider::failure::{ProtocolKind, protocol};

/// The limits of an answer, as they are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Tool calls.
    pub calls: usize,
    /// One call with its name and arguments, in bytes.
    pub call_bytes: usize,
    /// Words and thoughts, in bytes.
    pub text_bytes: usize,
}

impl AnswerLimits {
    pub(super) fn too_many_calls(self) -> Box<StreamFailure> {
        too_large(&said::with(said::TOO_MANY_CALLS, &[&self.calls]))
    }

    pub(super) fn too_long_a_call(self) -> Box<StreamFailure> {
        too_large(&said::with(said::CALL_TOO_LONG, &[&self.call_bytes]))
    }

    /// Words and thoughts are more than a turn may have.
    pub fn too_much_text(self) -> Box<StreamFailure> {
        too_large(&said::with(said::TOO_MUCH_TEXT, &[&self.text_bytes]))
    }
}

fn too_large(what: &str) -> Box<StreamFailure> {
    protocol(ProtocolKind::AnswerTooLarge, what, None, &["an answer grew beyond a limit of pillion's own"])
}
