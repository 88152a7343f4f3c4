//! Shell text as far as it can be understood without running it: plain words, joined by `&&`, `||`, `;`, `|` and line ends.
//!
//! Invariant: what is called plain is split exactly as `/bin/sh` splits it; whatever else a shell could make of a text is
//! opaque, with the reason, and nobody's rule allows it.

/// The most commands of one text; with more it is opaque.
pub(super) const MAX_COMMANDS: usize = 50;

/// What a text means to a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Script {
    Plain(Vec<Simple>),
    Opaque(&'static str),
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) words: Vec<String>,
    /// Whether it reads what the one before it writes.
    pub(super) is_fed: bool,
}

/// Words with which a shell begins something else than a command.
const RESERVED: [&str; 22] = [
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "function", "select", "time",
    "coproc", "[[", "]]", "!", "{", "}",
];

/// Commands of the shell's own behind which other words mean something else, or run later.
const TURNING: [&str; 17] = [
    "alias", "unalias", "trap", ".", "source", "eval", "hash", "enable", "set", "export", "readonly", "declare", "typeset", "local",
    "read", "unset", "getopts",
];

impl Script {
    pub(super) fn read(text: &str) -> Self {
        match (Reader { rest: text.chars().peekable(), commands: Vec::new(), words: Vec::new(), is_fed: false }).read() {
            Ok(commands) if commands.is_empty() => Self::Opaque("it is empty"),
            Ok(commands) => Self::Plain(commands),
            Err(why) => Self::Opaque(why),
        }
    }
}

/// Whatever could be a word of a command somewhere in `text`: for rules that must not be got around.
pub(super) fn loose_words(text: &str) -> Vec<String> {
    split_loosely(text, |_| false)
}

/// The same as another language, or `printf`, would have them: `["git", 'push']`, `rm\n`.
pub(super) fn quoted_words(text: &str) -> Vec<String> {
    let apart = ["\\n", "\\t", "\\r", ",", "'", "\""].into_iter().fold(text.to_owned(), |text, sign| text.replace(sign, " "));
    let mut words = loose_words(&apart);
    words.retain(|word| !matches!(word.as_str(), "." | ".." | "+"));
    words
}

/// A pattern of a rule in the same words.
pub(super) fn loose_pattern(pattern: &str) -> Vec<String> {
    split_loosely(pattern, |c| c == '*')
}

fn split_loosely(text: &str, also: impl Fn(char) -> bool) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '+' | '@' | '%' | ',') || also(c);
    // Quotes and backslashes inside of a word vanish in a shell: `r\m` and `r"m"` run rm.
    let text: String = text.replace("\\\n", "").chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

