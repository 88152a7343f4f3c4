//! JSON-RPC: the only room that knows it. Bytes come in through `frame` and `envelope`, and leave through `outbox`.

pub mod api;
pub mod client;
pub mod deadline;
pub mod dialect;
pub mod editor;
pub mod envelope;
pub mod error;
pub mod frame;
pub mod guard;
mod json;
pub mod logbook;
pub mod lsp;
pub mod outbox;
pub mod stdio;
#[cfg(test)]
mod test_server;
pub mod watch;
pub mod wire;
