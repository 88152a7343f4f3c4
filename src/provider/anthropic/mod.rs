//! Anthropic's Messages API: <https://platform.claude.com/docs/en/api/messages>.
//!
//! Thinking is shown where a model thinks by default, and each block of it goes back as it came.

mod answer;
mod event;
mod model;
mod request;
mod thought;
#[cfg(test)]
mod tests;

pub use answer::Messages;

use super::wire::Remote;

/// One model behind the Messages API.
pub type Anthropic = Remote<Messages>;
