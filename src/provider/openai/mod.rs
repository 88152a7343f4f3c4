//! OpenAI-compatible chat completions, against any base URL (OpenAI, Ollama, llama.cpp, LM Studio, vLLM, OpenRouter ...).

mod answer;
mod calls;
mod chunk;
mod request;
#[cfg(test)]
mod tests;

pub use answer::ChatCompletions;

use super::wire::Remote;

/// Where OpenAI itself answers.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// Where an Ollama on this machine answers.
pub const OLLAMA_BASE_URL: &str = "http://127.0.0.1:11434/v1";

/// One model behind an OpenAI-compatible endpoint.
pub type OpenAi = Remote<ChatCompletions>;
