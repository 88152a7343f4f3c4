//! What a command runs beside itself, read from its words by the table of [`super::runners`].
//!
//! Invariant: what a known runner would run and cannot be told is said to be unclear, with the text in which it stands; so no
//! rule allows it, and a rule that forbids looks for its words there.

use super::command::{Simple, quoted_words};
use super::runners::{RUNNERS, Runner, Runs};

/// So many commands inside of each other are looked at.
pub(super) const DEEPEST: usize = 8;

const NOT_SHELL: &str = "it runs code that is not a shell's";
const READS: &str = "it runs what another command writes";
const SETS: &str = "it sets variables for what it runs";
const SOMEHOW: &str = "it runs something in a way that is not understood";

/// One thing that a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The word of the command that decides what it is.
    pub(super) at: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Command(Vec<String>),
    /// For a shell.
    Text(String),
    /// A file with a program in it, and its arguments.
    File(Vec<String>),
    /// Something in this text, and why that cannot be told: "it ...".
    Unclear(String, &'static str),
    /// Something in this text, if anything.
    Perhaps(String),
    /// What it reads.
    Input(&'static str),
}

/// What the commands before this one in its pipe are, if it is in one.
pub(super) fn fed(commands: &[Simple], at: usize) -> Option<&[Simple]> {
    let first = (0..=at).rev().find(|&at| !commands[at].is_fed)?;
    (first < at).then(|| &commands[first..at])
}

/// A word in the place of words that come from elsewhere; it has the words that may be among them.
fn unknown_word(fed: Option<&[Simple]>) -> String {
    let words = fed.unwrap_or_default().iter().flat_map(|command| command.words.iter().skip(1));
    words.flat_map(|word| quoted_words(word)).fold("\0".to_owned(), |all, word| all + &word + "\0")
}

pub(super) fn is_unknown(word: &str) -> bool {
    word.contains('\0')
}

/// The words that may stand in the place of this one, if it is none itself.
pub(super) fn unknown(word: &str) -> Option<std::str::Split<'_, char>> {
    is_unknown(word).then(|| word.split('\0'))
}

/// What this command runs beside itself, if its program is there to run something or its arguments say so.
pub(super) fn runs(command: &[String], fed: Option<&[Simple]>) -> Vec<Run> {
    let Some(program) = command.first() else { return Vec::new() };
    let mut reader = Reader { words: command, fed, found: Vec::new() };
    if is_unknown(program) || program == "{}" {
        reader.unclear(0, 0, SOMEHOW);
    } else if let Some(runner) = find(RUNNERS, program.rsplit('/').next().unwrap_or(program)) {
        reader.read(runner, 1);
    } else {
        reader.any_program();
    }
    reader.found
}

fn find(runners: &'static [Runner], name: &str) -> Option<&'static Runner> {
    // An interpreter may have its version in its name, and GNU's programs a g before it where others are the system's.
    let unversioned = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let named = |name: &str| runners.iter().find(|runner| runner.names.split(' ').any(|own| own == name));
    let is_loader = name.starts_with("ld-") && name.contains(".so");
    named(name).or_else(|| named(unversioned)).or_else(|| named(name.strip_prefix('g')?)).or_else(|| named(is_loader.then_some("ld.so")?))
}

struct Reader<'c> {
    words: &'c [String],
    fed: Option<&'c [Simple]>,
    found: Vec<Run>,
}

/// What an option of a runner is followed by: the last character of its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    /// `=`
    Plain,
    /// `~`: only in the same word.
    Attached,
    /// `!`: text for a shell.
    Text,
    /// `?`: code of another language, or what else is not understood.
    Code,
    /// `&`: a setting of git's.
    Setting,
    /// `.`: a program, and everything behind it is its own.
    File,
    /// `+`: a command, up to a `;` or `+`.
    Command,
}

impl Runner {
    fn option(&self, name: &str) -> Option<Value> {
        self.options.split_ascii_whitespace().map(split).find_map(|(own, value)| (own == name).then_some(value))
    }

    /// The option that runs something and that this may be short for.
    fn running(&self, beginning: &str) -> Option<Value> {
        let runs = |value| matches!(value, Value::Text | Value::Code | Value::Setting | Value::Command);
        let mut options = self.options.split_ascii_whitespace().map(split);
        options.find_map(|(own, value)| (beginning.len() > 3 && own.starts_with(beginning) && runs(value)).then_some(value))
    }

    /// Whether each of its options must be known, since what stands behind one may be its value or the command.
    fn is_strict(&self) -> bool {
        matches!(self.runs, Runs::Command(_) | Runs::Assigned | Runs::Text(_) | Runs::Appending)
    }
}

