//! One rule: what it is about, and which paths or commands it fits.
//!
//! `read`, `edit` and `shell` fit everything of their kind, or what stands in brackets: a path as `.gitignore` files write
//! them, or the words of a command. `network` fits commands that are to reach the network, `tool(name)` every call of it.

use super::access::{Access, NetworkAccess};
use super::pattern;
use super::words::Words;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::path::Path;

/// A rule as it was written, and what it means.
#[derive(Debug, Clone)]
pub struct Rule {
    text: String,
    subject: Subject,
}

#[derive(Debug, Clone)]
enum Subject {
    Read(Option<Gitignore>),
    Edit(Option<Gitignore>),
    Shell(Option<Words>),
    Network,
    Tool(String),
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRule(String);

impl Rule {
    /// # Errors
    /// It is about nothing that there is, or what stands in brackets cannot be read.
    pub fn read(text: &str) -> Result<Self, BadRule> {
        if text.chars().nth(pattern::MAX_PATTERN_CHARS).is_some() {
            return Err(BadRule(pattern::TooMuch::Long.to_string()));
        }
        let bad = |why: &str| BadRule(format!("{why}; expected read, edit, shell (optionally `(pattern)`), network or tool(name)"));
        let (subject, inner) = match text.split_once('(') {
            Some((subject, rest)) => (subject, Some(rest.strip_suffix(')').ok_or_else(|| bad("unclosed bracket"))?)),
            None => (text, None),
        };
        if inner.is_some_and(|inner| inner.trim().is_empty()) {
            return Err(bad("empty brackets"));
        }
        let paths = || inner.map(paths).transpose();
        let subject = match (subject, inner) {
            ("read", _) => Subject::Read(paths()?),
            ("edit", _) => Subject::Edit(paths()?),
            ("shell", _) => Subject::Shell(inner.map(Words::read)),
            ("network", None) => Subject::Network,
            ("tool", Some(name)) => Subject::Tool(name.to_owned()),
            _ => return Err(bad("unknown rule")),
        };
        Ok(Self { text: text.to_owned(), subject })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is one of those that can only forbid or ask.
    pub fn names_a_tool(&self) -> bool {
        matches!(self.subject, Subject::Tool(_))
    }

    /// Whether it forbids or asks about this call: of a command also when what it fits may be hidden in it.
    pub(super) fn restricts(&self, tool: &str, access: &Access) -> bool {
        match (&self.subject, access) {
            (Subject::Tool(name), _) => name == tool,
            (Subject::Read(paths), Access::Read(path)) => covers(paths.as_ref(), path),
            (Subject::Edit(paths), Access::Write(write)) => fits(paths.as_ref(), &write.path),
            (Subject::Shell(None), Access::Run(_)) => true,
            (Subject::Shell(Some(words)), Access::Run(run)) => {
                words.may_be_in(&run.command) || (run.is_away() && words.by_names().may_be_in(&run.command))
            }
            (Subject::Network, Access::Run(run)) => run.network != NetworkAccess::Off,
            _ => false,
        }
    }

    pub(super) fn is_about_reading(&self) -> bool {
        matches!(self.subject, Subject::Read(_))
    }

    /// Whether nothing of this path may be read.
    pub(super) fn hides(&self, path: &Path) -> bool {
        matches!(&self.subject, Subject::Read(paths) if covers(paths.as_ref(), path))
    }

    /// Whether it lets this file be read or changed.
    pub(super) fn allows_path(&self, access: &Access) -> bool {
        match (&self.subject, access) {
            (Subject::Read(paths), Access::Read(path)) => fits(paths.as_ref(), path),
            (Subject::Edit(paths), Access::Write(write)) => fits(paths.as_ref(), &write.path),
            _ => false,
        }
    }

    pub(super) fn is_about_commands(&self) -> bool {
        matches!(self.subject, Subject::Shell(_))
    }

    /// Whether it lets this one command run, which is plain. A path in a rule is one of the workspace: it says nothing about a
    /// command that `is_away` from there.
    pub(super) fn allows_command(&self, command: &[String], is_away: bool) -> bool {
        match &self.subject {
            Subject::Shell(None) => true,
            Subject::Shell(Some(words)) => words.fit(command) && !(is_away && words.has_a_path()),
            _ => false,
        }
    }

    /// The words of commands that it is about; absent: it is about all, or about none.
    pub(super) fn words(&self) -> Option<&Words> {
        match &self.subject {
            Subject::Shell(words) => words.as_ref(),
            _ => None,
        }
    }

    pub(super) fn allows_network(&self) -> bool {
        matches!(self.subject, Subject::Network)
    }
}

fn paths(pattern: &str) -> Result<Gitignore, BadRule> {
    if pattern.starts_with('!') {
        return Err(BadRule("its path begins with !, which would turn it round; write the rule the other way".into()));
    }
    pattern::measure(pattern).map_err(|much| BadRule(format!("invalid path pattern: {much}")))?;
    let failed = |error: ignore::Error| BadRule(format!("invalid path pattern: {error}"));
    let mut builder = GitignoreBuilder::new("");
    builder.add_line(None, pattern).map_err(failed)?;
    builder.build().map_err(failed)
}

/// A directory that fits covers everything beneath it.
fn fits(paths: Option<&Gitignore>, path: &Path) -> bool {
    paths.is_none_or(|paths| !path.has_root() && paths.matched_path_or_any_parents(path, false).is_ignore())
}

/// The same for what may be a directory: `secrets/` covers `secrets` itself.
fn covers(paths: Option<&Gitignore>, path: &Path) -> bool {
    // The root of a workspace has no name that a pattern could fit.
    let is_named = !path.has_root() && !path.as_os_str().is_empty();
    paths.is_none_or(|paths| is_named && paths.matched_path_or_any_parents(path, true).is_ignore())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Invocation, RunAccess, WriteAccess};
    use std::path::PathBuf;

