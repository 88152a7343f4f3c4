//! OpenAI's Responses API: <https://platform.openai.com/docs/api-reference/responses>. It is chosen by a name of its own,
//! `openai-responses:<model>`: most servers that speak chat completions do not speak it.
//!
//! Nothing is stored at the vendor (`store: false`). Reasoning is shown where a server tells it, but no reasoning item is
//! sent back: the history does not keep the encrypted content without which the vendor takes none.

mod answer;
mod event;
mod request;
#[cfg(test)]
mod tests;

pub use answer::Responses;
