//! Where a text that was not found may have been meant. Pure, and of bounded work: it is a hint and nothing else.

use std::collections::HashMap;
use std::fmt;

/// The most pairs of lines that are compared.
const MAX_COMPARED: usize = 1 << 22;
/// The most lines of the wanted text that are the same and are all looked for.
const MAX_SAME: usize = 8;

/// The lines, from 1, that come next to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// They have the same letters.
    WhiteSpace(usize, usize),
    /// They have the most lines in common with it, or a line that is much the same.
    Closest(usize, usize),
    Nothing,
}

impl Near {
    /// The lines of `text` that come next to `wanted`. Both have LF alone.
    pub(super) fn of(text: &str, wanted: &str) -> Self {
        let wanted: Vec<_> = squeezed(wanted).map(|(_, line)| line).collect();
        let lines: Vec<_> = squeezed(text).collect();
        if wanted.is_empty() || lines.is_empty() {
            return Self::Nothing;
        }
        let range = |at: usize| (lines[at].0, lines[(at + wanted.len() - 1).min(lines.len() - 1)].0);
        if let Some((first, last)) = same_letters(&lines, &wanted).map(range) {
            return Self::WhiteSpace(first, last);
        }
        match most_in_common(&lines, &wanted).or_else(|| much_the_same(&lines, &wanted[0])).map(range) {
            Some((first, last)) => Self::Closest(first, last),
            None => Self::Nothing,
        }
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WhiteSpace(first, _) => write!(f, ": it differs only in white space at line {first}"),
            Self::Closest(first, last) if first == last => write!(f, "; the closest is line {first}"),
            Self::Closest(first, last) => write!(f, "; the closest is lines {first}-{last}"),
            Self::Nothing => Ok(()),
        }
    }
}

/// The lines that are not blank, with their numbers, without any white space.
fn squeezed(text: &str) -> impl Iterator<Item = (usize, String)> {
    let lines = text.split('\n').map(|line| line.chars().filter(|c| !c.is_whitespace()).collect::<String>());
    lines.enumerate().filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at + 1, line))
}

/// Where all lines are there, the first and the last perhaps as parts of longer ones.
fn same_letters(lines: &[(usize, String)], wanted: &[String]) -> Option<usize> {
    let mut compared = 0;
    for from in 0..=lines.len().checked_sub(wanted.len())? {
        let is_here = wanted.iter().enumerate().all(|(at, wanted_line)| {
            compared += 1;
            let line = &lines[from + at].1;
            match (at == 0, at + 1 == wanted.len()) {
                (true, true) => line.contains(wanted_line.as_str()),
                (true, false) => line.ends_with(wanted_line.as_str()),
                (false, true) => line.starts_with(wanted_line.as_str()),
                (false, false) => line == wanted_line,
            }
        });
        if is_here {
            return Some(from);
        }
        if compared > MAX_COMPARED {
            break;
        }
    }
    None
}

/// Each line that is wanted and there votes for where the whole would begin.
fn most_in_common(lines: &[(usize, String)], wanted: &[String]) -> Option<usize> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in wanted.iter().enumerate() {
        let places = places.entry(line).or_default();
        if places.len() < MAX_SAME {
            places.push(at);
        }
    }
    let mut votes: HashMap<usize, usize> = HashMap::new();
    for (at, (_, line)) in lines.iter().enumerate() {
        for place in places.get(line.as_str()).into_iter().flatten() {
            *votes.entry(at.saturating_sub(*place)).or_default() += 1;
        }
    }
    votes.into_iter().max_by_key(|(at, votes)| (*votes, std::cmp::Reverse(*at))).map(|(at, _)| at)
}

/// The line that begins and ends most like the wanted one, if that is at least half of it.
fn much_the_same(lines: &[(usize, String)], wanted: &str) -> Option<usize> {
    let alike = |line: &str| {
        let begin = line.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
        let most = line.len().min(wanted.len()) - begin;
        begin + line.bytes().rev().zip(wanted.bytes().rev()).take(most).take_while(|(a, b)| a == b).count()
    };
    let scored = lines.iter().enumerate().map(|(at, (_, line))| (alike(line), at));
    let (best, at) = scored.max_by_key(|(alike, at)| (*alike, std::cmp::Reverse(*at)))?;
    (best * 2 >= wanted.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_lines_are_found() {
        let text = "fn one() {\n    let x = 1;\n    two();\n}\n\nfn two() {\n\tthree(a,  b);\n}\n";
        for (wanted, near) in [
            ("fn one() {\n  let x = 1;\n  two();\n}", Near::WhiteSpace(1, 4)),
            ("three(a, b)", Near::WhiteSpace(7, 7)),
            ("two() {\n  three(a,b)", Near::WhiteSpace(6, 7)),
            ("}\nfn two() {", Near::WhiteSpace(4, 6)),
            ("fn one() {\n    let x = 2;\n    two();\n}", Near::Closest(1, 4)),
            ("    let x = 2;", Near::Closest(2, 2)),
            ("something else", Near::Nothing),
            ("\n  \n", Near::Nothing),
        ] {
            assert_eq!(Near::of(text, wanted), near, "{wanted:?}");
        }
        assert_eq!(Near::of("", "a"), Near::Nothing);
    }

    #[test]
    fn large_texts_of_equal_lines_take_no_time() {
        let text = "x\n".repeat(200_000);
        let wanted = format!("{}y\nx", "x\n".repeat(100_000));
        let began = std::time::Instant::now();
        assert!(matches!(Near::of(&text, &wanted), Near::Closest(..)));
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
