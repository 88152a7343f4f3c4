//! A reader that ends with an error as soon as its turn is stopped, so that one large file holds up nothing.

use std::io::{self, Read};

pub(super) struct Stoppable<'a, R> {
    pub(super) text: R,
    pub(super) stopped: &'a dyn Fn() -> bool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.stopped)() { Err(io::Error::other("the turn was stopped")) } else { self.text.read(buffer) }
    }
}
