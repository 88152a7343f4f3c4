//! Runs a story: a program of the client's own world (a Lua script in Neovim, a Python client ...) against the real binary.
//!
//! A story passes when its program ends with code 0, in time, and leaves no process behind. It runs in a fresh workspace with
//! an environment of its own, in which these stand:
//!
//! | variable | what |
//! |---|---|
//! | `PILLION` | the binary under test |
//! | `PILLION_DATA_DIR`, `PILLION_LOG` | where that binary keeps its sessions and its log |
//! | `PILLION_REPO` | this checkout |
//! | `PILLION_SCRIPTS` | a directory for scripted models |
//! | `PILLION_CACHE` | what the set-up scripts have installed |
//! | `PILLION_STORY` | the mark by which a process is known that outlives its story |

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A story that takes longer hangs. Shorter than the time after which the test runner would end us, and not the story.
const PATIENCE: Duration = Duration::from_secs(100);

/// Within this time everything that a story started has to be gone.
const LEAVES_WITHIN: Duration = Duration::from_secs(3);

/// A program that plays a client.
pub(crate) struct Story {
    command: Command,
    room: TempDir,
    mark: String,
    patience: Duration,
}

impl Story {
    /// A story that this program runs; which one comes with [`Self::with`].
    pub(crate) fn new(interpreter: impl AsRef<OsStr>) -> Self {
        let room = tempfile::Builder::new().prefix("pillion-story-").tempdir().expect("a directory of our own");
        let mark = room.path().file_name().expect("a name").to_string_lossy().into_owned();
        for name in ["home", "data", "work", "scripts", "tmp"] {
            fs::create_dir(room.path().join(name)).expect("a directory");
        }
        let at = |name: &str| room.path().join(name);
        let mut command = Command::new(interpreter);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", at("home"))
            .env("TMPDIR", at("tmp"))
            .env("PILLION", env!("CARGO_BIN_EXE_pillion"))
            .env("PILLION_DATA_DIR", at("data"))
            .env("PILLION_LOG", at("pillion.log"))
            .env("PILLION_LOG_LEVEL", "debug")
            .env("PILLION_REPO", REPO)
            .env("PILLION_SCRIPTS", at("scripts"))
            .env("PILLION_CACHE", cache())
            .env("PILLION_STORY", &mark)
            .current_dir(at("work"))
            .stdin(Stdio::null())
            .process_group(0);
        Self { command, room, mark, patience: PATIENCE }
    }

    /// Further arguments. One that names a file of this checkout stands for its whole path.
    pub(crate) fn with<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            let in_checkout = Path::new(REPO).join(argument.as_ref());
            if in_checkout.exists() {
                self.command.arg(in_checkout)
            } else {
                self.command.arg(argument)
            };
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// For a story that needs more than the usual time. Give the test runner's file an override as well.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Tells the story; panics with all that it said unless it passed.
    pub(crate) fn run(mut self) {
        let output = self.room.path().join("output");
        // A file, not a pipe: whoever holds a pipe's other end could keep us waiting.
        let file = File::create(&output).expect("a file for the output");
        self.command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        let program = self.command.get_program().to_owned();
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let group = pid(child.id());
        let in_time = Process::open(group).is_some_and(|leader| leader.gone_before(Instant::now() + self.patience));
        if !in_time {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = child.wait().expect("an end");
        let left = left_behind(&self.mark);
        let _ = kill_process_group(group, Signal::KILL);
        let said = fs::read(&output).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        assert!(in_time, "the story hangs; after {:?} it was ended. It had said:\n{said}", self.patience);
        assert!(status.success(), "the story ended with {status}:\n{said}");
        assert!(left.is_empty(), "these were left behind: {left:#?}\nThe story had said:\n{said}");
    }
}

/// A program that a set-up script installs into the cache; without it the test fails with the command that mends it.
pub(crate) fn installed(path: &str, script: &str) -> PathBuf {
    let path = cache().join(path);
    assert!(path.exists(), "{} is missing; `bash {script}` installs it", path.display());
    path
}

/// A program that a set-up script installs with the system's packages.
pub(crate) fn on_path(program: &str, script: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not in the PATH; `bash {script}` installs it"))
}

/// This checkout.
const REPO: &str = env!("CARGO_MANIFEST_DIR");

/// Where the set-up scripts install things: the rule of `scripts/common.sh`.
fn cache() -> PathBuf {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home directory")).join(".cache");
    named.unwrap_or_else(home).join("pillion")
}

/// Waits until nobody carries the mark any more. Whoever still does when the time is over is ended and named.
fn left_behind(mark: &str) -> Vec<String> {
    let deadline = Instant::now() + LEAVES_WITHIN;
    let mut left = Vec::new();
    // Each round waits for all that it saw; what those may have started meanwhile is seen by the next.
    loop {
        let marked = marked(mark);
        if marked.is_empty() {
            return left;
        }
        for (pid, process) in marked {
            if !process.gone_before(deadline) {
                let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
                left.push(format!("{}: {}", pid.as_raw_nonzero(), String::from_utf8_lossy(&words).replace('\0', " ")));
                let _ = kill_process(pid, Signal::KILL);
                process.gone_before(Instant::now() + LEAVES_WITHIN);
            }
        }
    }
}

/// The processes that were started with the mark in their environment and have not ended.
fn marked(mark: &str) -> Vec<(Pid, Process)> {
    let wanted = format!("PILLION_STORY={mark}");
    let numbers = fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let found = numbers.filter_map(|number| {
        let process = Process::open(pid(number))?;
        let environment = environment(number)?;
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes()).then_some((pid(number), process))
    });
    found.collect()
}

