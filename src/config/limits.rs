//! The sizes that the wire and the answers of models hold to.

/// The sizes that the wire and the answers of models hold to, in bytes unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub header_line: usize,
    pub header_block: usize,
    pub message: usize,
    /// Levels of nested arrays and objects.
    pub nesting: usize,
    /// Requests; cancels, answers to our own questions, `shutdown` and `exit` never count.
    pub in_flight: usize,
    /// Updates waiting to be written; a result is always admitted.
    pub outbox: usize,
    pub result: usize,
    /// Tool calls in one answer of a model.
    pub answer_calls: usize,
    /// The arguments of one tool call.
    pub call: usize,
    /// What a model writes in one turn, thoughts among it.
    pub turn_text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_line: 1 << 10,
            header_block: 4 << 10,
            message: 16 << 20,
            nesting: 128,
            in_flight: 1024,
            outbox: 8 << 20,
            result: 64 << 20,
            answer_calls: 256,
            call: 4 << 20,
            turn_text: 16 << 20,
        }
    }
}
