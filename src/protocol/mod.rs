//! The words on the wire: ids, causes, records, params, results, updates. Nothing here does anything.
//!
//! RPC params and results are camelCase; diagnostic records are snake_case everywhere.

/// The version of ACP that is spoken, and of pillion's own additions; `initialize` answers with it.
pub const PROTOCOL_VERSION: u32 = 1;

pub mod abort;
pub mod cause;
pub mod connection;
pub mod content;
pub mod diagnostics;
pub mod export;
pub mod ids;
pub mod message;
pub mod mode;
pub mod model;
pub mod nesting;
pub mod params;
pub mod permission;
pub mod record;
pub mod results;
pub mod said;
pub mod tool_run;
pub mod turn;
pub mod update;
