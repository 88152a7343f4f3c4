//! The OpenAI-compatible provider against a server that does what real ones do, and worse.

mod answers;
mod endings;

use super::{OpenAi, OpenAiOptions, OptionsError};
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::ids::{AttemptId, MessageId};
use crate::protocol::message::{Message, Part, Role};
use crate::protocol::model::{ModelEvent, ModelRequest, Purpose};
use crate::provider::Provider;
use crate::provider::model_server::ModelServer;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use std::sync::Arc;

type Events = BoxStream<'static, Result<ModelEvent, StreamFailure>>;

const KEY: &str = "sk-canary-5f2a";

fn provider(base_url: String) -> OpenAi {
    OpenAi::new(OpenAiOptions { name: "openai", base_url, model: "m-1".into(), api_key: Some(SecretString::from(KEY)) }).unwrap()
}

fn request(messages: Vec<Message>) -> ModelRequest {
    let attempt_id = AttemptId::new("att_1");
    let messages = messages.into_iter().map(Arc::new).collect();
    ModelRequest { attempt_id, purpose: Purpose::Turn, system: "Be brief.".into(), messages, tools: Arc::default() }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { message_id: MessageId::new("msg_1"), role, created_at: 0, parts, turn_id: None, model: None }
}

fn hello() -> ModelRequest {
    request(vec![message(Role::User, vec![Part::text("Hello")])])
}

/// Starts an attempt at `server` that is polled in a task, as a turn does it; the events arrive in the returned channel.
fn ask(server: &ModelServer) -> tokio::task::JoinHandle<(Vec<ModelEvent>, Option<StreamFailure>)> {
    tokio::spawn(collect(provider(server.base_url()).stream(hello())))
}

async fn collect(mut stream: Events) -> (Vec<ModelEvent>, Option<StreamFailure>) {
    let mut events = Vec::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(event) => events.push(event),
            Err(failure) => {
                assert!(stream.next().await.is_none(), "nothing follows a failure");
                return (events, Some(failure));
            }
        }
    }
    (events, None)
}

fn said(events: &[ModelEvent]) -> String {
    events.iter().filter_map(|event| if let ModelEvent::Text(text) = event { Some(text.as_str()) } else { None }).collect()
}

#[test]
fn options_that_cannot_work_are_named() {
    let make = |base_url: &str, key: &str| {
        let options = OpenAiOptions { name: "openai", base_url: base_url.into(), model: "m".into(), api_key: Some(key.into()) };
        OpenAi::new(options).map(|provider| format!("{provider:?} {}", provider.endpoint.url))
    };
    assert_eq!(make("localhost:1234/v1", "k").unwrap_err(), OptionsError::BaseUrl);
    assert_eq!(make("", "k").unwrap_err(), OptionsError::BaseUrl);
    assert_eq!(make("https://me:secret@example.org/v1", "k").unwrap_err(), OptionsError::CredentialsInUrl);
    assert_eq!(make("https://example.org/v1", "a\nb").unwrap_err(), OptionsError::ApiKey);
    let shown = make("https://example.org/v1/", " sk-canary-5f2a\n").unwrap();
    assert!(shown.ends_with(" https://example.org/v1/chat/completions"), "{shown}");
    assert!(!shown.contains(KEY), "{shown}");
}