fn split(option: &str) -> (&str, Value) {
    let (name, value) = match option.as_bytes().last() {
        Some(b'=') => (1, Value::Plain),
        Some(b'~') => (1, Value::Attached),
        Some(b'!') => (1, Value::Text),
        Some(b'?') => (1, Value::Code),
        Some(b'&') => (1, Value::Setting),
        Some(b'.') => (1, Value::File),
        Some(b'+') => (1, Value::Command),
        _ => (0, Value::None),
    };
    (&option[..option.len() - name], value)
}

impl Reader<'_> {
    fn push(&mut self, at: usize, what: What) {
        self.found.push(Run { at, what });
    }

    /// Something in the words from this one on.
    fn unclear(&mut self, at: usize, from: usize, why: &'static str) {
        let text = self.words[from.min(self.words.len())..].join(" ").replace('\0', " ");
        self.push(at, What::Unclear(text, why));
    }

    fn text(&mut self, at: usize, text: &str) {
        let what = if is_unknown(text) { What::Unclear(text.replace('\0', " "), READS) } else { What::Text(text.to_owned()) };
        self.push(at, what);
    }

    fn read(&mut self, runner: &'static Runner, from: usize) {
        let last = self.words.len() - 1;
        if matches!(runner.runs, Runs::Anything) {
            self.found.extend(self.fed.map(|_| Run { at: last, what: What::Input(READS) }));
            return self.unclear(last, from, SOMEHOW);
        }
        let (mut at, mut operands, mut are_over, mut is_sure) = (from, 0, false, true);
        // What a shell's `-c` and `-s` say of its operands.
        let (mut has_text, mut reads) = (false, false);
        while let Some(word) = self.words.get(at) {
            if is_unknown(word) && !matches!(runner.runs, Runs::Options | Runs::Make | Runs::Settings) {
                return self.unclear(last, from, READS);
            }
            if !are_over && word == "--" {
                are_over = true;
                at += 1;
                continue;
            }
            if !are_over && word.len() > 1 && word.starts_with('-') {
                has_text |= !word.starts_with("--") && word.contains('c');
                reads |= !word.starts_with("--") && word.contains('s');
                match self.option(runner, at) {
                    Some(next) => at = next,
                    None if runner.is_strict() => return self.unclear(last, from, SOMEHOW),
                    None => (at, is_sure) = (at + 1, false),
                }
                continue;
            }
            match runner.runs {
                Runs::Command(before) | Runs::Text(before) if operands < before => {}
                Runs::Assigned if is_assignment(word) => {
                    let value = word.clone();
                    self.push(at, What::Unclear(value, SETS));
                }
                Runs::Command(_) | Runs::Assigned => return self.push(at, What::Command(self.words[at..].to_vec())),
                Runs::Appending => return self.push(at, What::Command(self.appended(from, at))),
                Runs::Text(_) => return self.text(last, &self.words[at..].join(" ")),
                Runs::File | Runs::Shell if matches!(word.as_str(), "-" | "/dev/stdin" | "/dev/fd/0") => break,
                Runs::Shell if has_text => return self.text(at, &word.clone()),
                Runs::Shell if reads => break,
                Runs::File | Runs::Shell => {
                    self.push(at, What::File(self.words[at..].to_vec()));
                    if is_sure {
                        return;
                    }
                }
                Runs::Code => return self.push(at, What::Unclear(word.clone(), NOT_SHELL)),
                Runs::Within(_) if word.starts_with('+') => {}
                Runs::Within(inner) => match find(inner, word) {
                    Some(inner) => return self.read(inner, at + 1),
                    None if is_sure => return,
                    None => {}
                },
                Runs::Dashed if are_over => return self.push(at, What::Command(self.words[at..].to_vec())),
                Runs::Make => self.variable(at),
                Runs::Settings => {
                    if let Some(value) = self.words.get(at + 1).filter(|_| word.contains('.')) {
                        self.setting(at + 1, word, value);
                    }
                }
                Runs::Options if are_over => return,
                Runs::Options | Runs::Dashed | Runs::Anything => {} // The branch with the guard has taken what is left of these.
            }
            operands += 1;
            at += 1;
        }
        match runner.runs {
            Runs::Dashed if operands > 0 => self.unclear(last, from, SOMEHOW),
            Runs::Command(_) | Runs::Assigned | Runs::Text(_) | Runs::File | Runs::Shell | Runs::Dashed if self.fed.is_some() => {
                self.push(last, What::Input(READS));
            }
            _ => {}
        }
    }

    /// Reads the option that stands here; the place behind it, if it is known.
    fn option(&mut self, runner: &Runner, at: usize) -> Option<usize> {
        let word = &self.words[at];
        if let Some(value) = runner.option(word) {
            return Some(self.value(value, at, None));
        }
        if word.starts_with("--") {
            let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            return match runner.option(name).or_else(|| runner.running(name)) {
                Some(value) => Some(self.value(value, at, inline)),
                // Its value stands with it, so that it takes no other word.
                None => (inline.is_some() && !runner.is_strict()).then_some(at + 1),
            };
        }
        if word[1..].bytes().all(|byte| byte.is_ascii_digit()) && runner.option("-#").is_some() {
            return Some(at + 1);
        }
        let mut is_known = true;
        for (place, letter) in word.char_indices().skip(1) {
            match runner.option(&format!("-{letter}")) {
                Some(Value::None) => {}
                Some(Value::Attached) => return Some(at + 1),
                Some(value) => {
                    let rest = &word[place + letter.len_utf8()..];
                    return Some(self.value(value, at, (!rest.is_empty()).then_some(rest)));
                }
                None => is_known = false,
            }
        }
        is_known.then_some(at + 1)
    }

    /// What the value of an option runs; the place behind it.
    fn value(&mut self, value: Value, at: usize, inline: Option<&str>) -> usize {
        if matches!(value, Value::None | Value::Attached) {
            return at + 1;
        }
        let place = at + usize::from(inline.is_none());
        let Some(text) = inline.or_else(|| self.words.get(place).map(String::as_str)).map(str::to_owned) else { return at + 1 };
        match value {
            Value::None | Value::Attached | Value::Plain => {}
            Value::Text => self.text(place, &text),
            Value::Code => self.push(place, What::Unclear(text.replace('\0', " "), NOT_SHELL)),
            Value::Setting => {
                if let Some((name, value)) = text.split_once('=') {
                    self.setting(place, name, value);
                }
            }
            Value::File => {
                let behind = self.words.get(place + 1..).unwrap_or_default();
                self.push(place, What::File([&[text], behind].concat()));
                return self.words.len();
            }
            Value::Command => {
                let command: Vec<_> = self.words[place..].iter().take_while(|word| !matches!(word.as_str(), ";" | "+")).cloned().collect();
                let behind = place + command.len() + 1;
                let what = if inline.is_some() { What::Unclear(text, SOMEHOW) } else { What::Command(command) };
                self.push(place, what);
                return behind;
            }
        }
        place + 1
    }

    /// A setting of git's: an alias, or a name behind which a program may stand.
    fn setting(&mut self, at: usize, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if name.starts_with("alias.") {
            return match value.strip_prefix('!') {
                Some(text) => self.text(at, text),
                None => self.text(at, &format!("git {value}")),
            };
        }
        let is_harmless = ["user.", "color.", "advice.", "log.", "init.", "commit.gpgsign", "tag.gpgsign", "push.", "pull.", "fetch.prune"]
            .into_iter()
            .chain(["core.quotepath", "core.autocrlf", "core.filemode", "safe.directory", "merge.conflictstyle", "protocol.version"])
            .any(|harmless| name.starts_with(harmless));
        if !is_harmless {
            self.push(at, What::Unclear(value.trim_start_matches('!').to_owned(), SOMEHOW));
        }
    }

    /// A variable of make's: its shell, or what may be a command in a makefile.
    fn variable(&mut self, at: usize) {
        let Some((name, value)) = self.words[at].split_once('=') else { return };
        let name = name.trim_end_matches([':', '?', '+']);
        let is_shell = matches!(name, "SHELL" | ".SHELLFLAGS" | "MAKEFLAGS" | "MAKEFILES" | "MAKE") || value.contains('$');
        let what = if is_shell { What::Unclear(value.to_owned(), SOMEHOW) } else { What::Perhaps(value.to_owned()) };
        self.push(at, what);
    }

    /// The command of `xargs` with what it reads: in the place of its mark, or at the end.
    fn appended(&self, from: usize, at: usize) -> Vec<String> {
        let options = &self.words[from..at];
        let mark = options.iter().enumerate().find_map(|(at, word)| match (word.strip_prefix("-I"), word.strip_prefix("-J")) {
            (Some(""), _) | (_, Some("")) => options.get(at + 1).map(String::as_str),
            (Some(mark), _) | (_, Some(mark)) => Some(mark),
            _ if word == "-i" || word == "--replace" => Some("{}"),
            _ => word.strip_prefix("--replace=").or_else(|| word.strip_prefix("-i")),
        });
        let unknown = unknown_word(self.fed);
        let command = &self.words[at..];
        match mark {
            Some(mark) => command.iter().map(|word| if word.contains(mark) { unknown.clone() } else { word.clone() }).collect(),
            None => command.iter().cloned().chain([unknown]).collect(),
        }
    }

    /// What the arguments of a program that is in no table say.
    fn any_program(&mut self) {
        for (at, word) in self.words.iter().enumerate().skip(1) {
            let behind = || self.words[at + 1..].join(" ").replace('\0', " ");
            let what = match word.as_str() {
                "-exec" | "-execdir" | "-ok" | "-okdir" | "--exec" => What::Unclear(behind(), SOMEHOW),
                "-x" => What::Perhaps(behind()),
                _ => match word.strip_prefix("--exec=") {
                    Some(text) => What::Unclear(text.to_owned(), SOMEHOW),
                    None => continue,
                },
            };
            self.found.push(Run { at: self.words.len() - 1, what });
        }
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
