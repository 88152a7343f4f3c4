//! `AGENTS.md`: what a project tells whoever works in it. It is text for the model and never policy.

use super::text::cut;
use super::workspace::{Place, Workspace};
use std::ffi::OsStr;

/// The most of the file that is taken, in bytes.
pub const MAX_AGENTS_BYTES: usize = 32 << 10;

/// The text of `AGENTS.md` in the root of the workspace; None if there is none that can be read.
pub fn agents_md(workspace: &Workspace) -> Option<String> {
    let file = workspace.file(&Place::root().join(OsStr::new("AGENTS.md"))).ok()?;
    let bytes = file.prefix(MAX_AGENTS_BYTES as u64 + 1).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    if bytes.len() <= MAX_AGENTS_BYTES {
        return Some(text.into_owned());
    }
    Some(format!("{}\n[AGENTS.md is longer; this is its beginning, {} KiB]\n", cut(&text, MAX_AGENTS_BYTES), MAX_AGENTS_BYTES >> 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_room::Room;

    #[test]
    fn a_short_one_is_taken_as_it_is() {
        let room = Room::new();
        assert_eq!(agents_md(&room.workspace), None);
        room.file("AGENTS.md", "use tabs\n");
        assert_eq!(agents_md(&room.workspace).as_deref(), Some("use tabs\n"));
    }

    #[test]
    fn a_long_one_is_cut_between_characters() {
        let room = Room::new();
        room.file("AGENTS.md", format!("a{}", "ä".repeat(MAX_AGENTS_BYTES)));
        let text = agents_md(&room.workspace).unwrap();
        let (kept, note) = text.split_once('\n').unwrap();
        assert_eq!(kept, format!("a{}", "ä".repeat(MAX_AGENTS_BYTES / 2 - 1)));
        assert_eq!(note, "[AGENTS.md is longer; this is its beginning, 32 KiB]\n");
    }

    #[test]
    fn one_that_leads_out_is_none() {
        let room = Room::new();
        std::os::unix::fs::symlink("/etc/passwd", room.path("AGENTS.md")).unwrap();
        assert_eq!(agents_md(&room.workspace), None);
    }
}
