//! OpenAI-compatible chat completions, against any base URL (OpenAI, Ollama, llama.cpp, LM Studio, vLLM, OpenRouter ...).

mod answer;
mod chunk;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub use answer::ChatCompletions;

use super::wire::Remote;

/// One model behind an OpenAI-compatible endpoint.
pub type OpenAi = Remote<ChatCompletions>;