    fn script(text: &str) -> Access {
        Access::Run(RunAccess { command: Invocation::Script(text.into()), directory: PathBuf::new(), network: NetworkAccess::Off })
    }

    fn restricts(rule: &str, access: &Access) -> bool {
        Rule::read(rule).unwrap().restricts("a_tool", access)
    }

    #[test]
    fn paths_are_written_as_in_gitignore_files() {
        for (rule, path, fits) in [
            ("read(.env)", "a/b/.env", true),
            ("read(/.env)", "a/.env", false),
            ("read(secrets/)", "secrets/a/b", true),
            ("read(secrets/)", "secrets", true),
            ("read(secrets/)", "", false),
            ("read(*.pem)", "keys/a.pem", true),
            ("read(src/**/*.rs)", "src/a/b.rs", true),
            ("read(src/**/*.rs)", "lib/b.rs", false),
            ("read", "anything", true),
            ("edit", "anything", false),
        ] {
            assert_eq!(restricts(rule, &Access::Read(path.into())), fits, "{rule} {path}");
        }
        let write = Access::Write(WriteAccess { path: "src/a.rs".into(), protected: None });
        assert!(restricts("edit(src/)", &write) && !restricts("read(src/)", &write));
    }

    #[test]
    fn a_rule_that_forbids_is_not_got_around() {
        for text in [
            "rm -rf /",
            "/bin/rm -rf /",
            "true && rm x",
            "true; rm x",
            "ls | xargs rm",
            "sudo rm x",
            "env A=b rm x",
            "sh -c 'rm x'",
            "find . -exec rm {} +",
            "x=$(rm y)",
            "r\\m y",
            "'rm' y",
            "if true; then rm y; fi",
            "echo a > b; rm y",
            "rm",
            "alias x=rm\nx y",
            "trap 'rm x' EXIT",
            "perl -e 'system(\"rm y\")'",
            "python3 -c 'import os; os.system(\"rm y\")'",
            "awk 'BEGIN { system(\"rm y\") }'",
            "ssh host rm y",
        ] {
            assert!(restricts("shell(rm *)", &script(text)), "{text}");
        }
        for text in [
            "scripts/deploy.sh",
            "./scripts/deploy.sh now",
            "sh scripts/deploy.sh",
            "bash -x ./scripts/deploy.sh",
            "/ws/scripts/deploy.sh",
            "scripts/deploy.sh > o",
        ] {
            assert!(restricts("shell(scripts/deploy.sh *)", &script(text)), "{text}");
            assert!(restricts("shell(./scripts/deploy.sh *)", &script(text)), "{text}");
        }
        for text in [
            "timeout 5 git -C . push",
            "git -C . push 2>&1",
            "A=1 git -C . push",
            "git -c alias.p=push p",
            "git -c 'alias.p=!git push' p",
            "gi\\\nt push",
            "git submodule foreach 'git push'",
            "git rebase -x 'git push' HEAD",
            "python3.11 -c 'run(\"git push\")'",
        ] {
            assert!(restricts("shell(git push *)", &script(text)), "{text}");
        }
        assert!(restricts("shell(cargo publish *)", &script("cargo +nightly publish")));
        assert!(restricts("shell(make deploy *)", &script("make X=1 deploy")));
        let away = |text: &str, directory: &str| {
            Access::Run(RunAccess { command: Invocation::Script(text.into()), directory: directory.into(), network: NetworkAccess::Off })
        };
        for (text, directory) in [("./deploy.sh", "scripts"), ("deploy.sh", "scripts"), ("cd scripts && ./deploy.sh", "")] {
            assert!(restricts("shell(scripts/deploy.sh *)", &away(text, directory)), "{text} in {directory}");
        }
        assert!(!restricts("shell(scripts/deploy.sh *)", &away("./deploy.sh", "")));
        for text in ["taskset 1 rm x", "setpriv rm x", "find . -name x -exec rm {} +"] {
            assert!(restricts("shell(rm *)", &script(text)), "{text}");
        }
        for text in [
            "grep -c rm x",
            "tail -c 20 rm",
            "find . -name rm",
            "git commit -m 'a' -m rm",
            "cargo test -- rm",
            "git -c a=b commit -m 'stop to rm'",
        ] {
            assert!(!restricts("shell(rm *)", &script(text)), "{text}");
        }
        for text in ["git push", "git -C . push", "git -c a.b=c push", "git --no-pager --git-dir .git push -f", "/usr/bin/git -C . push"] {
            assert!(restricts("shell(git push *)", &script(text)), "{text}");
        }
        assert!(restricts("shell(git push)", &script("git -C . push -f")));
        assert!(!restricts("shell(git push)", &script("git push origin")));
        assert!(!restricts("shell(git push *)", &script("git stash push")));
        assert!(
            restricts("shell(dd if=* *)", &script("dd if=/dev/sda 2>&1")) && restricts("shell(dd if=* *)", &script("dd if=/dev/sda of=x"))
        );
        let many = format!("git {}", "-c a ".repeat(3_000));
        assert!(!restricts("shell(git push *)", &script(&many)));
        for text in ["cargo test", "git commit -m 'rm old files'", "echo rm", "ls farm"] {
            assert!(!restricts("shell(rm *)", &script(text)), "{text}");
        }
        let program = |words: &[&str]| {
            let command = Invocation::Program(words.iter().map(|word| (*word).into()).collect());
            Access::Run(RunAccess { command, directory: PathBuf::new(), network: NetworkAccess::Off })
        };
        assert!(restricts("shell(git push *)", &program(&["git", "push", "origin"])));
        assert!(!restricts("shell(git push *)", &program(&["git", "pull"])));
    }

