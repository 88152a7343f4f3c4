//! Names that are written and created only if a person agrees each time: what git, a shell, an editor or pillion would obey or run.

use super::Place;
use std::ffi::OsStr;
use std::path::Path;

/// Protected wherever they stand in a path.
const NAMES: &[&str] = &[
    // git's internals
    ".git",
    "git~1",
    ".gitconfig",
    ".gitmodules",
    // pillion's own
    ".pillion",
    ".pillion.toml",
    // editors: settings that run or point at programs
    ".vscode",
    ".vscode-server",
    ".idea",
    ".vs",
    ".zed",
    ".fleet",
    ".helix",
    ".cursor",
    ".devcontainer",
    ".nvim.lua",
    ".nvimrc",
    ".lazy.lua",
    ".exrc",
    ".vim",
    ".vimrc",
    ".gvimrc",
    ".ideavimrc",
    ".emacs",
    ".emacs.d",
    ".dir-locals.el",
    ".dir-locals-2.el",
    // shells and what they read
    ".envrc",
    ".direnvrc",
    ".profile",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".bash_aliases",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".zlogout",
    ".kshrc",
    ".cshrc",
    ".tcshrc",
    ".login",
    ".logout",
    ".inputrc",
    ".ssh",
];

/// Protected as a pair: settings directories of the same programs in a home directory.
const PAIRS: &[(&str, &str)] = &[
    (".config", "pillion"),
    ("share", "pillion"),
    ("state", "pillion"),
    ("Application Support", "pillion"),
    ("Preferences", "pillion"),
    (".config", "git"),
    (".config", "fish"),
    (".config", "direnv"),
    (".config", "nvim"),
    (".config", "zed"),
    (".config", "helix"),
    (".config", "Code"),
    ("Application Support", "Code"),
];

/// Protected by how they end: workspace files of editors, and the usual name of a bare repository.
const ENDINGS: &[&str] = &[".code-workspace", ".sublime-project", ".git"];

/// Protected as a file: with it a directory of any name becomes one that git obeys.
const FILE: &str = "head";

/// The first protected name in `place`, or `.git` if the workspace itself lies in one.
pub(super) fn protected_name(root: &Path, place: &Place) -> Option<String> {
    if root.iter().any(|name| plain(name) == ".git") {
        return Some(".git".into());
    }
    let mut before = root.file_name().map(plain).unwrap_or_default();
    for name in place.names() {
        let name = plain(name);
        let alone = NAMES.contains(&name.as_str()) || ENDINGS.iter().any(|ending| name.ends_with(ending));
        if alone || PAIRS.iter().any(|(a, b)| a.eq_ignore_ascii_case(&before) && b.eq_ignore_ascii_case(&name)) {
            return Some(name);
        }
        before = name;
    }
    (before == FILE && !place.is_root()).then(|| FILE.to_uppercase())
}

/// The name as the most forgiving file system reads it: case, trailing dots and blanks, and marks without a width do
/// not count.
fn plain(name: &OsStr) -> String {
    let name: String = name
        .to_string_lossy()
        .chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .flat_map(char::to_lowercase)
        .collect();
    name.trim_end_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<String> {
        protected_name(Path::new("/home/u/ws"), &Place::relative(Path::new(path)).unwrap())
    }

    #[test]
    fn protected_names_are_found_wherever_they_stand() {
        for path in [
            ".git",
            ".git/hooks/pre-commit",
            "sub/.git/config",
            ".GIT/config",
            ".git./config",
            ".git /x",
            ".g\u{200c}it/config",
            "git~1/config",
            "x/HEAD",
            "bare.git/config",
            ".gitmodules",
            ".vscode/tasks.json",
            "a/.idea/x",
            ".nvim.lua",
            ".exrc",
            ".envrc",
            "a/b/.envrc",
            ".bashrc",
            ".zshenv",
            ".profile",
            "team.code-workspace",
            ".pillion/config.toml",
            ".config/pillion/config.toml",
            ".local/share/pillion/x.db",
            ".config/nvim/init.lua",
            "Library/Application Support/pillion/x",
            ".ssh/config",
        ] {
            assert!(found(path).is_some(), "{path}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_free() {
        for path in [
            ".gitignore",
            ".github/workflows/ci.yml",
            ".gitattributes",
            "git/config",
            "src/pillion/mod.rs",
            "vscode/x",
            "bashrc",
            ".config/x",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn the_root_counts_as_the_first_half_of_a_pair() {
        let found = |root: &str| protected_name(Path::new(root), &Place::relative(Path::new("nvim/init.lua")).unwrap());
        assert_eq!(found("/home/u/.config").as_deref(), Some("nvim"));
        assert_eq!(found("/home/u/dotfiles"), None);
    }

    #[test]
    fn a_workspace_inside_git_is_protected_as_a_whole() {
        assert_eq!(protected_name(Path::new("/repo/.git/hooks"), &Place::relative(Path::new("x")).unwrap()).as_deref(), Some(".git"));
    }
}
