//! The OpenAI-compatible provider against a server that does what real ones do, and worse.

mod answers;
mod endings;

use super::ChatCompletions;
use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::message::{Part, Role};
use crate::protocol::model::ModelEvent;
use crate::provider::Provider;
use crate::provider::model_server::{Exchange, ModelServer};
use crate::provider::wire::testing::{self, KEY, Told, class, collect, hello, message, request, said};
use futures_util::StreamExt;
use std::future::Future;

fn provider(base_url: String) -> super::OpenAi {
    testing::provider(base_url)
}

fn ask(server: &ModelServer) -> tokio::task::JoinHandle<Told> {
    testing::ask::<ChatCompletions>(server)
}

async fn fault<F: Future<Output = ()>>(treat: impl FnOnce(Exchange) -> F) -> (Vec<ModelEvent>, StreamFailure) {
    testing::fault::<ChatCompletions, F>(treat).await
}