/// What a process was started with. One that is just replacing its program has no environment for a moment, which is waited out:
/// else it would be overlooked. One that hides its environment for longer is taken to have none.
fn environment(number: u32) -> Option<Vec<u8>> {
    let deadline = Instant::now() + LEAVES_WITHIN;
    loop {
        let environment = fs::read(format!("/proc/{number}/environ")).ok()?;
        if !environment.is_empty() || Instant::now() > deadline || has_none(&fs::read_to_string(format!("/proc/{number}/stat")).ok()?) {
            return Some(environment);
        }
        std::thread::yield_now();
    }
}

/// Whether the process of this line of `/proc/<pid>/stat` has no environment for good: it has ended, is the kernel's, or was given none.
fn has_none(stat: &str) -> bool {
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let (_, after_the_name) = stat.rsplit_once(')').expect("a name in parentheses");
    // The first of these is the third field of proc(5).
    let fields: Vec<&str> = after_the_name.split_whitespace().collect();
    let number = |field: usize| fields[field - 3].parse::<u64>().expect("a number");
    // The place of the code is the last thing that becomes known of a new program.
    let (code_ends, begins, ends) = (number(27), number(50), number(51));
    matches!(fields[0], "Z" | "X") || number(9) & KERNEL_THREAD != 0 || (code_ends != 0 && begins == ends)
}

/// A process by its handle, so that a number that is used again is never mistaken for it.
struct Process(OwnedFd);

impl Process {
    fn open(pid: Pid) -> Option<Self> {
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// Waits for its end, at most until `deadline`; says whether it came.
    fn gone_before(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let time = Timespec { tv_sec: left.as_secs().try_into().expect("some seconds"), tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&time)).expect("a pidfd can be polled") > 0
    }
}

fn pid(number: u32) -> Pid {
    number.try_into().ok().and_then(Pid::from_raw).expect("a process id")
}

#[test]
fn a_story_runs_in_a_room_of_its_own_with_the_real_binary() {
    let checks = r#"set -eu; [ -z "$(ls)" ]; [ "$HOME" != "$PILLION_REPO" ]; [ -f "$PILLION_REPO/Cargo.toml" ]; "$PILLION" --version | grep '^pillion '"#;
    Story::new("sh").with(["-c", checks]).env("EXTRA", "1").run();
}

#[test]
#[should_panic(expected = "the story ended with exit status: 3:\nwhat was wrong\n")]
fn a_story_that_fails_shows_what_it_said() {
    Story::new("sh").with(["-c", "echo what was wrong >&2; exit 3"]).run();
}

#[test]
fn a_process_that_is_replacing_its_program_is_not_overlooked() {
    for _ in 0..200 {
        let mut child = Command::new("sleep").arg("600").env("PILLION_STORY", "replacing").spawn().expect("a process");
        let seen = environment(child.id()).expect("its environment");
        let _ = child.kill();
        child.wait().expect("an end");
        assert!(seen.split(|&byte| byte == 0).any(|variable| variable == b"PILLION_STORY=replacing"), "{seen:?}");
    }
}

#[test]
#[should_panic(expected = "sleep 600")]
fn a_story_that_leaves_a_process_behind_fails_and_the_process_is_ended() {
    Story::new("sh").with(["-c", "setsid sleep 600 & exit 0"]).run();
}
