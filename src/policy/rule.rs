//! One rule: what it is about, and which paths or commands it fits.
//!
//! `read`, `edit` and `shell` fit everything of their kind, or what stands in brackets: a path as `.gitignore` files write
//! them, or the words of a command. `network` fits commands that are to reach the network, `tool(name)` every call of it.

use super::access::{Access, Invocation, NetworkAccess};
use super::command::{Script, loose_words};
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
const RUNNERS: [&str; 25] = [
    "sudo", "doas", "env", "nice", "ionice", "nohup", "timeout", "time", "xargs", "parallel", "watch", "setsid", "stdbuf", "unshare",
    "chroot", "command", "exec", "builtin", "eval", "busybox", "sh", "bash", "dash", "zsh", "ksh",
];

/// Arguments with which a program runs another one.
const RUNNING_ARGUMENTS: [&str; 5] = ["-exec", "-execdir", "-ok", "-okdir", "-c"];

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
            (Subject::Read(paths), Access::Read(path)) => fits(paths.as_ref(), path),
            (Subject::Edit(paths), Access::Write(write)) => fits(paths.as_ref(), &write.path),
            (Subject::Shell(None), Access::Run(_)) => true,
            (Subject::Shell(Some(words)), Access::Run(run)) => words.may_be_in(&run.command),
            (Subject::Network, Access::Run(run)) => run.network != NetworkAccess::Off,
            _ => false,
        }
    }

    /// Whether nothing of this path may be read.
    pub(super) fn hides(&self, path: &Path) -> bool {
        matches!(&self.subject, Subject::Read(paths) if fits(paths.as_ref(), path))
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

    /// Whether it lets this one command run, which is plain.
    pub(super) fn allows_command(&self, command: &[String]) -> bool {
        match &self.subject {
            Subject::Shell(None) => true,
            Subject::Shell(Some(words)) => words.fit(command),
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

    fn may_be_in(&self, command: &Invocation) -> bool {
        let script = match command {
            Invocation::Program(words) => Script::Plain(vec![words.clone()]),
            Invocation::Script(text) => Script::read(text),
        };
        match (script, command) {
            (Script::Plain(commands), _) => commands.iter().any(|command| self.may_be_run_by(command)),
            (Script::Opaque(_), Invocation::Script(text)) => self.begins_in(&loose_words(text)),
            (Script::Opaque(_), Invocation::Program(_)) => true,
        }
    }

    fn may_be_run_by(&self, command: &[String]) -> bool {
        let Some((program, arguments)) = command.split_first() else { return false };
        let name = program.rsplit('/').next().unwrap_or(program).to_owned();
        let runs_another = RUNNERS.contains(&name.as_str()) || arguments.iter().any(|word| RUNNING_ARGUMENTS.contains(&word.as_str()));
        let by_name: Vec<_> = std::iter::once(name).chain(arguments.iter().cloned()).collect();
        self.fit(command) || self.fit(&by_name) || (runs_another && self.begins_in(&loose_words(&arguments.join(" "))))
    }

    /// Whether the pattern fits what begins at any of these words; what follows is not looked at.
    fn begins_in(&self, words: &[String]) -> bool {
        (0..words.len()).any(|at| {
            let here = &words[at..];
            let name = here[0].rsplit('/').next().unwrap_or(&here[0]);
            here.len() >= self.words.len()
                && self.words.iter().enumerate().all(|(i, pattern)| matches(pattern, if i == 0 { name } else { &here[i] }))
        })
    }
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
        ] {
            assert!(restricts("shell(rm *)", &script(text)), "{text}");
        }
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
            Rule::read(rule).unwrap().allows_command(&words)
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
