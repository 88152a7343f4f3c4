//! What a workspace tells whoever works in it: `AGENTS.md` for the model, `.pillion.toml` for pillion. Read when a turn
//! begins, never when the workspace is opened; the digest of both is what trust is bound to.

use super::workspace::{Place, Workspace};
use crate::text::cut;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;

/// Where a workspace tells the model something.
pub const AGENTS_FILE: &str = "AGENTS.md";

/// The most of `AGENTS.md` that is taken, in bytes.
const MAX_AGENTS_BYTES: usize = 32 << 10;

/// The most of `.pillion.toml`, in bytes; a longer one cannot be read.
const MAX_POLICY_BYTES: u64 = 64 << 10;

/// The two files, as far as they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions {
    /// For the model; text and never policy.
    pub agents: Option<String>,
    /// Absent: there is none. An error: there is one that cannot be read.
    pub policy: Option<Result<String, String>>,
    /// SHA-256 (hex) of both.
    pub digest: String,
}

impl Instructions {
    /// `policy` is the name of pillion's own file.
    pub fn of(workspace: &Workspace, policy: &str) -> Self {
        let place = |name: &str| Place::root().join(OsStr::new(name));
        let agents = workspace.file_for_pillion(&place(AGENTS_FILE)).and_then(|file| file.prefix(MAX_AGENTS_BYTES as u64 + 1)).ok();
        let policy = match workspace.file_for_pillion(&place(policy)).and_then(|file| file.whole(MAX_POLICY_BYTES)) {
            Ok(bytes) => Some(Ok(bytes)),
            Err(super::workspace::WorkspaceError::NotFound(_)) => None,
            Err(error) => Some(Err(error.to_string())),
        };
        let mut hash = Sha256::new();
        for part in [agents.as_deref(), policy.as_ref().and_then(|read| read.as_deref().ok())] {
            // The length in front keeps the two apart.
            hash.update(part.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
            hash.update(part.unwrap_or_default());
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
        Self {
            agents: agents.map(|bytes| shortened(&bytes)),
            policy: policy.map(|read| read.and_then(text)),
            digest: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Whether the model may be told what stands in `AGENTS.md`, by the rules about reading what that is or leads to. Nobody can
    /// be asked before a turn.
    pub fn may_be_told(workspace: &Workspace) -> bool {
        let place = Place::root().join(OsStr::new(AGENTS_FILE));
        workspace.file(&place).is_ok() && !workspace.is_asked_about(&place) && !workspace.is_asked_about(&workspace.ruled(&place))
    }
}

fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if bytes.len() <= MAX_AGENTS_BYTES {
        return text.into_owned();
    }
    format!("{}\n[AGENTS.md is longer; this is its beginning, {} KiB]\n", cut(&text, MAX_AGENTS_BYTES), MAX_AGENTS_BYTES >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_room::Room;

    fn of(room: &Room) -> Instructions {
        Instructions::of(&room.workspace, ".pillion.toml")
    }

    #[test]
    fn both_are_taken_as_they_are_and_the_digest_follows_each() {
        let room = Room::new();
        let none = of(&room);
        assert_eq!((&none.agents, &none.policy), (&None, &None));
        room.file("AGENTS.md", "use tabs\n");
        let one = of(&room);
        assert_eq!(one.agents.as_deref(), Some("use tabs\n"));
        room.file(".pillion.toml", "# none\n");
        let both = of(&room);
        assert_eq!(both.policy, Some(Ok("# none\n".into())));
        room.file("AGENTS.md", "use tabs!\n");
        let digests = [none.digest, one.digest, both.digest, of(&room).digest];
        assert!((0..4).all(|i| (0..i).all(|j| digests[i] != digests[j])), "{digests:?}");
    }

    #[test]
    fn what_it_leads_to_is_told_only_as_the_rules_about_reading_say() {
        let room = Room::new();
        room.file("notes/private.md", "the secret plan\n");
        let told = |deny: &[&str], ask: &[&str]| {
            room.hide(deny, ask);
            Instructions::may_be_told(&room.workspace)
        };
        std::os::unix::fs::symlink("notes/private.md", room.path("AGENTS.md")).unwrap();
        assert!(told(&[], &[]) && told(&["read(other/)", "edit"], &[]));
        for rule in ["read(notes/)", "read(private.md)", "read(AGENTS.md)", "read"] {
            assert!(!told(&[rule], &[]) && !told(&[], &[rule]), "{rule}");
        }
        std::fs::remove_file(room.path("AGENTS.md")).unwrap();
        std::fs::hard_link(room.path("notes/private.md"), room.path("AGENTS.md")).unwrap();
        assert!(!told(&["read(notes/)"], &[]) && !told(&[], &["read(notes/)"]) && told(&[], &[]));
    }

    #[test]
    fn a_long_one_is_cut_between_characters() {
        let room = Room::new();
        room.file("AGENTS.md", format!("a{}", "ä".repeat(MAX_AGENTS_BYTES)));
        let text = of(&room).agents.unwrap();
        let (kept, note) = text.split_once('\n').unwrap();
        assert_eq!(kept, format!("a{}", "ä".repeat(MAX_AGENTS_BYTES / 2 - 1)));
        assert_eq!(note, "[AGENTS.md is longer; this is its beginning, 32 KiB]\n");
    }

    #[test]
    fn what_leads_out_is_none_and_a_policy_that_cannot_be_read_is_an_error() {
        let room = Room::new();
        std::os::unix::fs::symlink("/etc/passwd", room.path("AGENTS.md")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", room.path(".pillion.toml")).unwrap();
        let found = of(&room);
        assert_eq!(found.agents, None);
        assert!(found.policy.unwrap().unwrap_err().starts_with(".pillion.toml goes through a symbolic link"));
        std::fs::remove_file(room.path(".pillion.toml")).unwrap();
        room.file(".pillion.toml", b"\xff");
        assert_eq!(of(&room).policy, Some(Err("it is not UTF-8".into())));
    }
}
