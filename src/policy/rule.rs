//! One rule: what it is about, and which paths or commands it fits.
//!
//! `read`, `edit` and `shell` fit everything of their kind, or what stands in brackets: a path as `.gitignore` files write
//! them, or the words of a command. `network` fits commands that are to reach the network, `tool(name)` every call of it.

use super::access::{Access, Invocation, NetworkAccess};
use super::command::{Script, loose_pattern, loose_words};
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

/// The words of a command, each with `*` for any characters; a last `*` alone stands for any further words.
#[derive(Debug, Clone)]
struct Words {
    words: Vec<String>,
    and_more: bool,
}

/// Why a text is no rule: "it ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRule(String);

/// Programs that run another one, which a rule that forbids must see.
const RUNNERS: &str = "sudo doas su runuser pkexec env nice ionice chrt taskset nohup timeout time xargs parallel watch setsid \
     setarch setpriv prlimit stdbuf unbuffer unshare nsenter chroot fakeroot flock script tmux screen ssh strace systemd-run command exec \
     builtin eval busybox toybox sh ash bash dash zsh ksh fish pwsh perl python ruby node nodejs deno bun npx php lua awk gawk mawk \
     tclsh expect osascript";

/// Arguments behind which stands another command.
const RUNNING_ARGUMENTS: [&str; 7] = ["-exec", "-execdir", "-ok", "-okdir", "foreach", "-x", "--exec"];

