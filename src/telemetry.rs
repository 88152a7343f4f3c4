//! The log: one JSON object a line, in a file of bounded size, for people who look for defects.
//!
//! Invariant: nothing depends on the log. Writing to it never waits, never fails and never reaches stdout or stderr;
//! when the disk is slow, lines are lost. No line holds a text of a prompt, a model or a tool, and none a known key
//! or what looks like one.
//! Every line shows the fields of the spans it stands in, such as `turn_id` and `abort_id`.

mod file;
#[cfg(test)]
mod tests;

use file::LogFile;
use std::borrow::Cow;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Registry, reload};

/// Takes every known key out of a line.
pub type Scrubber = Box<dyn for<'a> Fn(&'a str) -> Cow<'a, str> + Send>;

/// The running log.
pub struct Telemetry {
    writer: NonBlocking,
    flushed: Receiver<()>,
    level: Level,
    // Never dropped: its `drop` prints to stdout when the disk is stuck. `flush` does its work instead.
    _worker: ManuallyDrop<WorkerGuard>,
}

/// The level in force and the one that was configured.
struct Level {
    configured: LevelFilter,
    filter: reload::Handle<Targets, Registry>,
}

/// The level of the process's own log, for [`set_level`].
static LEVEL: OnceLock<Level> = OnceLock::new();

/// Lines that may wait for the disk. A line costs a few hundred bytes, an empty queue 40 kB.
const QUEUE: usize = 1024;

/// How long the end of the process waits for the log.
const FLUSH_WAIT: Duration = Duration::from_millis(250);

/// Starts the log of this process. The file is opened with the first line, by the log's own thread.
pub fn start(file: &Path, level: LevelFilter, scrub: Scrubber) -> Telemetry {
    let (subscriber, telemetry) = open(file, level, scrub);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = LEVEL.set(Level { configured: level, filter: telemetry.level.filter.clone() });
    }
    telemetry
}

/// Changes how much is logged (`$/setTrace`); `None` goes back to the configured level.
pub fn set_level(level: Option<LevelFilter>) {
    if let Some(log) = LEVEL.get() {
        log.set(level);
    }
}

impl Telemetry {
    /// Waits, but not for long, until every line so far is in the file.
    pub fn flush(&self) {
        while self.flushed.try_recv().is_ok() {}
        // An empty line is the mark at which the file reports back.
        if self.writer.clone().write(&[]).is_ok() {
            let _ = self.flushed.recv_timeout(FLUSH_WAIT);
        }
    }
}

impl Level {
    fn set(&self, level: Option<LevelFilter>) {
        // Fails only when the subscriber is gone, and with it the log.
        let _ = self.filter.reload(own_targets(level.unwrap_or(self.configured)));
    }
}

/// A subscriber that writes to `file`, and the handle to it.
fn open(file: &Path, level: LevelFilter, scrub: Scrubber) -> (impl Subscriber + Send + Sync + use<>, Telemetry) {
    let (reports, flushed) = std::sync::mpsc::channel();
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("pillion-log")
        .finish(LogFile::new(file.to_owned(), scrub, reports));
    let (filter, handle) = reload::Layer::new(own_targets(level));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .log_internal_errors(false)
        .with_writer(writer.clone());
    let telemetry = Telemetry { writer, flushed, level: Level { configured: level, filter: handle }, _worker: ManuallyDrop::new(worker) };
    (tracing_subscriber::registry().with(filter).with(lines), telemetry)
}

/// Our own lines only: at their lowest levels HTTP and RPC crates log the bytes that pass through them.
fn own_targets(level: LevelFilter) -> Targets {
    Targets::new().with_target("pillion", level)
}