struct Reader<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    commands: Vec<Simple>,
    words: Vec<String>,
    /// Whether the command that is being read stands behind a `|`.
    is_fed: bool,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Vec<Simple>, &'static str> {
        // Whether a command must follow: `a &&` alone is no text.
        let mut wanted = false;
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' => drop(self.rest.next()),
                '\n' | ';' => {
                    self.rest.next();
                    if wanted && self.words.is_empty() && c == ';' || c == ';' && self.words.is_empty() {
                        return Err("a command is missing before `;`");
                    }
                    if !self.words.is_empty() {
                        self.command()?;
                        wanted = false;
                    }
                }
                '&' | '|' => {
                    self.rest.next();
                    let is_doubled = self.rest.next_if_eq(&c).is_some();
                    if !is_doubled && c == '&' {
                        return Err("it runs something in the background");
                    }
                    if self.words.is_empty() || self.rest.peek() == Some(&'&') {
                        return Err("its `&` or `|` stands where none can be understood");
                    }
                    self.command()?;
                    self.is_fed = !is_doubled;
                    wanted = true;
                }
                _ => {
                    let word = self.word()?;
                    self.words.push(word);
                }
            }
        }
        if self.words.is_empty() && wanted {
            return Err("a command is missing at its end");
        }
        if !self.words.is_empty() {
            self.command()?;
        }
        Ok(self.commands)
    }

    fn command(&mut self) -> Result<(), &'static str> {
        let words = std::mem::take(&mut self.words);
        let first = words.first().map_or("", String::as_str);
        if RESERVED.contains(&first) {
            return Err("it has the words of a shell program");
        }
        if TURNING.contains(&first) {
            return Err("it changes what a shell makes of other words");
        }
        if first.contains('=') {
            return Err("it sets variables");
        }
        if self.commands.len() == MAX_COMMANDS {
            return Err("it has too many commands");
        }
        self.commands.push(Simple { words, is_fed: std::mem::take(&mut self.is_fed) });
        Ok(())
    }

    fn word(&mut self) -> Result<String, &'static str> {
        let mut word = String::new();
        let mut begun = false;
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' => break,
                '\'' => {
                    self.rest.next();
                    loop {
                        match self.rest.next() {
                            Some('\'') => break,
                            Some(c) if c.is_control() && c != '\n' && c != '\t' => return Err("it has control characters"),
                            Some(c) => word.push(c),
                            None => return Err("a quote is not closed"),
                        }
                    }
                }
                '"' => {
                    self.rest.next();
                    loop {
                        match self.rest.next() {
                            Some('"') => break,
                            Some('$' | '`' | '\\' | '!') => return Err("it has substitutions"),
                            Some(c) if c.is_control() && c != '\n' && c != '\t' => return Err("it has control characters"),
                            Some(c) => word.push(c),
                            None => return Err("a quote is not closed"),
                        }
                    }
                }
                '\\' => {
                    self.rest.next();
                    match self.rest.next() {
                        Some(c) if !c.is_control() => word.push(c),
                        _ => return Err("a line goes on behind a backslash"),
                    }
                }
                '$' | '`' => return Err("it has substitutions"),
                '<' | '>' => return Err("it redirects input or output"),
                // With nothing in them they are no braces, but what `find` and others put a name in the place of.
                '{' if !self.words.is_empty() => match self.rest.nth(1) {
                    Some('}') => word.push_str("{}"),
                    _ => return Err("it groups commands or braces"),
                },
                '(' | ')' | '{' | '}' => return Err("it groups commands or braces"),
                '*' | '?' | '[' | ']' => return Err("it has patterns that stand for file names"),
                '~' | '#' | '!' | '^' if !begun => return Err("it begins a word with a sign that means something to shells"),
                c if c.is_control() || (c.is_whitespace() && !c.is_ascii()) => return Err("it has characters that cannot be seen"),
                c => {
                    self.rest.next();
                    word.push(c);
                }
            }
            begun = true;
        }
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    fn plain(text: &str) -> Vec<Vec<String>> {
        match Script::read(text) {
            Script::Plain(commands) => commands.into_iter().map(|command| command.words).collect(),
            Script::Opaque(why) => panic!("{text:?} is opaque: {why}"),
        }
    }

    #[test]
    fn plain_commands_are_split_into_their_words() {
        assert_eq!(plain("cargo test --lib"), [["cargo", "test", "--lib"]]);
        assert_eq!(plain("a b && c || d; e | f\ng"), [vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"], vec!["f"], vec!["g"]]);
        assert_eq!(plain(r#"git commit -m "two words" 'a $b' c\ d"#), [["git", "commit", "-m", "two words", "a $b", "c d"]]);
        assert_eq!(plain("a;b;\n"), [["a"], ["b"]]);
        assert_eq!(plain("npm run x=y a#b a~b"), [["npm", "run", "x=y", "a#b", "a~b"]]);
        assert_eq!(plain("''"), [[""]]);
        assert_eq!(plain("find . -exec wc {} \\;"), [["find", ".", "-exec", "wc", "{}", ";"]]);
        assert_eq!(plain("xargs -I{} cp {} a/{}.b"), [["xargs", "-I{}", "cp", "{}", "a/{}.b"]]);
    }

    #[test]
    fn a_command_is_fed_by_a_pipe_and_by_nothing_else() {
        let Script::Plain(commands) = Script::read("a | b || c | d\ne; f && g |\n h") else { panic!("it is plain") };
        assert_eq!(
            commands.iter().map(|command| command.is_fed).collect::<Vec<_>>(),
            [false, true, false, true, false, false, false, true]
        );
    }

    #[test]
    fn what_is_not_understood_is_opaque() {
        for text in [
            "echo $HOME",
            "echo `id`",
            "echo $(id)",
            "echo \"$(id)\"",
            "a > b",
            "a < b",
            "a 2>&1",
            "a &",
            "a & b",
            "a |& b",
            "(a)",
            "{ a; }",
            "ls *",
            "ls a?",
            "ls [ab]",
            "ls {a,b}",
            "{} a",
            "a{} b",
            "export PATH=.",
            "ls ~",
            "FOO=bar a",
            "if a; then b; fi",
            "while a; do b; done",
            "! a",
            "a # b",
            "a 'b",
            "a \"b",
            "a \\\n b",
            "a && ",
            "&& a",
            "a ;; b",
            "| a",
            "a \u{1b}[0m",
            "a\u{a0}b",
            "a\rb",
            "",
            "  ",
            "a <<X\nb\nX",
            "alias x=rm\nx y",
            "trap 'rm x' EXIT",
            ". ./x",
            "source x",
            "eval rm x",
        ] {
            assert!(matches!(Script::read(text), Script::Opaque(_)), "{text:?}");
        }
    }

    #[test]
    fn fifty_commands_are_understood_and_fifty_one_are_not() {
        assert_eq!(plain(&["true"; 50].join(" && ")).len(), 50);
        assert_eq!(Script::read(&["true"; 51].join(" && ")), Script::Opaque("it has too many commands"));
    }

    #[test]
    fn loose_words_see_through_quotes_and_operators() {
        assert_eq!(loose_words("x=$(r\\m -rf /tmp);'s'udo id"), ["x", "rm", "-rf", "/tmp", "sudo", "id"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        /// Behind a function that only prints its arguments, a text that was called one plain command can do nothing else.
        #[test]
        fn what_is_called_plain_is_what_a_shell_reads(text in r#"([ab\t '"\\$`;&|<>(){}*?~#!=\n-]|\{\}){0,12}"#) {
            if let Script::Plain(commands) = Script::read(&text)
                && let [Simple { words, .. }] = &commands[..]
            {
                let script = format!("show() {{ for word; do printf '%s\\0' \"$word\"; done; }}\nshow {}", text.trim_start());
                let told = Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::null()).output().expect("a shell");
                let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
                prop_assert_eq!(String::from_utf8_lossy(&told.stdout), expected);
            }
        }
    }
}
