//! Models within reach of this machine: what `doctor` lists, and what the error says when no model is configured.
//!
//! Invariant: only loopback is asked, no key is sent or read beyond whether it is set, and nobody is asked unless a person
//! wants to know: neither start-up nor a prompt comes here.

use crate::config::Providers;
use crate::text::shell_word;
use crate::{net, process};
use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Url;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Something that a model could be chosen from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachable {
    /// A server that answers on loopback.
    Server { name: &'static str, base_url: String, models: Vec<String> },
    /// A key in the environment, and the providers that take it; its value is not looked at.
    Key { variable: String, providers: Vec<String> },
    /// The small model inside pillion.
    #[cfg(feature = "local")]
    Local { is_fetched: bool },
}

/// A server that people run, and the port that it takes by default.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    name: &'static str,
    port: u16,
}

/// The one that has a provider of its own.
const OLLAMA: &str = "Ollama";

const CANDIDATES: [Candidate; 4] = [
    Candidate { name: OLLAMA, port: 11434 },
    Candidate { name: "LM Studio", port: 1234 },
    Candidate { name: "llama.cpp", port: 8080 },
    Candidate { name: "vLLM", port: 8000 },
];

/// As much as is read of a list of models.
const LIST_LIMIT: usize = 256 << 10;

/// Asks every known server at once, each for at most `timeout`, and looks which keys are set.
pub async fn within_reach(providers: &Providers, timeout: Duration) -> Vec<Reachable> {
    let servers = probe(&CANDIDATES, timeout).await;
    let keys = keys(providers, |variable| process::variable(variable).is_some_and(|value| !value.is_empty()));
    servers.into_iter().chain(keys).chain(local()).collect()
}

/// The one setting that chooses it.
impl fmt::Display for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { name, base_url, models } => {
                let model = models.first().map_or("<model>", String::as_str);
                write!(f, "{name} at {base_url}: ")?;
                if *name == OLLAMA {
                    write!(f, "--model {}", shell_word(&format!("ollama:{model}")))
                } else {
                    write!(f, "--model {} --base-url {base_url}", shell_word(&format!("openai:{model}")))
                }
            }
            Self::Key { variable, providers } => {
                let models: Vec<_> = providers.iter().map(|name| format!("{name}:<model>")).collect();
                write!(f, "{variable} is set: --model {}", models.join(" or "))
            }
            #[cfg(feature = "local")]
            Self::Local { is_fetched } => {
                let first = if *is_fetched { "" } else { " once `bash scripts/model.sh` in pillion's repository has fetched it" };
                write!(f, "inside pillion: --model local{first} ({})", super::local::ABOUT)
            }
        }
    }
}

fn keys(providers: &Providers, is_set: impl Fn(&str) -> bool) -> impl Iterator<Item = Reachable> {
    let mut by_variable: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, provider) in providers.iter() {
        if let Some(variable) = provider.key_variable.as_deref().filter(|variable| is_set(variable)) {
            by_variable.entry(variable).or_default().push(name.to_string());
        }
    }
    by_variable.into_iter().map(|(variable, providers)| Reachable::Key { variable: variable.to_owned(), providers })
}

/// The small model, if this pillion was built with one.
fn local() -> Option<Reachable> {
    #[cfg(feature = "local")]
    return super::local::default_model().ok().map(|path| Reachable::Local { is_fetched: path.exists() });
    #[cfg(not(feature = "local"))]
    None
}

