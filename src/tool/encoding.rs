//! How a text file is written in bytes. Invariant: what is decoded and encoded again without a change is the same bytes.

use std::borrow::Cow;

const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";
/// A file that has a NUL so early, and is no UTF-16, is no text.
const SNIFFED_BYTES: usize = 8 << 10;

/// What pillion reads and writes. A file's byte order mark stays at the head of its text, as U+FEFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// It has a byte order mark and no NUL.
    Utf16(Order),
    /// Anything else. Each byte is one character, so that what nobody touches is written as it was.
    Bytes,
}

/// Which half of a UTF-16 unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// A file's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) text: String,
    pub(super) encoding: Encoding,
}

impl Decoded {
    pub(super) fn of(bytes: &[u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self { text: text.to_owned(), encoding: Encoding::Utf8 };
        }
        match utf16(bytes) {
            Some((text, order)) => Self { text, encoding: Encoding::Utf16(order) },
            None => Self { text: bytes.iter().map(|byte| char::from(*byte)).collect(), encoding: Encoding::Bytes },
        }
    }
}

impl Encoding {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match utf16(bytes) {
            _ if std::str::from_utf8(bytes).is_ok() => Self::Utf8,
            Some((_, order)) => Self::Utf16(order),
            None => Self::Bytes,
        }
    }

    /// The bytes of `text`; None if it has a character that they cannot write.
    pub(super) fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Utf8 => Some(text.as_bytes().to_vec()),
            Self::Utf16(Order::Little) => Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            Self::Utf16(Order::Big) => Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            Self::Bytes => text.chars().map(|c| u8::try_from(c).ok()).collect(),
        }
    }
}

/// The text of `bytes` as people and models read it: what cannot be read is U+FFFD.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    match utf16(bytes) {
        Some((text, _)) => text.into(),
        None => String::from_utf8_lossy(bytes),
    }
}

/// Whether `bytes`, or the beginning of a file, are no text at all.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(SNIFFED_BYTES)]).is_some() && utf16(bytes).is_none()
}

/// Whether an editor that has read `bytes` from the disk and changed nothing has this text. Editors hide the byte order mark, and
/// show a file of no known encoding as Latin-1 or with U+FFFD.
pub(super) fn is_text_of(text: &str, bytes: &[u8]) -> bool {
    if text.as_bytes() == bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes) {
        return true;
    }
    // Some say of an empty file that it has one empty line.
    if bytes.is_empty() {
        return is_one_empty_line(text);
    }
    let Decoded { text: read, encoding } = Decoded::of(bytes);
    match encoding {
        Encoding::Utf8 => false,
        Encoding::Utf16(_) => read.strip_prefix('\u{feff}') == Some(text),
        Encoding::Bytes => read == text || String::from_utf8_lossy(bytes) == text,
    }
}

/// The client's text of a file that has these bytes on the disk. A client that reads line by line loses what ends the lines: where
/// the disk has it, it is there.
pub(super) fn as_on_disk(text: String, bytes: &[u8]) -> String {
    let Decoded { text: disk, encoding } = Decoded::of(bytes);
    let disk = disk.strip_prefix('\u{feff}').unwrap_or(&disk);
    if encoding == Encoding::Bytes || text == disk || bytes.is_empty() || text.is_empty() {
        return text;
    }
    if disk.lines().eq(text.strip_prefix('\u{feff}').unwrap_or(&text).lines()) {
        return disk.to_owned();
    }
    let ends = disk.matches('\n').count();
    let has_only_crlf = ends > 0 && disk.matches("\r\n").count() == ends;
    let mut text = if has_only_crlf && !text.contains('\r') { text.replace('\n', "\r\n") } else { text };
    if disk.ends_with('\n') && !text.ends_with('\n') {
        text.push_str(if text.contains("\r\n") || has_only_crlf { "\r\n" } else { "\n" });
    }
    text
}

pub(super) fn is_one_empty_line(text: &str) -> bool {
    matches!(text, "\n" | "\r\n")
}

