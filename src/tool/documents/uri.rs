//! `file:` URIs (RFC 8089) and the paths that they name, byte for byte.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The absolute path that a `file:` URI of this machine names; None for every other URI.
pub fn path_of(uri: &str) -> Option<PathBuf> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("file") {
        return None;
    }
    let path = match rest.strip_prefix("//") {
        Some(located) => {
            let (host, _) = located.split_once('/')?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return None;
            }
            &located[host.len()..]
        }
        None => rest,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let bytes = decoded(path)?;
    (bytes.first() == Some(&b'/') && !bytes.contains(&0)).then(|| PathBuf::from(OsString::from_vec(bytes)))
}

/// The `file:` URI of an absolute path.
pub fn uri_of(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let mut uri = String::with_capacity(bytes.len() + 16);
    uri.push_str("file://");
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// None if a `%` is not followed by two hexadecimal digits.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' { hex(rest.next()?)? << 4 | hex(rest.next()?)? } else { byte });
    }
    Some(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_uri_names_a_path() {
        for (uri, path) in [
            ("file:///ws/a%20b.rs", Some("/ws/a b.rs")),
            ("file:///ws/%C3%A4.rs", Some("/ws/ä.rs")),
            ("FILE://localhost/ws/a", Some("/ws/a")),
            ("file:/ws/a", Some("/ws/a")),
            ("file:///ws/a%23b#frag", Some("/ws/a#b")),
            ("file://server/share/a", None),
            ("file://", None),
            ("file:relative", None),
            ("file:///ws/%0", None),
            ("file:///ws/%zz", None),
            ("file:///ws/a%00b", None),
            ("untitled:Untitled-1", None),
            ("git:/ws/a.rs?ref", None),
            ("", None),
        ] {
            assert_eq!(path_of(uri), path.map(PathBuf::from), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn every_path_survives_its_uri(name in prop::collection::vec(1u8.., 1..40)) {
            let path = Path::new("/").join(OsString::from_vec(name.into_iter().filter(|b| *b != b'/').collect()));
            prop_assert_eq!(path_of(&uri_of(&path)), Some(path));
        }
    }
}
