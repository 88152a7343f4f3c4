//! What one turn is allowed before it is stopped.

/// The limits of a turn, as they are configured; zero: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Model calls; one that is made again after a failure counts once.
    pub model_calls: u64,
    /// Tool calls that the model asks for.
    pub tool_calls: u64,
    /// Tokens that the model writes, as far as its provider counts them.
    pub output_tokens: u64,
    /// Tool calls in a row with the same tool and the same input.
    pub identical_calls: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { model_calls: 100, tool_calls: 0, output_tokens: 0, identical_calls: 10 }
    }
}
