//! The log as a person finds it on the disk.

use super::file::LogFile;
use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tracing::{debug, info, info_span, subscriber};

fn keep(line: &str) -> Cow<'_, str> {
    Cow::Borrowed(line)
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

fn log_file(path: &Path, full: u64) -> LogFile {
    LogFile::new(path.to_owned(), Box::new(keep), std::sync::mpsc::channel().0).full_at(full)
}

#[test]
fn a_line_shows_the_fields_of_its_spans() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("state/pillion.log");
    let (subscriber, telemetry) = open(&path, LevelFilter::INFO, Box::new(keep));
    subscriber::with_default(subscriber, || {
        let _turn = info_span!("turn", turn_id = "turn_1").entered();
        let _abort = info_span!("abort", abort_id = "abort_1").entered();
        info!(settle_us = 7, "turn settled");
    });
    telemetry.flush();
    let [line] = &lines(&path)[..] else { panic!("one line") };
    assert_eq!((&line["message"], &line["settle_us"]), (&"turn settled".into(), &7.into()));
    let ids: Vec<_> = line["spans"].as_array().expect("spans").iter().map(|span| (&span["turn_id"], &span["abort_id"])).collect();
    assert_eq!(ids, [(&"turn_1".into(), &serde_json::Value::Null), (&serde_json::Value::Null, &"abort_1".into())]);
    assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
}

#[test]
fn the_file_is_made_by_the_first_line_and_other_crates_have_none() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("pillion.log");
    let (subscriber, telemetry) = open(&path, LevelFilter::TRACE, Box::new(keep));
    subscriber::with_default(subscriber, || tracing::error!(target: "hyper::proto", "bytes of a prompt"));
    telemetry.flush();
    assert!(!path.exists());
}

#[test]
fn the_level_changes_while_the_log_runs() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("pillion.log");
    let (subscriber, telemetry) = open(&path, LevelFilter::INFO, Box::new(keep));
    subscriber::with_default(subscriber, || {
        for (level, name) in [(None, "configured"), (Some(LevelFilter::DEBUG), "more"), (Some(LevelFilter::OFF), "none"), (None, "back")] {
            telemetry.level.set(level);
            info!("{name} info");
            debug!("{name} debug");
        }
    });
    telemetry.flush();
    let seen: Vec<String> = lines(&path).iter().map(|line| line["message"].as_str().expect("a message").to_owned()).collect();
    assert_eq!(seen, ["configured info", "more info", "more debug", "back info"]);
}

#[test]
fn every_line_is_scrubbed_with_its_span_fields() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("pillion.log");
    let (subscriber, telemetry) = open(&path, LevelFilter::INFO, Box::new(|line| Cow::Owned(line.replace("sk-canary", "[redacted:key]"))));
    subscriber::with_default(subscriber, || {
        let _span = info_span!("request", client = "sk-canary").entered();
        info!(code = "sk-canary", "failed with sk-canary");
    });
    telemetry.flush();
    let text = std::fs::read_to_string(&path).expect("a log");
    assert_eq!((text.matches("sk-canary").count(), text.matches("[redacted:key]").count()), (0, 3));
}

#[test]
fn a_full_file_becomes_the_old_one_and_the_disk_holds_two() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("pillion.log");
    let mut file = log_file(&path, 100);
    for number in 0..50 {
        file.write_all(format!("line {number} {}\n", "x".repeat(30)).as_bytes()).expect("written");
    }
    let read = |name: &str| std::fs::read_to_string(home.path().join(name)).expect(name);
    let (new, old) = (read("pillion.log"), read("pillion.log.1"));
    assert!(new.len() < 150 && old.len() < 150, "{} {}", new.len(), old.len());
    assert!(new.lines().last().expect("a line").starts_with("line 49 "));
    let numbers: Vec<usize> =
        old.lines().chain(new.lines()).map(|line| line.split(' ').nth(1).expect("a number").parse().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|a, b| a + 1 == *b), "no line is lost in between: {numbers:?}");
    assert_eq!(std::fs::read_dir(home.path()).expect("a directory").count(), 2);
}

#[test]
fn two_processes_rotate_once() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("pillion.log");
    let (mut one, mut other) = (log_file(&path, 20), log_file(&path, 20));
    one.write_all(b"from one, and full now\n").expect("written");
    other.write_all(b"x\n").expect("written");
    one.write_all(b"from one again\n").expect("written");
    other.write_all(b"other\n").expect("written");
    assert_eq!(std::fs::read_to_string(home.path().join("pillion.log.1")).expect("old"), "from one, and full now\n");
    assert_eq!(std::fs::read_to_string(&path).expect("new"), "x\nfrom one again\nother\n");
}

#[test]
fn a_log_that_cannot_be_written_is_lost_until_it_can() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("state");
    std::fs::write(&directory, "a file in the way").expect("written");
    let path = directory.join("pillion.log");
    let mut file = log_file(&path, 1000);
    file.write_all(b"lost\n").expect("no error");
    std::fs::remove_file(&directory).expect("removed");
    file.write_all(b"kept\n").expect("no error");
    assert_eq!(std::fs::read_to_string(&path).expect("a log"), "kept\n");
}

#[test]
fn a_link_in_the_place_of_the_log_is_not_followed() {
    let home = tempfile::tempdir().expect("a directory");
    let (path, target): (PathBuf, PathBuf) = (home.path().join("pillion.log"), home.path().join("target"));
    std::os::unix::fs::symlink(&target, &path).expect("a link");
    log_file(&path, 1000).write_all(b"line\n").expect("no error");
    assert!(!target.exists());
}
