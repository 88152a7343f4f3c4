//! How much one answer may hold.

use crate::protocol::diagnostics::StreamFailure;
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
        too_large(&format!("the model asked for more than {} tool calls in one answer (limits.max_answer_calls)", self.calls))
    }

    pub(super) fn too_long_a_call(self) -> Box<StreamFailure> {
        too_large(&format!("a tool call has more than {} bytes (limits.max_call_bytes)", self.call_bytes))
    }

    /// Words and thoughts are more than a turn may have.
    pub fn too_much_text(self) -> Box<StreamFailure> {
        too_large(&format!("the model wrote more than {} bytes in one turn (limits.max_turn_text_bytes)", self.text_bytes))
    }
}

fn too_large(what: &str) -> Box<StreamFailure> {
    protocol(ProtocolKind::AnswerTooLarge, what, None, &["an answer grew beyond a limit of pillion's own"])
}
