//! The words of a rule about commands, and where they fit: exactly, to allow, and loosely, so that nobody gets around them.

use super::access::Invocation;
use super::command::{Script, Simple, loose_pattern, loose_words, quoted_words};
use super::runner::{self, DEEPEST, What};

/// The words of a command, each with `*` for any characters; a last `*` alone stands for any further words.
#[derive(Debug, Clone)]
pub(super) struct Words {
    words: Vec<String>,
    and_more: bool,
}

impl Words {
    pub(super) fn read(pattern: &str) -> Self {
        let mut words: Vec<_> = pattern.split_whitespace().map(str::to_owned).collect();
        let and_more = words.last().is_some_and(|word| word == "*");
        words.truncate(words.len() - usize::from(and_more));
        Self { words, and_more }
    }

    /// Whether the pattern is the whole command. Words that nobody knows yet are fitted by a last `*` alone.
    pub(super) fn fit(&self, command: &[String]) -> bool {
        let enough = if self.and_more { command.len() >= self.words.len() } else { command.len() == self.words.len() };
        enough && self.words.iter().zip(command).all(|(pattern, word)| !runner::is_unknown(word) && matches(pattern, word))
    }

    pub(super) fn has_a_path(&self) -> bool {
        self.words.iter().any(|word| word.contains('/'))
    }

    /// Whether each word of what it fits stands in it, up to this one.
    pub(super) fn spells(&self, at: usize) -> bool {
        self.words.get(..=at).is_some_and(|words| words.iter().all(|word| !word.contains('*')))
    }

    /// Whether it fits nothing but one command.
    pub(super) fn is_exact(&self) -> bool {
        !self.and_more && self.words.iter().all(|word| !word.contains('*'))
    }

    /// What it says of the command that begins at this word.
    pub(super) fn behind(&self, at: usize) -> Self {
        Self { words: self.words[at..].to_vec(), and_more: self.and_more }
    }

    /// The same with the last names of its paths, for a command that starts somewhere else.
    pub(super) fn by_names(&self) -> Self {
        let words = self.words.iter().map(|word| word.rsplit('/').next().unwrap_or(word).to_owned()).collect();
        Self { words, and_more: self.and_more }
    }

    /// Whether the command, or one that it runs, may be what the pattern fits.
    pub(super) fn may_be_in(&self, command: &Invocation) -> bool {
        match command {
            Invocation::Program(words) => self.may_be_run_by(words, None, 0),
            Invocation::Script(text) => self.may_be_run_in(text, None, 0),
        }
    }

    fn may_be_run_in(&self, text: &str, fed: Option<&[Simple]>, depth: usize) -> bool {
        let Script::Plain(commands) = Script::read(text) else { return self.begins_in(text) };
        let mut commands_and_places = commands.iter().enumerate();
        commands_and_places.any(|(at, command)| self.may_be_run_by(&command.words, runner::fed(&commands, at).or(fed), depth))
    }

    fn may_be_run_by(&self, command: &[String], fed: Option<&[Simple]>, depth: usize) -> bool {
        if depth == DEEPEST {
            return self.begins_in(&command.join(" "));
        }
        let runs = |what: &What| match what {
            What::Command(words) => self.may_be_run_by(words, fed, depth + 1),
            What::Text(text) => self.may_be_run_in(text, fed, depth + 1),
            What::File(words) => self.fits_among_options(words),
            What::Unclear(text, _) | What::Perhaps(text) => self.begins_in(text),
            What::Input(_) => fed.is_some_and(|before| before.iter().any(|command| self.begins_in(&command.words.join(" ")))),
        };
        self.fits_among_options(command) || runner::runs(command, fed).iter().any(|run| runs(&run.what))
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
            let mut next = Vec::new();
            for way in ways {
                let Some(word) = command.get(way) else { continue };
                let fits = |word: &str| if at == 0 { is_program(pattern, word) } else { matches(pattern, word) };
                match runner::unknown(word) {
                    // It stands for any number of words.
                    Some(words) if words.clone().any(fits) => next.extend([way, way + 1]),
                    None if fits(word) => next.push(way + 1),
                    _ => {}
                }
            }
            next.dedup();
            ways = next;
        }
        pass_options(command, &mut ways);
        let is_end = |way: &usize| command.get(*way..).is_some_and(|rest| rest.iter().all(|word| runner::is_unknown(word)));
        if self.and_more { !ways.is_empty() } else { ways.iter().any(is_end) }
    }

    /// Whether the pattern fits what begins at any word of `text`, options passed over; what follows is not looked at.
    fn begins_in(&self, text: &str) -> bool {
        let loosely = Self { words: self.words.iter().flat_map(|word| loose_pattern(word)).collect(), and_more: true };
        let fits_in = |words: &[String]| (0..words.len()).any(|at| loosely.fits_among_options(&words[at..]));
        fits_in(&loose_words(text)) || fits_in(&quoted_words(text))
    }
}

/// Adds the places behind the options that stand at `ways`.
fn pass_options(command: &[String], ways: &mut Vec<usize>) {
    let mut open = std::mem::take(ways);
    let Some(first) = open.iter().copied().min() else { return };
    let mut seen = vec![false; command.len() + 1 - first];
    while let Some(way) = open.pop() {
        if way > command.len() || std::mem::replace(&mut seen[way - first], true) {
            continue;
        }
        ways.push(way);
        // `-C dir`, `+toolchain`, `NAME=value`.
        let passed = command.get(way).map_or(0, |word| match word.as_bytes() {
            [b'-', ..] => 2,
            [b'+', ..] => 1,
            _ if word.contains('=') => 1,
            _ => 0,
        });
        open.extend(way + 1..=way + passed);
    }
}

/// A program by its name alone, by the end of its path, or as it was written; of a package without the version.
fn is_program(pattern: &str, word: &str) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let name = word.rsplit('/').next().unwrap_or(word);
    let package = name.find(['@', '=']).map_or(name, |at| &name[..at]);
    matches(pattern, word)
        || matches(pattern, word.strip_prefix("./").unwrap_or(word))
        || matches(pattern, name)
        || (!package.is_empty() && matches(pattern, package))
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
}
