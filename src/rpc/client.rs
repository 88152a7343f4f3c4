//! The typed client: the session API's own trait, called over any pair of pipes in JSON lines. The command line uses it
//! against the server in its own process, the tests against the real program.
//!
//! Invariant: jsonrpsee's client dies of an answer it did not ask for, of a request and of broken JSON; none of these
//! reaches it. Requests of the server are answered here, exactly once each.

#[cfg(test)]
mod tests;
mod transport;

pub use super::api::SessionApiClient;
pub use jsonrpsee::async_client::Client;
pub use jsonrpsee::core::ClientError;
pub use jsonrpsee::types::ErrorObjectOwned;
pub use jsonrpsee::types::error::INTERNAL_ERROR_CODE;

use crate::protocol::abort::Client as ClientInfo;
use futures_util::future::{BoxFuture, FutureExt};
use jsonrpsee::core::client::{ClientT, Subscription, SubscriptionClientT};
use jsonrpsee::core::params::ObjectParams;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A turn may take hours; whoever wants less cancels it. (jsonrpsee adds this to the present, so it is not the maximum.)
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Updates are never dropped: jsonrpsee ends a subscription that is this far behind.
const UPDATES_BEHIND: usize = 1 << 40;

/// Answers the server's requests, such as `session/request_permission`.
pub trait Answerer: Send + Sync + 'static {
    /// The result for one request, or why there is none. The future is dropped when the server takes its request back.
    fn answer(&self, method: String, params: Box<RawValue>) -> BoxFuture<'static, Result<Value, Unanswered>>;
}

/// Why a request of the server got no result: a JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    pub code: i32,
    pub message: String,
}

/// A connection whose server has been greeted.
pub struct Connected {
    /// Call it through [`super::api::SessionApiClient`]. Dropping it closes the server's stdin.
    pub client: Client,
    pub updates: Updates,
    /// The result of `initialize`.
    pub server: Value,
}

/// The parameters of every `session/update`, in order. When a call is answered, the updates before the answer are here.
pub struct Updates(Subscription<Box<RawValue>>);

impl Updates {
    /// The next update; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Box<RawValue>> {
        self.0.next().await?.ok()
    }

    /// The next update that is here already.
    pub fn here(&mut self) -> Option<Box<RawValue>> {
        // Without this, a task that has read many in a row would be told that there is nothing, to make it yield.
        tokio::task::coop::unconstrained(self.next()).now_or_never()?
    }
}

/// Connects and greets, in the LSP dialect: our own fields stand at the root there, where the typed results want them.
///
/// # Errors
/// The server refused `initialize`, or the pipes broke.
pub async fn connect<R, W>(read: R, write: W, info: ClientInfo, answerer: Arc<dyn Answerer>) -> Result<Connected, ClientError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (sender, receiver) = transport::over(read, write, answerer);
    let client = Client::builder()
        .request_timeout(REQUEST_TIMEOUT)
        .max_buffer_capacity_per_subscription(UPDATES_BEHIND)
        .build_with_tokio(sender, receiver);
    let updates = Updates(client.subscribe_to_method("session/update").await?);
    let mut hello = ObjectParams::new();
    hello.insert("processId", std::process::id())?;
    hello.insert("clientInfo", info)?;
    hello.insert("capabilities", json!({}))?;
    let server = client.request("initialize", hello).await?;
    client.notification("initialized", ObjectParams::new()).await?;
    Ok(Connected { client, updates, server })
}