async fn probe(candidates: &[Candidate], timeout: Duration) -> Vec<Reachable> {
    let asked = candidates.iter().map(|candidate| async move {
        let base_url = format!("http://127.0.0.1:{}/v1", candidate.port);
        let models = tokio::time::timeout(timeout, models(&base_url)).await.ok()??;
        Some(Reachable::Server { name: candidate.name, base_url, models })
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The models that a server lists; none if it is no model server (other programs like these ports too).
async fn models(base_url: &str) -> Option<Vec<String>> {
    let url = Url::parse(&format!("{base_url}/models")).ok()?;
    let response = net::client(&url).ok()?.get(url).send().await.ok()?.error_for_status().ok()?;
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.ok()?);
        if body.len() > LIST_LIMIT {
            return None;
        }
    }
    let list: Value = serde_json::from_slice(&body).ok()?;
    // An Ollama without models says null.
    let models = match list.get("data")? {
        Value::Array(models) => models.iter().filter_map(|model| model["id"].as_str().map(str::to_owned)).collect(),
        Value::Null => Vec::new(),
        _ => return None,
    };
    Some(models)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::model_server::ModelServer;

    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

    #[tokio::test]
    async fn a_server_that_lists_models_is_found_without_a_key_and_others_are_not() {
        let lists = ModelServer::auto(|exchange| async move {
            assert_eq!((exchange.method.as_str(), exchange.path.as_str()), ("GET", "/v1/models"));
            assert_eq!(exchange.header("authorization"), None);
            exchange.error(200, JSON, r#"{"object":"list","data":[{"id":"m-1"},{"id":"m-2"}]}"#).await;
        })
        .await;
        let empty = ModelServer::auto(|exchange| async move { exchange.error(200, JSON, r#"{"data":null}"#).await }).await;
        let page = ModelServer::auto(|exchange| async move { exchange.error(200, &[], "<html>").await }).await;
        let missing = ModelServer::auto(|exchange| async move { exchange.error(404, JSON, r#"{"data":[]}"#).await }).await;
        let candidates = [&lists, &empty, &page, &missing].map(|server| Candidate { name: "x", port: server.port() });
        let server = |server: &ModelServer, models: &[&str]| Reachable::Server {
            name: "x",
            base_url: server.base_url(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
        };
        assert_eq!(probe(&candidates, Duration::from_secs(10)).await, [server(&lists, &["m-1", "m-2"]), server(&empty, &[])]);
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_left_alone() {
        let mut silent = ModelServer::start().await;
        let candidates = [Candidate { name: "x", port: silent.port() }];
        assert_eq!(probe(&candidates, Duration::from_millis(50)).await, []);
        silent.next_request().await.closed_by_client().await;
    }

    #[test]
    fn each_names_the_setting_that_chooses_it() {
        let is_set = |variable: &str| ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"].contains(&variable);
        let shown: Vec<_> = keys(&Providers::default(), is_set).map(|key| key.to_string()).collect();
        let want = [
            "ANTHROPIC_API_KEY is set: --model anthropic:<model>",
            "OPENAI_API_KEY is set: --model openai:<model> or openai-responses:<model>",
            "OPENROUTER_API_KEY is set: --model openrouter:<model>",
        ];
        assert_eq!(shown, want);
        let server = |name, base_url: &str, models: &[&str]| {
            let models = models.iter().map(|model| (*model).to_owned()).collect();
            Reachable::Server { name, base_url: base_url.into(), models }.to_string()
        };
        assert_eq!(server(OLLAMA, "http://127.0.0.1:11434/v1", &["a"]), "Ollama at http://127.0.0.1:11434/v1: --model ollama:a");
        let other = "S at http://127.0.0.1:1234/v1: --model 'openai:<model>' --base-url http://127.0.0.1:1234/v1";
        assert_eq!(server("S", "http://127.0.0.1:1234/v1", &[]), other);
        let blank = "S at http://127.0.0.1:1234/v1: --model 'openai:my model; it'\\''s' --base-url http://127.0.0.1:1234/v1";
        assert_eq!(server("S", "http://127.0.0.1:1234/v1", &["my model; it's"]), blank);
        #[cfg(feature = "local")]
        for (is_fetched, needs) in [(true, "--model local (a small model"), (false, "--model local once `bash scripts/model.sh`")] {
            assert!(Reachable::Local { is_fetched }.to_string().contains(needs));
        }
    }
}
