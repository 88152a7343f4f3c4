//! What every journey stands on: an editor that speaks to the real binary, and a model server that it asks.

pub mod editor;
pub(crate) mod hiding;
pub(crate) mod journey;
#[path = "../../support/model_server.rs"]
pub mod model_server;

pub use editor::{Dialect, Editor, Framing, Home};
