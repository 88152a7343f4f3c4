//! The words on the wire: ids, causes, records, params, results, updates. Nothing here does anything.
//!
//! RPC params and results are camelCase; diagnostic records are snake_case everywhere.

pub mod abort;
pub mod cause;
pub mod content;
pub mod diagnostics;
pub mod export;
pub mod ids;
pub mod message;
pub mod model;
pub mod params;
pub mod record;
pub mod results;
pub mod update;
