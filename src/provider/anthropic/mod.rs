//! Anthropic's Messages API: <https://platform.claude.com/docs/en/api/messages>.
//!
//! Thinking is shown where a model thinks by default, but no thinking block is sent back: the history does not keep the
//! signatures without which the vendor takes none.

mod answer;
mod event;
mod model;
mod request;
#[cfg(test)]
mod tests;

pub use answer::Messages;

use super::wire::Remote;

/// One model behind the Messages API.
pub type Anthropic = Remote<Messages>;
