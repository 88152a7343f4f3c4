//! What a record must survive before its answer goes out.

/// What the end of a turn waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// It survives the end of the process. A power cut may cost the last moments.
    Process,
    /// It survives a power cut: the answer waits for the disk.
    Power,
}
