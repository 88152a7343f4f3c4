//! What this build says of itself. `initialize`, `--version` and the export all read it here, so they cannot differ.

/// The version in `Cargo.toml` that the program was built from.
pub const fn runtime_version() -> &'static str {
    env!("PILLION_VERSION")
}

/// The commit, when the program was built in a git checkout of its own.
pub const fn commit() -> Option<&'static str> {
    option_env!("PILLION_COMMIT")
}

/// `release`, `ci` or `dev`.
pub const fn channel() -> &'static str {
    env!("PILLION_CHANNEL")
}

/// The target triple.
pub const fn target() -> &'static str {
    env!("PILLION_TARGET")
}

/// The operating system that the program runs on.
pub const fn os() -> &'static str {
    std::env::consts::OS
}

/// What `--version` prints behind the program's name: version, channel, commit if there is one, target.
pub const fn version_line() -> &'static str {
    env!("PILLION_VERSION_LINE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_stamp_is_the_checkout_that_was_built() {
        assert_eq!(runtime_version(), env!("CARGO_PKG_VERSION"));
        assert!(["dev", "ci", "release"].contains(&channel()), "{}", channel());
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let Some(commit) = commit() else {
            assert!(!root.join(".git").exists(), "a checkout names its commit");
            return;
        };
        assert_eq!((commit.len(), commit.bytes().all(|b| b.is_ascii_hexdigit())), (12, true), "{commit}");
        let known = Command::new("git").current_dir(root).args(["cat-file", "-t", commit]).output().expect("git runs");
        assert_eq!(String::from_utf8_lossy(&known.stdout).trim(), "commit");
    }

    #[test]
    fn the_version_line_has_every_part() {
        let parts: Vec<&str> = [Some(channel()), commit(), Some(target())].into_iter().flatten().collect();
        assert_eq!(version_line(), format!("{} ({})", runtime_version(), parts.join(", ")));
    }
}
