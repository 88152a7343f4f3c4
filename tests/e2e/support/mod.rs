//! What every journey stands on: an editor that speaks to the real binary, and a model server that it asks.

pub mod editor;
pub(crate) mod fifo;
pub(crate) mod hiding;
pub(crate) mod journey;
#[path = "../../support/model_server.rs"]
#[expect(dead_code, reason = "the provider's own tests use the rest of it")]
pub mod model_server;
pub mod process;
pub mod raw;
#[path = "../../support/resolved.rs"]
pub mod resolved;

pub use editor::{Dialect, Editor, Framing, Home};
