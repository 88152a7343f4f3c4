//! Finds keys in all their spellings, in time and memory linear in the keys and in the text.
//!
//! A key is spelled raw, as hex, and as base64 of either alphabet behind 0 to 2 other bytes. Escapes of JSON and of URLs are
//! decoded on the side of the text, so that any mixture of them is found. Short keys are looked for by one automaton; of a
//! long key every window is, so that a part of it does not leave either and its length costs next to nothing.

use super::decode::{self, Decoded};
use crate::text::whole_characters;
use aho_corasick::AhoCorasick;
use std::collections::HashMap;
use std::ops::Range;

/// The length of a window. A spelling of twice this length or more is looked for window by window.
const WINDOW: usize = 64;

/// What the short spellings may take together, in bytes.
const MOST_SHORT: usize = 512 << 10;

/// An odd number with well spread bits, so that every byte of a window counts in every bit above it.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// What finds the keys of a process.
pub(super) struct Finder {
    short: Option<AhoCorasick>,
    long: Option<Windows>,
}

impl Finder {
    /// `None`: there are too many keys to look for.
    pub(super) fn new(keys: &[String]) -> Option<Self> {
        let (long, short): (Vec<_>, Vec<_>) =
            keys.iter().flat_map(|key| spellings(key.as_bytes())).partition(|one| one.len() >= 2 * WINDOW);
        if short.iter().map(Vec::len).sum::<usize>() > MOST_SHORT {
            return None;
        }
        let short = if short.is_empty() { None } else { Some(AhoCorasick::new(short).ok()?) };
        Some(Self { short, long: (!long.is_empty()).then(|| Windows::of(&long)) })
    }

    /// Where keys stand, in order; places that touch are one.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.look(text.as_bytes(), |place| found.push(place));
        for decoded in decode::readings(text.as_bytes()) {
            let Decoded { bytes, places } = &decoded;
            self.look(bytes, |place| found.push(places[place.start]..places[place.end]));
        }
        merged(found.into_iter().map(|place| whole_characters(text, place)).collect())
    }

    fn look(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        if let Some(short) = &self.short {
            short.find_overlapping_iter(text).for_each(|at| found(at.range()));
        }
        if let Some(long) = &self.long {
            long.look(text, found);
        }
    }
}

/// Every way in which a key may be written, escapes aside.
fn spellings(key: &[u8]) -> Vec<Vec<u8>> {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut all = vec![key.to_vec(), hex(key, b"0123456789abcdef"), hex(key, b"0123456789ABCDEF")];
    // A plus stands for a blank in a query.
    all.push(key.iter().map(|byte| if *byte == b' ' { b'+' } else { *byte }).collect());
    for offset in 0..3 {
        all.extend([STANDARD, URL_SAFE].map(|alphabet| base64(key, offset, alphabet)));
    }
    all.sort();
    all.dedup();
    all
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| digits[usize::from(nibble)]).collect()
}

/// The base64 digits of `bytes` that do not depend on what stands around them, when `offset` bytes of their group of three
/// come before them.
fn base64(bytes: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let first_bit = offset * 8;
    let end_bit = first_bit + bytes.len() * 8;
    let bit = |at: usize| {
        let at = at - first_bit;
        (bytes[at / 8] >> (7 - at % 8)) & 1
    };
    let digit = |digit: usize| (digit * 6..digit * 6 + 6).fold(0, |value, at| value << 1 | bit(at));
    (first_bit.div_ceil(6)..end_bit / 6).map(|at| alphabet[usize::from(digit(at))]).collect()
}

/// Windows of long spellings by a hash that rolls over the text.
struct Windows {
    by_hash: HashMap<u64, Vec<Box<[u8]>>>,
    /// What the byte that leaves a window weighs.
    leaving: u64,
}

impl Windows {
    fn of(spellings: &[Vec<u8>]) -> Self {
        let mut by_hash: HashMap<u64, Vec<Box<[u8]>>> = HashMap::new();
        for spelling in spellings {
            // The last window overlaps the one before it, so that no part is left over.
            let starts = (0..spelling.len() / WINDOW).map(|window| window * WINDOW).chain([spelling.len() - WINDOW]);
            for window in starts.map(|start| &spelling[start..start + WINDOW]) {
                let same = by_hash.entry(hash(window)).or_default();
                if !same.iter().any(|known| **known == *window) {
                    same.push(window.into());
                }
            }
        }
        let leaving = (1..WINDOW).fold(1u64, |weight, _| weight.wrapping_mul(BASE));
        Self { by_hash, leaving }
    }

    fn look(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        let Some(first) = text.get(..WINDOW) else { return };
        let mut rolling = hash(first);
        for start in 0.. {
            let window = &text[start..start + WINDOW];
            if self.by_hash.get(&rolling).is_some_and(|known| known.iter().any(|known| **known == *window)) {
                found(start..start + WINDOW);
            }
            let Some(next) = text.get(start + WINDOW) else { return };
            rolling =
                rolling.wrapping_sub(u64::from(window[0]).wrapping_mul(self.leaving)).wrapping_mul(BASE).wrapping_add(u64::from(*next));
        }
    }
}

fn hash(window: &[u8]) -> u64 {
    window.iter().fold(0, |hash: u64, byte| hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte)))
}

fn merged(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| (place.start, place.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(places.len().min(16));
    for place in places {
        match merged.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => merged.push(place),
        }
    }
    merged
}
