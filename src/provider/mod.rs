//! Model providers: one trait, one file for each vendor protocol. A provider never lies about why its stream ended.

#[cfg(feature = "local")]
pub mod local;

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use futures_util::stream::BoxStream;

/// A source of model answers.
pub trait Provider: Send + Sync {
    /// The vendor protocol's name: the first half of `provider:model`.
    fn name(&self) -> &'static str;

    /// The model's name: the second half.
    fn model(&self) -> &str;

    /// Starts one attempt. Nothing is sent before the first poll; dropping the stream closes the connection. A stream
    /// that ends without [`ModelEvent::Finish`] and without an error is a defect of the provider's implementation.
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>>;
}
