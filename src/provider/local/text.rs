//! Text out of tokens. A token may end in the middle of a character: only whole characters leave this file.

/// Joins the bytes of tokens to text.
#[derive(Debug, Default)]
pub(super) struct TextJoiner {
    /// The beginning of a character whose end has not come yet: at most three bytes.
    pending: Vec<u8>,
}

impl TextJoiner {
    /// The characters that are complete now. Bytes that can never become one turn into U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.pending.len());
        let mut complete = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            complete += chunk.valid().len();
            let broken = chunk.invalid();
            if broken.is_empty() || (complete + broken.len() == self.pending.len() && is_unfinished(broken)) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            complete += broken.len();
        }
        self.pending.drain(..complete);
        text
    }

    /// What is left when no more tokens come: nothing, or one U+FFFD for the character that was cut off.
    pub(super) fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Whether more bytes could turn these into a character.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_pieces_leaves_whole() {
        let all = "aé→🦀 z";
        for size in 1..=5 {
            let mut joiner = TextJoiner::default();
            let texts: Vec<String> = all.as_bytes().chunks(size).map(|bytes| joiner.push(bytes)).collect();
            assert!(!texts.concat().contains(char::REPLACEMENT_CHARACTER), "in pieces of {size}: {texts:?}");
            assert_eq!(texts.concat(), all);
            assert_eq!(joiner.finish(), "");
        }
    }

    #[test]
    fn hopeless_bytes_are_shown_at_once_and_a_cut_character_at_the_end() {
        let mut joiner = TextJoiner::default();
        assert_eq!(joiner.push(b"a\xFFb"), "a\u{FFFD}b");
        assert_eq!(joiner.push(b"\xF0\x9F"), "");
        assert_eq!(joiner.push(b"c"), "\u{FFFD}c");
        assert_eq!(joiner.push(b"\xE2\x86"), "");
        assert_eq!(joiner.finish(), "\u{FFFD}");
    }
}