impl Rule {
    /// # Errors
    /// It is about nothing that there is, or what stands in brackets cannot be read.
    pub fn read(text: &str) -> Result<Self, BadRule> {
        let bad = |why: &str| BadRule(format!("{why}; a rule is read, edit, shell, each alone or with (pattern), network, or tool(name)"));
        let (subject, inner) = match text.split_once('(') {
            Some((subject, rest)) => (subject, Some(rest.strip_suffix(')').ok_or_else(|| bad("its bracket is not closed"))?)),
            None => (text, None),
        };
        if inner.is_some_and(|inner| inner.trim().is_empty()) {
            return Err(bad("its brackets are empty"));
        }
        let paths = || inner.map(paths).transpose();
        let subject = match (subject, inner) {
            ("read", _) => Subject::Read(paths()?),
            ("edit", _) => Subject::Edit(paths()?),
            ("shell", _) => Subject::Shell(inner.map(Words::read)),
            ("network", None) => Subject::Network,
            ("tool", Some(name)) => Subject::Tool(name.to_owned()),
            _ => return Err(bad("it is about nothing that can be done")),
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
            Subject::Shell(Some(words)) => words.fit(command) && !(is_away && words.words.iter().any(|word| word.contains('/'))),
            _ => false,
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
    let failed = |error: ignore::Error| BadRule(format!("its path is no pattern: {error}"));
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

impl Words {
    fn read(pattern: &str) -> Self {
        let mut words: Vec<_> = pattern.split_whitespace().map(str::to_owned).collect();
        let and_more = words.last().is_some_and(|word| word == "*");
        words.truncate(words.len() - usize::from(and_more));
        Self { words, and_more }
    }

    fn fit(&self, command: &[String]) -> bool {
        let enough = if self.and_more { command.len() >= self.words.len() } else { command.len() == self.words.len() };
        enough && self.words.iter().zip(command).all(|(pattern, word)| matches(pattern, word))
    }

    /// The same with the last names of its paths, for a command that starts somewhere else.
    fn by_names(&self) -> Self {
        let words = self.words.iter().map(|word| word.rsplit('/').next().unwrap_or(word).to_owned()).collect();
        Self { words, and_more: self.and_more }
    }

    fn may_be_in(&self, command: &Invocation) -> bool {
        let script = match command {
            Invocation::Program(words) => Script::Plain(vec![words.clone()]),
            Invocation::Script(text) => Script::read(text),
        };
        match (script, command) {
            (Script::Plain(commands), _) => commands.iter().any(|command| self.may_be_run_by(command)),
            (Script::Opaque(_), Invocation::Script(text)) => self.begins_in(text),
            (Script::Opaque(_), Invocation::Program(_)) => true,
        }
    }

    fn may_be_run_by(&self, command: &[String]) -> bool {
        let Some((program, arguments)) = command.split_first() else { return false };
        let name = program.rsplit('/').next().unwrap_or(program);
        // An interpreter may have its version in its name.
        let unversioned = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        let runs_another = RUNNERS.split_whitespace().any(|runner| runner == name || runner == unversioned);
        let behind =
            arguments.iter().position(|word| RUNNING_ARGUMENTS.contains(&word.as_str())).map_or(&[][..], |at| &arguments[at + 1..]);
        let by_git = arguments.iter().filter_map(|word| word.strip_prefix("alias.")?.split_once('='));
        self.fits_among_options(command)
            || (runs_another && self.begins_in(&arguments.join(" ")))
            || self.begins_in(&behind.join(" "))
            || by_git.into_iter().any(|(_, aliased)| self.begins_in(aliased) || self.begins_in(&format!("git {aliased}")))
    }

    /// Whether the pattern fits the command when options, each with a word behind it or without, are passed over: `git -C . push`
    /// pushes.
    fn fits_among_options(&self, command: &[String]) -> bool {
        // Where the next word of the pattern may stand.
        let mut ways = vec![0];
        for (at, pattern) in self.words.iter().enumerate() {
            if at > 0 {
                pass_options(command, &mut ways);
            }
            let fits = |way: &usize| {
                command.get(*way).is_some_and(|word| if at == 0 { is_program(pattern, word) } else { matches(pattern, word) })
            };
            ways = ways.into_iter().filter(fits).map(|way| way + 1).collect();
        }
        pass_options(command, &mut ways);
        if self.and_more { !ways.is_empty() } else { ways.contains(&command.len()) }
    }

    /// Whether the pattern fits what begins at any word of `text`, options passed over; what follows is not looked at.
    fn begins_in(&self, text: &str) -> bool {
        let (words, pattern) = (loose_words(text), self.words.iter().flat_map(|word| loose_pattern(word)).collect::<Vec<_>>());
        let loosely = Self { words: pattern, and_more: true };
        (0..words.len()).any(|at| loosely.fits_among_options(&words[at..]))
    }
}

/// Adds the places behind the options that stand at `ways`.
fn pass_options(command: &[String], ways: &mut Vec<usize>) {
    let mut at = 0;
    while let Some(&way) = ways.get(at) {
        // `-C dir`, `+toolchain`, `NAME=value`.
        let passed = command.get(way).map_or(0, |word| match word.as_bytes() {
            [b'-', ..] => 2,
            [b'+', ..] => 1,
            _ if word.contains('=') => 1,
            _ => 0,
        });
        for next in way + 1..=way + passed {
            if next <= command.len() && !ways.contains(&next) {
                ways.push(next);
            }
        }
        at += 1;
    }
}

/// A program by its name alone, by the end of its path, or as it was written.
fn is_program(pattern: &str, word: &str) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let name = word.rsplit('/').next().unwrap_or(word);
    matches(pattern, word)
        || matches(pattern, word.strip_prefix("./").unwrap_or(word))
        || matches(pattern, name)
        || matches(&format!("*/{pattern}"), word)
}

/// `*` is any characters, also none.
fn matches(pattern: &str, word: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = word.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{RunAccess, WriteAccess};
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
    fn a_star_is_any_characters() {
        for (pattern, word, fits) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "axbyc", true),
            ("a*b", "ab!", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(matches(pattern, word), fits, "{pattern} {word}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        let told = |text: &str| Rule::read(text).unwrap_err().to_string();
        assert!(told("wirte(src)").starts_with("it is about nothing that can be done; a rule is read, edit, shell"));
        assert!(told("read(src").starts_with("its bracket is not closed"));
        assert!(told("read()").starts_with("its brackets are empty"));
        assert!(told("network(x)").starts_with("it is about nothing"));
        assert!(told("read(!a)").starts_with("its path begins with !"));
    }
}
