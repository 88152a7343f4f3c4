//! Placeholders: what they look like, and their numbers.
//!
//! Invariant: a number says only which contents are equal. It counts first appearances inside one export, and of the
//! content itself no more than a digest is kept.

use regex::Regex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a placeholder stands for. Each kind counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Text,
    Json,
    Id,
    Segment,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Id => "id",
            Self::Segment => "path",
        }
    }
}

/// The numbers that one export has given out.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    given: HashMap<(Kind, [u8; 16]), u64>,
    last: HashMap<Kind, u64>,
}

impl Numbers {
    /// The number of `content`: the same for the same content.
    pub(super) fn of(&mut self, kind: Kind, content: &str) -> u64 {
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(content)[..16]);
        *self.given.entry((kind, digest)).or_insert_with(|| {
            let last = self.last.entry(kind).or_default();
            *last += 1;
            *last
        })
    }

    /// `[redacted:text:3 len=120]`; the length is in characters.
    pub(super) fn whole(&mut self, kind: Kind, content: &str) -> String {
        format!("[redacted:{}:{} len={}]", kind.name(), self.of(kind, content), content.chars().count())
    }

    /// `[path:3]`, for one segment of a path.
    pub(super) fn segment(&mut self, content: &str) -> String {
        format!("[{}:{}]", Kind::Segment.name(), self.of(Kind::Segment, content))
    }
}

/// Whether `text` is a placeholder of a whole value. Nothing but digits can vary in one.
pub(super) fn is_whole(text: &str) -> bool {
    static GRAMMAR: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\A\[redacted:(?:text|json|id):[1-9][0-9]{0,8} len=(?:0|[1-9][0-9]{0,8})\]\z").ok());
    GRAMMAR.as_ref().is_some_and(|grammar| grammar.is_match(text))
}

/// Whether `text` is a placeholder of a path segment.
pub(super) fn is_segment(text: &str) -> bool {
    static GRAMMAR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A\[path:[1-9][0-9]{0,8}\]\z").ok());
    GRAMMAR.as_ref().is_some_and(|grammar| grammar.is_match(text))
}
