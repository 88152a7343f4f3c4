//! Sessions: one runner each, turns that stream, and the one road on which everything stops.

pub mod demand;
pub mod editor;
pub mod error;
pub mod service;
