//! pillion: the sidecar an editor starts to run AI coding sessions, and the flight recorder of those sessions.

pub mod config;
pub mod protocol;
pub mod provenance;
pub mod provider;
pub mod session;
