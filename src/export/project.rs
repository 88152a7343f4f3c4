//! A projected record: JSON whose fields stand in the order of their shape.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What is left of a record after its shape was walked.
#[derive(Debug, Clone, PartialEq)]
pub enum Projected {
    Leaf(Value),
    List(Vec<Projected>),
    Record(Vec<(&'static str, Projected)>),
}

impl Serialize for Projected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Record(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, value))),
        }
    }
}