    #[test]
    fn a_rule_that_allows_fits_the_whole_command_and_nothing_around_it() {
        let allows = |rule: &str, command: &[&str]| {
            let words: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
            Rule::read(rule).unwrap().allows_command(&words, false)
        };
        assert!(allows("shell(cargo test *)", &["cargo", "test"]));
        assert!(allows("shell(cargo test *)", &["cargo", "test", "--lib", "a"]));
        assert!(allows("shell(npm run test:*)", &["npm", "run", "test:unit"]));
        assert!(allows("shell", &["anything"]));
        assert!(!allows("shell(cargo test)", &["cargo", "test", "--config", "x"]));
        assert!(!allows("shell(cargo *)", &["sudo", "cargo", "test"]));
        assert!(!allows("shell(cargo *)", &["/tmp/cargo", "test"]));
        assert!(!allows("network", &["curl"]));
    }

    #[test]
    fn what_is_no_rule_is_told() {
        let told = |text: &str| Rule::read(text).unwrap_err().to_string();
        assert!(told("wirte(src)").starts_with("unknown rule; expected read, edit, shell (optionally"));
        assert!(told("read(src").starts_with("unclosed bracket; "));
        assert!(told("read()").starts_with("empty brackets; "));
        assert!(told("network(x)").starts_with("unknown rule; "));
        assert!(told("read(!a)").starts_with("its path begins with !"));
        let nested = format!("read({})", "{".repeat(11));
        assert_eq!(told(&nested), "invalid path pattern: its braces or brackets nest deeper than 10 levels");
        assert_eq!(told(&format!("shell({})", "a".repeat(1000))), "it is longer than 1000 characters");
    }
}
