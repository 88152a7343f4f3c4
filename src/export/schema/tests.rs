//! The committed schemas are the ones that the types make.

use super::*;
use std::path::Path;

#[test]
fn the_schemas_in_the_repository_are_current() {
    for (name, schema) in [("export.schema.json", export_schema()), ("diagnostics.schema.json", diagnostics_schema())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
        let current = serde_json::to_string_pretty(&schema).expect("json") + "\n";
        if crate::process::variable("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &current).expect("schema/ is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "schema/{name} is out of date; update it with `UPDATE_SCHEMA=1 cargo nextest run --lib schema`");
    }
}
