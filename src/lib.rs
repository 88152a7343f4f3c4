//! pillion: the sidecar an editor starts to run AI coding sessions, and the flight recorder of those sessions.
//!
//! The rooms stand in reading order, each on its floor; a room imports only from floors below (`tests/tidy.rs`).

pub mod protocol;
pub mod text;
pub mod build_info;
pub mod config;
pub mod net;
pub mod policy;
pub mod process;
pub mod provenance;
pub mod provider;
pub mod store;
pub mod telemetry;
pub mod tool;
pub mod export;
pub mod session;
pub mod rpc;
pub mod host;
pub mod serve;
pub mod cli;
