//! The benchmarks: one command, one table. `just bench` measures; `docs/performance.md` tells what.
//!
//! Invariant: the program is the real one behind real pipes, the model is a server in this process, and each row is
//! measured beside its floor, round by round. Without `--bench`, as test runners call it, every row is played once and
//! no time is judged.

mod arguments;
mod disk;
mod figures;
mod hog;
#[path = "../../tests/support/model_server.rs"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod model_server;
mod peer;
mod process;
mod relay;
mod report;
mod rows;
mod scenario;
mod stage;

use anyhow::{Context as _, bail, ensure};
use arguments::{Arguments, SMOKE_TEST, Task};
use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scenario::Scenario;
use stage::{Effort, Stage};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest that one scenario may take: what hangs is a defect with a name.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some(relay::ROLE) => return relay::run(&words.next().context("a relay needs the model server's address")?),
        Some(hog::ROLE) => return hog::run(Path::new(&words.next().context("it needs a file to write to")?)),
        _ => {}
    }
    let arguments = Arguments::parse();
    match arguments.task() {
        Task::List => {
            report::say(&format!("{SMOKE_TEST}: test\n"));
            Ok(())
        }
        Task::Nothing => Ok(()),
        Task::Smoke => played(&arguments, &Effort::SMOKE).map(drop),
        Task::Measure => {
            let effort = if arguments.quick { &Effort::QUICK } else { &Effort::FULL };
            let stage = played(&arguments, effort)?;
            report::tell(&stage, arguments.is_complete())
        }
    }
}

/// Plays every scenario that a wanted row needs, so many rounds, and gives back what was measured.
fn played(arguments: &Arguments, effort: &'static Effort) -> anyhow::Result<Stage> {
    raise_descriptor_limit()?;
    // One thread: this process and the program share the processors, and a time is taken where the event is seen.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stage = Stage::new(arguments.binary(), arguments.against.clone(), effort)?;
    runtime.block_on(async {
        tokio::select! {
            done = rounds(&mut stage, arguments) => done,
            // Dropping the rounds ends every process, dropping the stage removes every file.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })?;
    let measured = stage.book.figures().len();
    let wanted = rows::ROWS.iter().filter(|spec| arguments.wants(spec)).count();
    ensure!(measured >= wanted, "{measured} of {wanted} rows were measured; each row needs a scenario that plays it");
    for book in [Some(&mut stage.book), stage.other.as_mut().map(|other| &mut other.book)].into_iter().flatten() {
        book.keep(|spec| arguments.wants(spec));
    }
    Ok(stage)
}

async fn rounds(stage: &mut Stage, arguments: &Arguments) -> anyhow::Result<()> {
    let wanted: Vec<Scenario> =
        Scenario::ALL.into_iter().filter(|scenario| scenario.rows().iter().any(|row| arguments.wants(row.spec()))).collect();
    ensure!(!wanted.is_empty(), "no row has such a name; they are {}", rows::ids());
    let since = Instant::now();
    for round in 0..stage.effort.rounds {
        for scenario in wanted.iter().filter(|scenario| round % scenario.every() == 0) {
            for _ in 0..stage.programs() {
                let play = tokio::time::timeout(PATIENCE, scenario.play(stage));
                play.await.with_context(|| format!("{scenario:?} hangs"))?.with_context(|| format!("{scenario:?} failed"))?;
                stage.change_places();
            }
        }
        // They take turns at being the first.
        stage.change_places();
        report::progress(round + 1, stage.effort.rounds, since.elapsed());
    }
    if stage.effort.rounds % 2 == 1 {
        stage.change_places();
    }
    Ok(())
}

/// The model server holds a thousand connections.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum.map(|most| most.min(65_536)), maximum })?)
}
