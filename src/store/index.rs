//! The index of the write-ahead log as bytes (<https://sqlite.org/walformat.html#the_wal_index_file_format>): for each frame the
//! page that it holds, and for each page a way to find it.
//!
//! Invariant: the file is never closed. SQLite holds locks on it, and closing any handle of a file drops all locks that its
//! process has on it.

use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What has one look-up table.
const BLOCK: usize = 32_768;
/// Where in a block the table begins. Before it stand the pages of the frames, in the first block behind its head.
const TABLE: usize = BLOCK / 2;
const HEAD: usize = 136;
const SLOTS: usize = 8_192;

#[derive(Debug)]
pub(super) struct Index(ManuallyDrop<File>);

impl Index {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(ManuallyDrop::new(open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?.into())))
    }

    /// Whether it leads to every frame of the log.
    ///
    /// # Errors
    /// One of the two could not be read, which says nothing of it.
    pub(super) fn is_sound(&self, pages: impl Iterator<Item = io::Result<u32>>) -> io::Result<bool> {
        let (mut pages, mut block) = (pages.peekable(), vec![0; BLOCK]);
        for number in 0_u64.. {
            if pages.peek().is_none() {
                break;
            }
            match self.0.read_exact_at(&mut block, number * BLOCK as u64) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
            let begin = if number == 0 { HEAD } else { 0 };
            for (frame, page) in pages.by_ref().take((TABLE - begin) / 4).enumerate() {
                let (page, at) = (page?, begin + 4 * frame);
                if block[at..at + 4] != page.to_ne_bytes() || !leads_to(&block[TABLE..], page, frame) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn leads_to(table: &[u8], page: u32, frame: usize) -> bool {
    let first = (page as usize).wrapping_mul(383) % SLOTS;
    let slots = (0..SLOTS).map(|step| 2 * ((first + step) % SLOTS)).map(|at| u16::from_ne_bytes([table[at], table[at + 1]]));
    slots.take_while(|slot| *slot != 0).any(|slot| usize::from(slot) == frame + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{log, wal};

    #[test]
    fn an_index_leads_to_each_frame_until_it_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = |suffix: &str| dir.path().join(format!("a.db{suffix}"));
        let conn = rusqlite::Connection::open(path("")).unwrap();
        conn.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);").unwrap();
        conn.execute_batch("INSERT INTO t VALUES (zeroblob(20000000)); INSERT INTO t VALUES (zeroblob(9000))").unwrap();
        let frames = log::progress(&conn).unwrap().frames;
        assert!(frames > 4_800, "more than one block: {frames}");
        let (log, index) = (wal::open_log(&path("-wal")).unwrap(), Index::open(&path("-shm")).unwrap());
        let is_sound = |frames| index.is_sound(wal::pages(&log, frames, 4096)).unwrap();
        for sound in [0, 1, 4_062, 4_063, frames] {
            assert!(is_sound(sound), "{sound}");
        }
        let file = ManuallyDrop::new(File::options().write(true).open(path("-shm")).unwrap());
        for (at, bytes) in [(HEAD, 4), (TABLE, TABLE), (BLOCK, 4), (BLOCK + TABLE, TABLE)] {
            let mut was = vec![0; bytes];
            index.0.read_exact_at(&mut was, at as u64).unwrap();
            file.write_all_at(&vec![0xAA; bytes], at as u64).unwrap();
            assert!(!is_sound(frames), "{at}");
            file.write_all_at(&was, at as u64).unwrap();
        }
        assert!(is_sound(frames));
    }
}
