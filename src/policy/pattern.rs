//! How large a pattern of a path may be: what a model or a repository writes is measured before any library takes it.

use std::fmt;

/// The longest pattern, in characters; also of a regular expression, and of a rule.
pub const MAX_PATTERN_CHARS: usize = 1000;

/// How deep braces, brackets and groups may stand in each other.
pub const MAX_PATTERN_NESTING: u32 = 10;

/// The most alternatives, all braces together.
const MAX_ALTERNATIVES: usize = 100;

/// Why a pattern is not taken: "it ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    Long,
    Deep,
    Wide,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(f, "it is longer than {MAX_PATTERN_CHARS} characters"),
            Self::Deep => write!(f, "its braces or brackets nest deeper than {MAX_PATTERN_NESTING} levels"),
            Self::Wide => write!(f, "it has more than {MAX_ALTERNATIVES} alternatives"),
        }
    }
}

/// Whether a glob, or a line of an ignore file, is of a size that is taken.
///
/// # Errors
/// What it has too much of.
pub fn measure(pattern: &str) -> Result<(), TooMuch> {
    if pattern.chars().nth(MAX_PATTERN_CHARS).is_some() {
        return Err(TooMuch::Long);
    }
    let (mut depth, mut alternatives) = (0_u32, 0);
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            ',' if depth > 0 => alternatives += 1,
            _ => {}
        }
        if depth > MAX_PATTERN_NESTING {
            return Err(TooMuch::Deep);
        }
        if alternatives >= MAX_ALTERNATIVES {
            return Err(TooMuch::Wide);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_from_one_beyond_it() {
        let nested = |depth: usize| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        let wide = |alternatives: usize| format!("{{{}}}", vec!["a"; alternatives].join(","));
        for (pattern, measured) in [
            ("ä".repeat(1000), Ok(())),
            ("ä".repeat(1001), Err(TooMuch::Long)),
            (nested(10), Ok(())),
            (nested(11), Err(TooMuch::Deep)),
            ("[".repeat(11), Err(TooMuch::Deep)),
            ("{a}".repeat(100), Ok(())),
            ("\\{".repeat(100), Ok(())),
            (wide(100), Ok(())),
            (wide(101), Err(TooMuch::Wide)),
            ("a,".repeat(200), Ok(())),
        ] {
            assert_eq!(measure(&pattern), measured, "{pattern}");
        }
    }
}
