//! Model providers: one trait, one folder for each vendor protocol. A provider never lies about why its stream ended.

pub mod anthropic;
pub mod failure;
#[cfg(feature = "local")]
pub mod local;
pub mod openai;
pub mod reach;
pub mod responses;
pub mod scripted;
pub mod wire;

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use futures_util::stream::BoxStream;

/// A source of model answers.
pub trait Provider: Send + Sync {
    /// The provider's name: the first half of `provider:model`.
    fn name(&self) -> &str;

    /// The model's name: the second half.
    fn model(&self) -> &str;

    /// Both, as records name the model.
    fn full_name(&self) -> String {
        format!("{}:{}", self.name(), self.model())
    }

    /// How it names a session.
    fn titles(&self) -> TitleSupport {
        TitleSupport::Model
    }

    /// Whether the answer comes over a network, where silence may mean that nobody is there. A model in this process may
    /// take as long as it takes to load and to read.
    fn is_remote(&self) -> bool {
        true
    }

    /// Whether a request may have to wait for another one to the same server.
    fn may_queue(&self) -> bool {
        false
    }

    /// Starts one attempt. Nothing is sent before the first poll; dropping the stream closes the connection. A stream
    /// that ends without [`ModelEvent::Finish`] and without an error is a defect of the provider's implementation.
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>>;
}

/// What a provider can do for titles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TitleSupport {
    /// It is asked for one.
    Model,
    /// It is not worth asking: the prompt's first words are the title.
    Heuristic,
    /// It has none to give: title generation is `disabled`.
    None,
}

#[cfg(test)]
#[path = "../../tests/support/model_server.rs"]
pub(crate) mod model_server;
