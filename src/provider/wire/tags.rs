//! Thoughts that a model writes in tags before its answer.
//!
//! Invariant: only what may still become a tag is held back, and only at the beginning of an answer.

/// Where the thoughts of an answer stand.
#[derive(Debug)]
pub(super) struct Thinking {
    state: State,
    held: String,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The answer may begin with a tag.
    Before,
    Inside {
        end: &'static str,
    },
    /// The tag was closed, and the blanks behind it belong to nobody.
    Behind,
    Over,
}

const TAGS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
];

impl Default for Thinking {
    fn default() -> Self {
        Self { state: State::Before, held: String::new() }
    }
}

impl Thinking {
    /// From here on there are only words.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// What of the text is thought and what is said.
    pub(super) fn split(&mut self, text: &str) -> (String, String) {
        let mut thought = String::new();
        self.held.push_str(text);
        loop {
            match self.state {
                State::Before => {
                    let begin = self.held.trim_start();
                    if let Some((tag, end)) = TAGS.iter().find(|(tag, _)| begin.starts_with(tag)) {
                        self.held = begin[tag.len()..].to_owned();
                        self.state = State::Inside { end };
                    } else if TAGS.iter().any(|(tag, _)| tag.starts_with(begin)) {
                        return (thought, String::new());
                    } else {
                        self.state = State::Over;
                    }
                }
                State::Inside { end } => {
                    if let Some(at) = self.held.find(end) {
                        thought.push_str(&self.held[..at]);
                        self.held.drain(..at + end.len());
                        self.state = State::Behind;
                        continue;
                    }
                    let may_be = (1..end.len()).rev().find(|len| self.held.ends_with(&end[..*len])).unwrap_or(0);
                    thought.extend(self.held.drain(..self.held.len() - may_be));
                    return (thought, String::new());
                }
                State::Behind => {
                    self.held = self.held.trim_start().to_owned();
                    if self.held.is_empty() {
                        return (thought, String::new());
                    }
                    self.state = State::Over;
                }
                State::Over => return (thought, std::mem::take(&mut self.held)),
            }
        }
    }

    /// What was held back, now that nothing follows.
    pub(super) fn end(&mut self) -> (String, String) {
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.state, State::Over) {
            State::Inside { .. } => (held, String::new()),
            _ => (String::new(), held),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let mut thinking = Thinking::default();
        let (mut thought, mut said) = (String::new(), String::new());
        for piece in pieces {
            let (more_thought, more_said) = thinking.split(piece);
            thought.push_str(&more_thought);
            said.push_str(&more_said);
        }
        let (more_thought, more_said) = thinking.end();
        (thought + &more_thought, said + &more_said)
    }

    #[test]
    fn thoughts_in_tags_are_thoughts_however_they_are_cut() {
        let told = |thought: &str, said: &str| (thought.to_owned(), said.to_owned());
        for (text, want) in [
            ("<think>secret plan</think>\n\nhello", told("secret plan", "hello")),
            ("\n<thinking>a < b</thinking>c", told("a < b", "c")),
            ("[THINK]x[/THINK]y", told("x", "y")),
            ("<think>never closed </thin", told("never closed </thin", "")),
            ("plain <think>words</think>", told("", "plain <think>words</think>")),
            ("<thin air>", told("", "<thin air>")),
            ("  indented", told("", "  indented")),
            ("<", told("", "<")),
            ("", told("", "")),
        ] {
            let letters: Vec<String> = text.chars().map(String::from).collect();
            assert_eq!(split(&[text]), want, "{text}");
            assert_eq!(split(&letters.iter().map(String::as_str).collect::<Vec<_>>()), want, "{text}");
        }
    }
}
