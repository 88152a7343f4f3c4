//! A process that keeps the disk busy: it writes and waits for the disk, over and over, and uses no more than a little space.

use anyhow::Context as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The first argument that makes this program one; the second is the file that it writes.
pub(crate) const ROLE: &str = "hog";

/// What is written between two waits, and how often until it begins anew at the start of the file.
const PIECE: usize = 1 << 20;
const PIECES: usize = 32;

/// Lives until stdin ends, and removes its file.
pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    static ENDED: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        ENDED.store(true, Ordering::Relaxed);
    });
    let mut file = File::create_new(path).context("it has a file of its own")?;
    let piece = vec![0x5A; PIECE];
    let written = (|| {
        for n in 0.. {
            if n % PIECES == 0 {
                file.rewind()?;
            }
            file.write_all(&piece)?;
            file.sync_all()?;
            if n == 0 {
                // Whoever waits for this knows that the disk is at work.
                io::stdout().write_all(b"busy\n")?;
            }
            if ENDED.load(Ordering::Relaxed) {
                break;
            }
        }
        io::Result::Ok(())
    })();
    std::fs::remove_file(path)?;
    Ok(written?)
}
