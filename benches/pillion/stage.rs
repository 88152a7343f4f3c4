//! What the scenarios play on: the program, a directory on the disk that counts, and how much is done.

use crate::disk::Disk;
use crate::figures::Book;
use crate::model_server::ModelServer;
use crate::peer::{Home, Peer, Pillion};
use crate::scenario::growth::Seeds;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How much of everything is done.
#[derive(Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Starts of the program, a round.
    pub(crate) starts: usize,
    /// Prompts that are followed in all their times, a round.
    pub(crate) prompts: usize,
    /// Cancels at each moment, a round.
    pub(crate) cancels: usize,
    /// Tokens that follow the first at a pace, a prompt.
    pub(crate) later: usize,
    /// Processes that load, and as many that export, a round.
    pub(crate) readings: usize,
    /// Tokens of a burst.
    pub(crate) burst: usize,
    /// Prompts of a conversation, the first one included.
    pub(crate) conversation: usize,
    /// Sessions that hang at once.
    pub(crate) crowd: usize,
    /// Messages of the stored sessions.
    pub(crate) stored: [usize; 3],
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        rounds: 12,
        starts: 6,
        prompts: 20,
        later: 5,
        cancels: 6,
        readings: 3,
        burst: 20_000,
        conversation: 50,
        crowd: 1_000,
        stored: [50, 1_000, 10_000],
    };
    pub(crate) const QUICK: Self = Self { rounds: 2, ..Self::FULL };
    /// Whether it runs, not how fast.
    pub(crate) const SMOKE: Self = Self {
        rounds: 1,
        starts: 1,
        prompts: 1,
        later: 1,
        cancels: 1,
        readings: 1,
        burst: 50,
        conversation: 2,
        crowd: 3,
        stored: [2, 4, 8],
    };
}

/// One run. Dropping it removes every file.
pub(crate) struct Stage {
    pub(crate) effort: &'static Effort,
    pub(crate) book: Book,
    pub(crate) binary: PathBuf,
    /// The program that it is compared with.
    pub(crate) other: Option<Other>,
    pub(crate) disk: Disk,
    /// Sessions of several sizes, once they were made.
    pub(crate) seeds: Option<Seeds>,
    root: TempDir,
}

/// Another program, and what was measured of it.
pub(crate) struct Other {
    pub(crate) binary: PathBuf,
    pub(crate) book: Book,
}

impl Stage {
    pub(crate) fn new(binary: PathBuf, against: Option<PathBuf>, effort: &'static Effort) -> anyhow::Result<Self> {
        // Below `target`, which is on a disk, as sessions are; `/tmp` is memory on many machines.
        let root = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let disk = Disk::open(root.path())?;
        let other = against.map(|binary| Other { binary, book: Book::default() });
        Ok(Self { effort, book: Book::default(), binary, other, disk, seeds: None, root })
    }

    /// How many programs are measured.
    pub(crate) fn programs(&self) -> usize {
        1 + usize::from(self.other.is_some())
    }

    /// From now on it is about the other program, if there is one.
    pub(crate) fn change_places(&mut self) {
        if let Some(other) = &mut self.other {
            std::mem::swap(&mut self.binary, &mut other.binary);
            std::mem::swap(&mut self.book, &mut other.book);
        }
    }

    /// A directory for whatever else is to lie on the same disk.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn home(&self) -> anyhow::Result<Home> {
        Home::new(self.root.path())
    }

    /// A pillion that was initialized and asks `server`.
    pub(crate) async fn asking(&self, server: &ModelServer, home: &Home) -> anyhow::Result<Pillion> {
        let url = server.base_url();
        Pillion::ready(&self.binary, home, &["--model", "openai:bench", "--title-model", "none", "--base-url", &url]).await
    }
}

/// The floor's process, asking `server`.
pub(crate) fn relay_to(server: &ModelServer) -> anyhow::Result<Peer> {
    Peer::relay(&format!("127.0.0.1:{}", server.port()))
}
