//! pillion: the sidecar an editor starts to run AI coding sessions, and the flight recorder of those sessions.

pub mod build_info;
pub mod config;
pub mod net;
pub mod protocol;
pub mod provenance;
pub mod provider;
pub mod session;
pub mod telemetry;
pub mod tool;
pub mod store;
