//! The sizes that the wire holds to.

/// The sizes that the wire holds to, in bytes unless they say otherwise.
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
        }
    }
}
