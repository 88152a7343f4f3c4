//! stdout for people and pipes: written whole, and quiet when its reader goes away.
//!
//! Invariant: nothing is printed with a macro that panics. A closed stdout is an error of its own kind, which no other
//! broken pipe is taken for.

use std::io::{self, Write};

/// stdout. A broken pipe becomes [`ReaderGone`].
pub(super) struct Output<W = io::Stdout>(W);

/// The reader of stdout went away, as `head` does.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stdout is gone")]
pub(super) struct ReaderGone;

impl Output {
    pub(super) fn stdout() -> Self {
        Self(io::stdout())
    }
}

/// How wide the lines of a text may be: as `COLUMNS` says, else as wide as the terminal, else 100 columns.
pub(super) fn width() -> usize {
    let said = super::options::variable("COLUMNS").and_then(|columns| columns.parse().ok());
    let terminal = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    said.or_else(terminal).filter(|columns| *columns > 0).unwrap_or(100)
}

/// Whether an error says no more than that nobody reads stdout any longer.
pub(super) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.is::<ReaderGone>() || inner.is_some_and(|inner| inner.is::<ReaderGone>())
    })
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(name_reader)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(name_reader)
    }
}

fn name_reader(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { io::Error::new(error.kind(), ReaderGone) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stdouts_own_broken_pipe_is_quiet() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let error = Output(writer).write_all(b"text").expect_err("nobody reads");
        assert!(reader_is_gone(&anyhow::Error::new(crate::export::ExportError::Write(error))));
        assert!(!reader_is_gone(&anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe))));
    }
}