fn utf16(bytes: &[u8]) -> Option<(String, Order)> {
    let order = match bytes {
        [0xff, 0xfe, ..] => Order::Little,
        [0xfe, 0xff, ..] => Order::Big,
        _ => return None,
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match order {
        Order::Little => u16::from_le_bytes(*pair),
        Order::Big => u16::from_be_bytes(*pair),
    });
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    (rest.is_empty() && !text.contains('\0')).then_some((text, order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utf16le(text: &str) -> Vec<u8> {
        Encoding::Utf16(Order::Little).encode(text).unwrap()
    }

    #[test]
    fn a_text_that_was_read_line_by_line_ends_its_lines_as_the_disk_does() {
        for (disk, read, text) in [
            ("a\nb\n", "a\nb", "a\nb\n"),
            ("a\nb", "a\nb\n", "a\nb"),
            ("a\r\nb\r\n", "a\nb", "a\r\nb\r\n"),
            ("a\r\nb\n", "a\nb\n", "a\r\nb\n"),
            ("\u{feff}a\r\n", "a", "a\r\n"),
            ("\u{feff}a\n", "\u{feff}a", "a\n"),
            // With changes of the user's.
            ("a\nb\n", "a\nc", "a\nc\n"),
            ("a\r\nb\r\n", "a\nb\nc", "a\r\nb\r\nc\r\n"),
            ("a\r\nb\r\n", "c", "c\r\n"),
            ("a\r\nb\n", "a\nc", "a\nc\n"),
            ("a\nb", "a\nc\n", "a\nc\n"),
            ("a\r\nb\r\n", "a\r\nc\r\n", "a\r\nc\r\n"),
            ("a\n", "", ""),
            ("", "a", "a"),
            ("caf\u{e9}\n", "other\n", "other\n"),
        ] {
            assert_eq!(as_on_disk(read.into(), disk.as_bytes()), text, "{disk:?} {read:?}");
        }
        assert_eq!(as_on_disk("caf\u{fffd}".into(), b"caf\xe9\n"), "caf\u{fffd}");
        assert_eq!(as_on_disk("a\nb".into(), &utf16le("\u{feff}a\r\nb\r\n")), "a\r\nb\r\n");
    }

    #[test]
    fn each_encoding_is_known_by_its_bytes() {
        for (bytes, text, encoding) in [
            (b"a\xc3\xa9".to_vec(), "aé", Encoding::Utf8),
            (b"\xef\xbb\xbfa".to_vec(), "\u{feff}a", Encoding::Utf8),
            (b"\xff\xfea\0\xe9\0".to_vec(), "\u{feff}aé", Encoding::Utf16(Order::Little)),
            (b"\xfe\xff\0a\0\xe9".to_vec(), "\u{feff}aé", Encoding::Utf16(Order::Big)),
            (b"a\xe9".to_vec(), "aé", Encoding::Bytes),
            // Half a unit, half a pair, UTF-32.
            (b"\xff\xfea".to_vec(), "ÿþa", Encoding::Bytes),
            (b"\xff\xfe\x00\xd8".to_vec(), "ÿþ\0Ø", Encoding::Bytes),
            (b"\xff\xfe\0\0a\0\0\0".to_vec(), "ÿþ\0\0a\0\0\0", Encoding::Bytes),
        ] {
            let decoded = Decoded::of(&bytes);
            assert_eq!(decoded, Decoded { text: text.into(), encoding });
            assert_eq!(encoding.encode(&decoded.text), Some(bytes));
        }
        assert_eq!(Encoding::Bytes.encode("a€"), None);
    }

    #[test]
    fn what_is_shown_is_text_or_it_is_binary() {
        assert_eq!(shown(&utf16le("\u{feff}é\n")), "\u{feff}é\n");
        assert_eq!(shown(b"caf\xe9"), "caf\u{fffd}");
        assert!(is_binary(b"\x7fELF\0"));
        assert!(!is_binary(&utf16le("\u{feff}a")) && !is_binary(b"caf\xe9"));
        assert!(!is_binary(&[vec![b'a'; SNIFFED_BYTES], vec![0]].concat()));
    }

    #[test]
    fn an_editor_that_changed_nothing_has_the_text_of_the_disk() {
        for (text, bytes) in [("a", &b"a"[..]), ("a", b"\xef\xbb\xbfa"), ("é", b"\xff\xfe\xe9\0"), ("é", b"\xe9"), ("\u{fffd}", b"\xe9")]
        {
            assert!(is_text_of(text, bytes), "{text:?} {bytes:?}");
            assert!(!is_text_of(&format!("{text}x"), bytes), "{text:?} {bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_on_the_way_and_back(mut bytes: Vec<u8>, head in 0usize..4) {
            let heads: [&[u8]; 4] = [b"", b"\xff\xfe", b"\xfe\xff", UTF8_BOM];
            bytes.splice(0..0, heads[head].iter().copied());
            let decoded = Decoded::of(&bytes);
            prop_assert_eq!(decoded.encoding.encode(&decoded.text), Some(bytes));
        }
    }
}
