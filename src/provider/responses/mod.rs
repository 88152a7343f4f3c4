//! OpenAI's Responses API: <https://platform.openai.com/docs/api-reference/responses>. It is chosen by a name of its own,
//! `openai-responses:<model>`: most servers that speak chat completions do not speak it.
//!
//! Nothing is stored at the vendor (`store: false`). Reasoning is shown where a server tells it, and each reasoning item goes back
//! as it came, if its thought is in it.

mod answer;
mod event;
mod request;
mod thought;
#[cfg(test)]
mod tests;

pub use answer::Responses;
