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
    let (version, target) = (variable("CARGO_PKG_VERSION"), variable("TARGET"));
    // An unpacked crate may lie inside somebody else's repository: only a checkout of our own names a commit.
    let is_checkout = Path::new(".git").exists();
    let commit = is_checkout.then(|| git(&["rev-parse", "--short=12", "HEAD"])).flatten();
    let parts: Vec<&str> = [Some(channel), commit.as_deref(), Some(target.as_str())].into_iter().flatten().collect();
    println!("cargo::rustc-env=PILLION_VERSION={version}");
    println!("cargo::rustc-env=PILLION_CHANNEL={channel}");
    println!("cargo::rustc-env=PILLION_TARGET={target}");
    println!("cargo::rustc-env=PILLION_VERSION_LINE={version} ({})", parts.join(", "));
    println!("cargo::rerun-if-env-changed=PILLION_CHANNEL");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-changed=build.rs");
    let Some(commit) = commit else { return };
    println!("cargo::rustc-env=PILLION_COMMIT={commit}");
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
