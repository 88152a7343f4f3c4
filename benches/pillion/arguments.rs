//! What the command line asks for: as cargo's own bench runner it measures, as a test it plays every row once.

use crate::rows::Spec;
use clap::Parser;
use std::path::{Path, PathBuf};

/// The one test that a test runner sees.
pub(crate) const SMOKE_TEST: &str = "every_row_is_measured";

/// Measures pillion against a scripted model server and against a floor of the same run
#[derive(Debug, Parser)]
#[command(name = "just bench")]
pub(crate) struct Arguments {
    /// Fewer rounds: seconds instead of minutes, and nothing is kept
    #[arg(long)]
    pub(crate) quick: bool,
    /// The program to measure, instead of the one that cargo built beside this
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Another program, measured in turn with the first in the same rounds; tells the ratios, and nothing is kept
    #[arg(long, value_name = "PATH")]
    pub(crate) against: Option<PathBuf>,
    /// Keep the table of a complete run; `just bench` says so of the release build
    #[arg(long)]
    keep: bool,
    /// Only rows with one of these words in their name
    #[arg(value_name = "ROW")]
    filters: Vec<String>,
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
    #[command(flatten)]
    of_test_runners: OfTestRunners,
}

/// What `cargo test` and nextest say to any test program.
#[derive(Debug, clap::Args)]
struct OfTestRunners {
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    format: Option<String>,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Name the test.
    List,
    /// A test runner wants other tests.
    Nothing,
    /// Every row once, no figure.
    Smoke,
    Measure,
}

impl Arguments {
    pub(crate) fn task(&self) -> Task {
        let runner = &self.of_test_runners;
        if self.bench && !self.test {
            return Task::Measure;
        }
        let is_named = self.filters.is_empty() || self.filters.iter().any(|filter| SMOKE_TEST.contains(filter));
        match (runner.ignored || !is_named, runner.list) {
            (true, _) => Task::Nothing,
            (false, true) => Task::List,
            (false, false) => Task::Smoke,
        }
    }

    /// Whether the row is asked for; as a test, every row is.
    pub(crate) fn wants(&self, spec: &Spec) -> bool {
        self.task() != Task::Measure || self.filters.is_empty() || self.filters.iter().any(|filter| spec.id.contains(filter))
    }

    /// Whether the run is one that can be compared with others.
    pub(crate) fn is_complete(&self) -> bool {
        self.keep && !self.quick && self.against.is_none() && self.filters.is_empty()
    }

    pub(crate) fn binary(&self) -> PathBuf {
        self.binary.clone().unwrap_or_else(|| Path::new(env!("CARGO_BIN_EXE_pillion")).to_owned())
    }
}
