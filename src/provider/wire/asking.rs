//! What a request is written for: a model, by its names, and what its server has refused before.
//!
//! Invariant: what a server refused is left out or written otherwise from then on, so nothing is refused twice for the same reason.

use super::history;
use super::refused::{Refusal, Refused};
use crate::protocol::message::{Part, PartKind};
use crate::protocol::model::{ModelRequest, Purpose, ToolSpec};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// A request before it is written.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The model, as its server knows it.
    pub(in crate::provider) model: &'a str,
    /// The same as records name it: `provider:model`.
    pub(in crate::provider) name: &'a str,
    pub(in crate::provider) request: &'a ModelRequest,
    pub(in crate::provider) refused: Refused,
}

/// The longest id of a call that every server takes which says nothing else.
const LONGEST_ID: usize = 64;

impl<'a> Asking<'a> {
    pub(in crate::provider) fn has_refused(&self, what: Refusal) -> bool {
        self.refused.has(what)
    }

    /// Whether this is in the request, so that it can be refused.
    pub(super) fn contains(&self, what: Refusal) -> bool {
        let has = |is: fn(&Part) -> bool| self.request.messages.iter().flat_map(|message| &message.parts).any(is);
        let has_calls = || has(|part| part.kind == PartKind::ToolCall);
        !self.has_refused(what)
            && match what {
                Refusal::Tools => !self.request.tools.is_empty(),
                Refusal::StreamOptions => true,
                Refusal::Encrypted | Refusal::CacheKey => self.request.purpose == Purpose::Turn,
                Refusal::States => has(|part| part.state.is_some()),
                Refusal::NoThoughts | Refusal::OtherThanNine | Refusal::OddIds => has_calls(),
            }
    }

    /// The tools that the model is told of.
    pub(in crate::provider) fn tools(&self) -> &'a [ToolSpec] {
        if self.has_refused(Refusal::Tools) { &[] } else { &self.request.tools }
    }

    /// A call's id as the server takes it, the same in every request. Ours stays what it is.
    pub(in crate::provider) fn call_id(&self, id: &'a str) -> Cow<'a, str> {
        if self.has_refused(Refusal::OtherThanNine) {
            return nine(id);
        }
        if self.has_refused(Refusal::OddIds) {
            return history::plain_id(id, 40);
        }
        if (1..=LONGEST_ID).contains(&id.len()) { Cow::Borrowed(id) } else { history::plain_id(id, LONGEST_ID) }
    }
}

/// Nine letters and digits.
fn nine(id: &str) -> Cow<'_, str> {
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    Sha256::digest(id).iter().take(9).map(|byte| char::from(letters[usize::from(*byte) % letters.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::hello;
    use super::*;

    #[test]
    fn ids_are_what_the_server_takes_and_always_the_same() {
        let request = hello();
        let id = |refused: &[Refusal], id: &str| {
            let refused = refused.iter().fold(Refused::default(), |all, what| all.and(*what));
            Asking { model: "m", name: "v:m", request: &request, refused }.call_id(id).into_owned()
        };
        let long = "x".repeat(65);
        for kept in ["call_1", "functions.read:0", &"x".repeat(64)] {
            assert_eq!(id(&[], kept), kept);
        }
        assert_eq!((id(&[], &long).len(), id(&[], &long)), (37, id(&[], &long)));
        assert_eq!(id(&[Refusal::OddIds], "call_1"), "call_1");
        for odd in ["functions.read:0", &"x".repeat(41), ""] {
            assert!(id(&[Refusal::OddIds], odd).len() <= 40);
            assert!(id(&[Refusal::OddIds], odd).starts_with("call_"));
        }
        assert_eq!(id(&[Refusal::OtherThanNine], "abcDEF123"), "abcDEF123");
        for other in ["call_1", "abc-EF123", &long, ""] {
            let nine = id(&[Refusal::OtherThanNine], other);
            assert!(nine.len() == 9 && nine.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{nine}");
            assert_eq!(nine, id(&[Refusal::OtherThanNine], other));
        }
        assert_ne!(id(&[Refusal::OtherThanNine], "call_1"), id(&[Refusal::OtherThanNine], "call_2"));
    }
}
