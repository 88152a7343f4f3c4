//! Stamps what the built program says of itself: version, channel, target and, in a git checkout, the commit.
//!
//! No date is stamped, so two builds of one commit are the same build.

use std::path::Path;
use std::process::Command;

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let channel = match (variable("PILLION_CHANNEL").as_str(), std::env::var_os("CI")) {
        ("release", _) => "release",
        (_, Some(_)) => "ci",
        _ => "dev",
    };
    println!("cargo::rustc-env=PILLION_VERSION={}", variable("CARGO_PKG_VERSION"));
    println!("cargo::rustc-env=PILLION_CHANNEL={channel}");
    println!("cargo::rustc-env=PILLION_TARGET={}", variable("TARGET"));
    println!("cargo::rerun-if-env-changed=PILLION_CHANNEL");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-changed=build.rs");
    // An unpacked crate may lie inside somebody else's repository: only a checkout of our own names a commit.
    if !Path::new(".git").exists() {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=PILLION_COMMIT={commit}");
    }
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
