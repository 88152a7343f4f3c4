//! How a text file is written, apart from what it says: byte order mark, line ends, final newline. Models forget these.

const BOM: char = '\u{feff}';

/// The style of a file that is to be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Style {
    bom: bool,
    /// Every line ends with CR LF.
    crlf: bool,
    final_newline: bool,
}

impl Style {
    pub(super) fn of(text: &str) -> Self {
        let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let crlf = breaks > 0 && memchr::memmem::find_iter(text.as_bytes(), "\r\n").count() == breaks;
        Self { bom: text.starts_with(BOM), crlf, final_newline: text.ends_with('\n') }
    }

    /// `text` in this style. A text that has line ends of its own kind, CR LF or mixed, keeps them.
    pub(super) fn put_on(&self, text: &str) -> String {
        let mut styled = String::with_capacity(text.len() + 8);
        if self.bom && !text.starts_with(BOM) {
            styled.push(BOM);
        }
        if self.crlf && !text.contains('\r') {
            styled.push_str(&text.replace('\n', "\r\n"));
        } else {
            styled.push_str(text);
        }
        if self.final_newline && !text.is_empty() && !text.ends_with('\n') {
            styled.push_str(if self.crlf { "\r\n" } else { "\n" });
        }
        styled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_of_the_old_text_is_put_on_the_new() {
        for (old, new, written) in [
            ("a\nb\n", "c\nd\n", "c\nd\n"),
            ("a\r\nb\r\n", "c\nd", "c\r\nd\r\n"),
            ("a\r\nb\r\n", "c\r\nd\r\n", "c\r\nd\r\n"),
            ("a\r\nb\n", "c\nd\n", "c\nd\n"),
            ("a\nb\n", "c\r\nd\r\n", "c\r\nd\r\n"),
            ("\u{feff}a\n", "b", "\u{feff}b\n"),
            ("\u{feff}a", "\u{feff}b", "\u{feff}b"),
            ("a", "b\n", "b\n"),
            ("a\n", "", ""),
            ("", "x", "x"),
        ] {
            assert_eq!(Style::of(old).put_on(new), written, "{old:?} <- {new:?}");
        }
    }
}
