//! Paths and URIs in a sanitized export: how deep they are and what their extension is, not what they are called.

use super::placeholder::{Numbers, is_segment};

/// Schemes that say nothing about anybody. Any other one is treated as a part of the path.
const SCHEMES: [&str; 4] = ["file://", "http://", "https://", "untitled:"];

/// The longest extension that is kept, in bytes: enough for `ipynb`, too little for a secret.
const MAX_EXTENSION: usize = 5;

/// Whether the path's own placeholders are content or have been put there by an earlier walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segments {
    Raw,
    MayBePlaceholders,
}

/// `/home/me/main.rs` becomes `/[path:1]/[path:2]/[path:3].rs`.
pub(super) fn project(path: &str, segments: Segments, numbers: &mut Numbers) -> String {
    let scheme = SCHEMES.iter().find(|scheme| path.starts_with(**scheme)).map_or("", |scheme| scheme);
    let rest = &path[scheme.len()..];
    let mut out = String::with_capacity(path.len());
    out.push_str(scheme);
    for piece in rest.split_inclusive(['/', '\\']) {
        let name = piece.trim_end_matches(['/', '\\']);
        match name {
            "" | "." | ".." => out.push_str(name),
            name => {
                let (stem, extension) = split_extension(name);
                if segments == Segments::MayBePlaceholders && is_segment(stem) {
                    out.push_str(stem);
                } else {
                    out.push_str(&numbers.segment(stem));
                }
                out.push_str(extension);
            }
        }
        out.push_str(&piece[name.len()..]);
    }
    out
}

/// The extension with its dot, when it is one: short, lower-case and no number.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 => {
            let extension = &name[dot + 1..];
            let plain = extension.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let begins = extension.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
            if plain && begins && extension.len() <= MAX_EXTENSION { name.split_at(dot) } else { (name, "") }
        }
        _ => (name, ""),
    }
}
