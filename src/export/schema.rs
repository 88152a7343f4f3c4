//! The JSON Schemas of the export and of the inline diagnostics, made from the record types. `schema/` holds them.

#[cfg(test)]
mod tests;

use crate::protocol::diagnostics::Diagnostics;
use crate::protocol::export::SessionExport;
use schemars::{Schema, schema_for};

/// The schema of the document that [`super::write_export`] writes.
pub fn export_schema() -> Schema {
    schema_for!(SessionExport)
}

/// The schema of the `diagnostics` that an answer carries.
pub fn diagnostics_schema() -> Schema {
    schema_for!(Diagnostics)
}
