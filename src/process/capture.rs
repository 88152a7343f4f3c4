//! The output of a command, bounded: its beginning and its end are kept, and how much there was in all; for who asks for it
//! also the whole, up to a bound of its own.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes in output as it comes.
#[derive(Debug)]
pub struct Capture {
    /// The most that each of the two ends keeps, in bytes.
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    /// Everything from the beginning, up to so many bytes; absent: nobody asked for it.
    whole: Option<(usize, Vec<u8>)>,
    meter: Meter,
}

/// Tells of an output also when whoever took it in is gone: how much there was, and how much of it is kept. Clones are the
/// same meter.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<[AtomicU64; 2]>);

/// What a command has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// As text; what is no UTF-8 is replaced, and a line tells where something was left out.
    pub text: String,
    /// Everything that was written, in bytes.
    pub bytes: u64,
    /// How much of it `text` leaves out, in bytes.
    pub left_out: u64,
    /// If `text` leaves something out or replaces it, and the whole was asked for: all of it, as it came, or its beginning up to
    /// the bound. How much the bound cut off, [`Captured::cut_off`] tells.
    pub whole: Option<Vec<u8>>,
}

impl Capture {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { half: limit / 2, head: Vec::new(), tail: VecDeque::new(), total: 0, whole: None, meter: Meter::default() }
    }

    /// Keeps at most `limit` bytes of the two ends, and beside them the first `whole` bytes of everything.
    pub fn whole_up_to(limit: usize, whole: usize) -> Self {
        Self { whole: Some((whole, Vec::new())), ..Self::new(limit) }
    }

    /// Counts on this meter.
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    pub fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        self.meter.0[0].store(self.total, Ordering::Relaxed);
        if let Some((most, whole)) = &mut self.whole {
            whole.extend_from_slice(&bytes[..bytes.len().min(*most - whole.len())]);
        }
        let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(head);
        // Of a large piece only its end can stay.
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    pub fn captured(&self) -> Captured {
        let kept = (self.head.len() + self.tail.len()) as u64;
        let mut bytes = self.head.clone();
        if self.total == kept {
            bytes.extend(&self.tail);
            let (text, whole) = match String::from_utf8_lossy(&bytes) {
                Cow::Borrowed(text) => (text.to_owned(), None),
                Cow::Owned(replaced) => (replaced, self.whole()),
            };
            return Captured { text, bytes: self.total, left_out: 0, whole };
        }
        // Not in the middle of a character: the cut must not look like broken output.
        let cut = bytes.iter().rev().take(4).position(|byte| !is_continuation(*byte)).map_or(0, |back| back + 1);
        let last = bytes.len().saturating_sub(cut);
        if std::str::from_utf8(&bytes[last..]).is_err() {
            bytes.truncate(last);
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let begin = tail.iter().take(4).position(|byte| !is_continuation(*byte)).unwrap_or(0);
        let left_out = self.total - (bytes.len() + tail.len() - begin) as u64;
        let text = format!("{}\n[{left_out} bytes left out]\n{}", String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&tail[begin..]));
        Captured { text, bytes: self.total, left_out, whole: self.whole() }
    }

    fn whole(&self) -> Option<Vec<u8>> {
        self.whole.as_ref().map(|(_, whole)| whole.clone())
    }
}

impl Meter {
    /// What was taken in, in bytes.
    pub fn written(&self) -> u64 {
        self.0[0].load(Ordering::Relaxed)
    }

    /// What of it is kept, in bytes; 0 before somebody has said so.
    pub fn kept(&self) -> u64 {
        self.0[1].load(Ordering::Relaxed)
    }

    /// So much of it is kept.
    pub fn keeps(&self, bytes: u64) {
        self.0[1].store(bytes, Ordering::Relaxed);
    }
}

impl Captured {
    /// How many bytes are missing at the end of `whole`, beyond its bound.
    pub fn cut_off(&self) -> u64 {
        self.whole.as_ref().map_or(0, |whole| self.bytes - whole.len() as u64)
    }
}

/// Whether the byte goes on with a UTF-8 character that began before it.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, pieces: &[&[u8]]) -> Captured {
        let mut capture = Capture::new(limit);
        pieces.iter().for_each(|piece| capture.take(piece));
        capture.captured()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let whole = Captured { text: "one two\n".into(), bytes: 8, left_out: 0, whole: None };
        assert_eq!(captured(8, &[b"one ", b"two\n"]), whole);
        assert_eq!(captured(8, &[]), Captured { text: String::new(), bytes: 0, left_out: 0, whole: None });
    }

    #[test]
    fn of_more_the_two_ends_are_kept_however_it_came() {
        let ends = Captured { text: "abcd\n[18 bytes left out]\nwxyz".into(), bytes: 26, left_out: 18, whole: None };
        assert_eq!(captured(8, &[b"abcdefghijklmnopqrstuvwxyz"]), ends);
        let letters: Vec<[u8; 1]> = (b'a'..=b'z').map(|letter| [letter]).collect();
        assert_eq!(captured(8, &letters.iter().map(<[u8; 1]>::as_slice).collect::<Vec<_>>()), ends);
    }

    #[test]
    fn a_character_is_not_cut_in_two_and_broken_bytes_are_replaced() {
        let cut = captured(8, &["abcäöüßxyz".as_bytes()]);
        assert_eq!(cut, Captured { text: "abc\n[8 bytes left out]\nxyz".into(), bytes: 14, left_out: 8, whole: None });
        assert_eq!(captured(8, &[b"a\xffb"]).text, "a\u{fffd}b");
    }

    #[test]
    fn the_whole_is_there_for_who_asks_and_tells_what_its_bound_cut_off() {
        let letters = b"abcdefghijklmnopqrstuvwxyz";
        let captured = |whole, pieces: &[&[u8]]| {
            let mut capture = Capture::whole_up_to(8, whole);
            pieces.iter().for_each(|piece| capture.take(piece));
            capture.captured()
        };
        let fits = captured(20, &[b"one ", b"two\n"]);
        assert_eq!(fits, Captured { text: "one two\n".into(), bytes: 8, left_out: 0, whole: None });
        let broken = captured(20, &[b"one ", b"two\xff"]);
        assert_eq!(broken, Captured { text: "one two\u{fffd}".into(), bytes: 8, left_out: 0, whole: Some(b"one two\xff".into()) });
        let text = "abcd\n[18 bytes left out]\nwxyz".to_owned();
        for (bound, kept, cut_off) in [(26, 26, 0), (25, 25, 1), (3, 3, 23), (1000, 26, 0)] {
            let all = captured(bound, &[&letters[..5], &letters[5..]]);
            assert_eq!(all, Captured { text: text.clone(), bytes: 26, left_out: 18, whole: Some(letters[..kept].to_vec()) });
            assert_eq!(all.cut_off(), cut_off);
        }
    }
}
