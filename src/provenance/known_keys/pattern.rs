//! The regular expression that finds a key in all its spellings. It has no counted repetition and no look-around, so
//! matching is linear.

use regex::{Regex, RegexBuilder};
use std::fmt::Write;

/// A key of twice this length is looked for piece by piece, so that a part of it does not leave either.
const PIECE_CHARS: usize = 64;

/// What the patterns of all keys may take together.
const SIZE_LIMIT: usize = 64 << 20;
const DFA_SIZE_LIMIT: usize = 8 << 20;

/// One expression for all keys. `None`: they are too large together.
pub(super) fn build(keys: &[String]) -> Option<Regex> {
    let mut pattern = String::new();
    for piece in keys.iter().flat_map(|key| pieces(key)) {
        for spelling in spellings(piece) {
            if !pattern.is_empty() {
                pattern.push('|');
            }
            pattern.push_str(&spelling);
        }
    }
    RegexBuilder::new(&pattern).size_limit(SIZE_LIMIT).dfa_size_limit(DFA_SIZE_LIMIT).build().ok()
}

/// The key, or its pieces when it is long; the last piece takes what is left, so that none is a short one.
fn pieces(key: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = key.char_indices().map(|(at, _)| at).collect();
    let count = (starts.len() / PIECE_CHARS).max(1);
    (0..count).map(move |piece| {
        let end = if piece + 1 == count { key.len() } else { starts[(piece + 1) * PIECE_CHARS] };
        &key[starts[piece * PIECE_CHARS]..end]
    })
}

fn spellings(key: &str) -> [String; 5] {
    let [first, second, third] = [0, 1, 2].map(|offset| base64(key.as_bytes(), offset));
    [escaped(key), hex(key.as_bytes()), first, second, third]
}

/// Raw, JSON-escaped, percent-encoded, and any mixture of them.
fn escaped(key: &str) -> String {
    let mut pattern = String::new();
    for char in key.chars() {
        pattern.push_str("(?:");
        pattern.push_str(&regex::escape(char.encode_utf8(&mut [0; 4])));
        pattern.push('|');
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            pattern.push('%');
            hex_byte(&mut pattern, byte);
        }
        pattern.push('|');
        for unit in char.encode_utf16(&mut [0; 2]) {
            pattern.push_str(r"\\u");
            let [high, low] = unit.to_be_bytes();
            hex_byte(&mut pattern, high);
            hex_byte(&mut pattern, low);
        }
        if let Some(short) = short_escape(char) {
            pattern.push('|');
            pattern.push_str(short);
        }
        pattern.push(')');
    }
    pattern
}

/// The two-character escapes of JSON, and the plus that stands for a blank in a query.
fn short_escape(char: char) -> Option<&'static str> {
    Some(match char {
        '"' => r#"\\""#,
        '\\' => r"\\\\",
        '/' => r"\\/",
        '\n' => r"\\n",
        '\r' => r"\\r",
        '\t' => r"\\t",
        ' ' => r"\+",
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut pattern = String::new();
    for byte in bytes {
        hex_byte(&mut pattern, *byte);
    }
    pattern
}

fn hex_byte(pattern: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        let digit = char::from(b"0123456789abcdef"[usize::from(nibble)]);
        // Writing to a string cannot fail.
        let _ =
            if digit.is_ascii_digit() { write!(pattern, "{digit}") } else { write!(pattern, "[{digit}{}]", digit.to_ascii_uppercase()) };
    }
}

/// The base64 digits of `bytes` (of either alphabet) that do not depend on what stands around them, when `offset` bytes
/// of their group of three come before them.
fn base64(bytes: &[u8], offset: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let first_bit = offset * 8;
    let end_bit = first_bit + bytes.len() * 8;
    let bit = |at: usize| {
        let at = at - first_bit;
        (bytes[at / 8] >> (7 - at % 8)) & 1
    };
    let mut pattern = String::new();
    for digit in first_bit.div_ceil(6)..end_bit / 6 {
        let index = (digit * 6..digit * 6 + 6).fold(0, |value, at| value << 1 | bit(at));
        match ALPHABET[usize::from(index)] {
            b'+' => pattern.push_str(r"[+\-]"),
            b'/' => pattern.push_str(r"(?:\\?/|_)"),
            plain => pattern.push(char::from(plain)),
        }
    }
    pattern
}
