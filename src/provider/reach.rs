//! Models within reach of this machine: what `doctor` lists, and what the error says when no model is configured.
//!
//! Invariant: only loopback is asked, no key is sent or read beyond whether it is set, and nobody is asked unless a person
//! wants to know: neither start-up nor a prompt comes here.

use crate::net;
use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Url;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Something that a model could be chosen from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachable {
    /// A server that answers on loopback.
    Server { name: &'static str, base_url: String, models: Vec<String> },
    /// A vendor's key in the environment; its value is not looked at.
    Key { variable: &'static str, setting: Setting },
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

const CANDIDATES: [Candidate; 4] = [
    Candidate { name: "Ollama", port: 11434 },
    Candidate { name: "LM Studio", port: 1234 },
    Candidate { name: "llama.cpp", port: 8080 },
    Candidate { name: "vLLM", port: 8000 },
];

/// Variables that hold the keys of vendors, and the setting that chooses the vendor's models.
const KEYS: [(&str, Setting); 7] = [
    ("OPENAI_API_KEY", Setting::Model("--model openai:<model> or openai-responses:<model>")),
    ("ANTHROPIC_API_KEY", Setting::Model("--model anthropic:<model>")),
    ("OPENROUTER_API_KEY", Setting::BaseUrl("https://openrouter.ai/api/v1")),
    ("MISTRAL_API_KEY", Setting::BaseUrl("https://api.mistral.ai/v1")),
    ("GROQ_API_KEY", Setting::BaseUrl("https://api.groq.com/openai/v1")),
    ("DEEPSEEK_API_KEY", Setting::BaseUrl("https://api.deepseek.com/v1")),
    ("XAI_API_KEY", Setting::BaseUrl("https://api.x.ai/v1")),
];

/// How a vendor whose key is set is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// By the name of a model alone.
    Model(&'static str),
    /// As a server that speaks OpenAI's chat completions at this address.
    BaseUrl(&'static str),
}

/// As much as is read of a list of models.
const LIST_LIMIT: usize = 256 << 10;

/// Asks every known server at once, each for at most `timeout`, and looks which keys are set.
pub async fn within_reach(timeout: Duration) -> Vec<Reachable> {
    let servers = probe(&CANDIDATES, timeout).await;
    let keys = keys(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()));
    servers.into_iter().chain(keys).chain(local()).collect()
}

/// The one setting that chooses it.
impl fmt::Display for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { name, base_url, models } => {
                let model = models.first().map_or("<model>", String::as_str);
                write!(f, "{name} at {base_url}: ")?;
                if base_url == super::openai::OLLAMA_BASE_URL {
                    write!(f, "--model ollama:{model}")
                } else {
                    write!(f, "--model openai:{model} --base-url {base_url}")
                }
            }
            Self::Key { variable, setting: Setting::Model(setting) } => write!(f, "{variable} is set: {setting}"),
            Self::Key { variable, setting: Setting::BaseUrl(base_url) } => {
                write!(f, "{variable} is set: --model openai:<model> --base-url {base_url}, with the key in PILLION_API_KEY")
            }
            #[cfg(feature = "local")]
            Self::Local { is_fetched } => {
                let first = if *is_fetched { "" } else { " once `bash scripts/model.sh` in pillion's repository has fetched it" };
                write!(f, "inside pillion: --model local{first} ({})", super::local::ABOUT)
            }
        }
    }
}

fn keys(is_set: impl Fn(&str) -> bool) -> impl Iterator<Item = Reachable> {
    KEYS.into_iter().filter(move |(variable, _)| is_set(variable)).map(|(variable, setting)| Reachable::Key { variable, setting })
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
        let shown: Vec<_> = keys(|variable| variable.starts_with(['A', 'O'])).map(|key| key.to_string()).collect();
        let router = "--model openai:<model> --base-url https://openrouter.ai/api/v1, with the key in PILLION_API_KEY";
        let want = [
            "OPENAI_API_KEY is set: --model openai:<model> or openai-responses:<model>",
            "ANTHROPIC_API_KEY is set: --model anthropic:<model>",
            &format!("OPENROUTER_API_KEY is set: {router}"),
        ];
        assert_eq!(shown, want);
        let server = |base_url: &str, models: &[&str]| {
            let models = models.iter().map(|model| (*model).to_owned()).collect();
            Reachable::Server { name: "S", base_url: base_url.into(), models }.to_string()
        };
        assert_eq!(server("http://127.0.0.1:11434/v1", &["a"]), "S at http://127.0.0.1:11434/v1: --model ollama:a");
        let other = "S at http://127.0.0.1:1234/v1: --model openai:<model> --base-url http://127.0.0.1:1234/v1";
        assert_eq!(server("http://127.0.0.1:1234/v1", &[]), other);
        #[cfg(feature = "local")]
        for (is_fetched, needs) in [(true, "--model local (a small model"), (false, "--model local once `bash scripts/model.sh`")] {
            assert!(Reachable::Local { is_fetched }.to_string().contains(needs));
        }
    }
}
