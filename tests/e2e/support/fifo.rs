//! A pipe between a test and a command that it has pillion run: the command says by it how far it has come.

use crate::support::Home;
use crate::support::process::Watched;
use std::time::Duration;

/// What the command writes into this file of its workspace is read as it comes.
pub(crate) struct Fifo(std::path::PathBuf);

impl Fifo {
    pub(crate) fn new(home: &Home) -> Self {
        let path = home.workspace().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
        Self(path)
    }

    /// Numbers that the command has written, by which it also says that it has come so far.
    pub(crate) async fn pids(&self) -> Vec<u32> {
        let path = self.0.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).expect("what the command writes"));
        let text = tokio::time::timeout(Duration::from_secs(20), read).await.expect("in time").expect("read");
        text.split_whitespace().map(|pid| pid.parse().expect("a process id")).collect()
    }

    /// Writes for the command, which reads it.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("the command reads");
    }

    pub(crate) async fn watched(&self) -> Vec<Watched> {
        self.pids().await.into_iter().map(Watched::open).collect()
    }
}

pub(crate) async fn all_gone(processes: Vec<Watched>, within: Duration) {
    for process in processes {
        assert!(process.gone_within(within).await, "a process is left");
    }
}
