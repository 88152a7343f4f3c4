//! What a confined command can do, and what is told where it cannot be confined. A machine without Landlock fails here: nothing is
//! skipped.

use super::support::{SOON, Seen, all, command, keep, line, word, words};
use pillion::process::{Command, Confinement, Directory, Enforced, Exit, Hold, Kept, Network, Output, Strictness, Word, ability};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A workspace and a scratch directory that may be written to, and what lies beside them.
struct Ground {
    root: tempfile::TempDir,
    writable: Vec<Directory>,
    network: Network,
    strictness: Strictness,
}

impl Ground {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for directory in ["work", "scratch", "beside"] {
            fs::create_dir(root.path().join(directory)).expect("a directory");
        }
        fs::write(root.path().join("beside/kept"), "kept").expect("a file");
        let writable = ["work", "scratch"].map(|name| Directory::at(&root.path().join(name)).expect("a directory")).to_vec();
        Self { root, writable, network: Network::Off, strictness: Strictness::Required }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn confined(&self, program: &str, arguments: &[&str]) -> Command {
        let writable = self.writable.clone();
        let confinement = Confinement { writable, network: self.network, strictness: self.strictness };
        Command { directory: self.path("work").into(), confinement: Some(confinement), ..command(program, arguments) }
    }

    fn shell(&self, script: &str) -> (Kept, Output) {
        keep(&self.confined("/bin/sh", &["-c", script]))
    }

    /// How a script of bash ends and what it writes, after the word that it is wholly held.
    async fn ran(&self, script: &str) -> (Exit, String) {
        let (mut kept, mut output) = keep(&self.confined("/bin/bash", &["-c", script]));
        let said = words(&mut kept).await;
        let [Word::Confined(enforced), Word::Started, Word::Exited(exit), .., Word::Gone { left: 0 }] = &said[..] else {
            panic!("{script}: {said:?}")
        };
        assert_eq!(enforced.shortfall(), None, "this machine cannot run these tests: it needs Linux 6.2 with Landlock and seccomp");
        assert_eq!(enforced.network.is_some(), self.network == Network::Off);
        (*exit, all(&mut output).await)
    }

    /// Everything beside the writable directories is as it was.
    fn is_untouched(&self) {
        let names: Vec<_> =
            fs::read_dir(self.path("beside")).expect("readable").map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names, ["kept"]);
        assert_eq!(fs::read_to_string(self.path("beside/kept")).expect("readable"), "kept");
        assert_eq!(fs::read_dir(self.root.path()).expect("readable").count(), 3);
    }
}

#[tokio::test]
async fn a_confined_command_writes_where_it_may_and_to_the_devices_that_every_program_expects() {
    let ground = Ground::new();
    let script = "set -e; mkdir a; echo one >a/file; echo two >>a/file; mv a b; truncate -s 4 b/file; ln b/file b/link; ln -s b c
        cp b/file ../scratch/file; mv b/link ../scratch/link; echo x >/dev/null; head -c 4 /dev/zero >/dev/null
        echo to stderr >/dev/stderr; cat < <(echo through a pipe); cat ../beside/kept ../scratch/file; rm -r b c; ls";
    assert_eq!(ground.ran(script).await, (Exit::Code(0), "to stderr\nthrough a pipe\nkeptone\n".into()));
    assert_eq!(fs::read_to_string(ground.path("scratch/link")).expect("a file"), "one\n");
    ground.is_untouched();
}

#[tokio::test]
async fn a_confined_command_writes_nowhere_else_whichever_way_it_tries() {
    let ground = Ground::new();
    std::os::unix::fs::symlink(ground.path("beside"), ground.path("work/out")).expect("a link");
    let beside = ground.path("beside").display().to_string();
    let attempts = [
        "echo x >../beside/new",
        "echo x >../scratch/../beside/new",
        &format!("echo x >{beside}/new"),
        "echo x >out/new",
        "echo x >out/kept",
        "echo x >>../beside/kept",
        "ln -s ../beside/kept link && echo x >link",
        "truncate -s 0 ../beside/kept",
        "perl -e 'truncate(\"../beside/kept\", 0) or exit 1'",
        "echo x >file && mv file ../beside/moved",
        "echo x >file && perl -e 'rename(\"file\", \"../beside/moved\") or exit 1'",
        "perl -e 'rename(\"../beside/kept\", \"taken\") or exit 1'",
        // A hard link would be a second name for the file, in a directory that may be written to.
        "ln ../beside/kept hard && echo x >hard",
        "echo x >file && ln file ../beside/hard",
        "rm ../beside/kept",
        "mkdir ../beside/new",
        "mkfifo ../beside/new",
        "mkdir ../new",
        "echo x >'../not there'",
        "cd /proc/self/cwd/../beside && echo x >new",
    ];
    for attempt in attempts {
        let (exit, said) = ground.ran(attempt).await;
        assert!(matches!(exit, Exit::Code(1..)), "{attempt}: {exit:?}, {said}");
        ground.is_untouched();
    }
    // Its own root would be a place where names mean something else.
    let (exit, _) = ground.ran("unshare -rm sh -c 'mount --bind ../beside ../scratch && echo x >../scratch/new'").await;
    assert!(matches!(exit, Exit::Code(1..)));
    ground.is_untouched();
    // It is the confinement that stopped each of them.
    for attempt in attempts {
        let free = Ground::new();
        std::os::unix::fs::symlink(free.path("beside"), free.path("work/out")).expect("a link");
        let attempt = attempt.replace(&beside, &free.path("beside").display().to_string());
        let mut command = free.confined("/bin/bash", &["-c", &attempt]);
        command.confinement = None;
        let (mut kept, _output) = keep(&command);
        assert_eq!(words(&mut kept).await[1], Word::Exited(Exit::Code(0)), "{attempt}");
    }
}

#[tokio::test]
async fn a_confined_command_writes_to_no_terminal_of_its_users() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let theirs = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&theirs).and_then(|()| unlockpt(&theirs)).expect("its other end");
    let name = ptsname(&theirs, Vec::new()).expect("its name").into_string().expect("text");
    let ground = Ground::new();
    let (exit, said) = ground.ran(&format!("echo x >{name}")).await;
    assert!(matches!(exit, Exit::Code(1..)) && said.contains("Permission denied"), "{said}");
    let mut free = ground.confined("/bin/bash", &["-c", &format!("echo x >{name}")]);
    free.confinement = None;
    let (mut kept, _output) = keep(&free);
    assert_eq!(words(&mut kept).await[1], Word::Exited(Exit::Code(0)), "it is the confinement that stopped it");
}

#[tokio::test]
async fn what_its_keeper_was_left_open_does_not_reach_a_command() {
    let file = tempfile::tempfile().expect("a file");
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).expect("it is inherited");
    let ground = Ground::new();
    let (exit, open) = ground.ran("for fd in /proc/self/fd/*; do echo ${fd##*/}; done").await;
    assert_eq!(exit, Exit::Code(0));
    // The last is the one with which the names were read.
    assert_eq!(open, "0\n1\n2\n3\n");
    drop(file);
}

#[tokio::test]
async fn a_child_that_has_left_everything_is_confined_as_well_and_ended_as_well() {
    let ground = Ground::new();
    // The daemon has left its group, its session and its parent, and heeds no SIGTERM.
    let daemon = "trap \"\" TERM; echo $$; echo x 2>/dev/null >../beside/new || echo held; sleep 1000";
    let (mut kept, mut output) = ground.shell(&format!("(setsid sh -c '{daemon}' &); sleep 1000"));
    let daemon = Seen::next(&mut output).await;
    assert_eq!(line(&mut output).await, "held");
    kept.end(Duration::from_millis(50)).await;
    let said = words(&mut kept).await;
    assert!(said.iter().any(|word| matches!(word, Word::Killed { processes: 1.. })), "{said:?}");
    assert_eq!(said.last(), Some(&Word::Gone { left: 0 }), "{said:?}");
    assert!(daemon.is_gone(Duration::ZERO));
    ground.is_untouched();

    // And so it is when nobody waits for it any more.
    let (kept, mut output) = ground.shell("setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' & wait");
    let left = Seen::next(&mut output).await;
    drop(kept);
    assert!(left.is_gone(SOON));
}

#[tokio::test]
async fn without_a_network_only_sockets_of_this_machine_are_left() {
    let mut ground = Ground::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for socket in [tcp.set_nonblocking(true), udp.set_nonblocking(true)] {
        socket.expect("a socket that does not wait");
    }
    let [tcp_port, udp_port] = [tcp.local_addr(), udp.local_addr()].map(|address| address.expect("an address").port());
    let connects = format!("exec 3<>/dev/tcp/127.0.0.1/{tcp_port} && echo connected");
    let sends = format!("echo x >/dev/udp/127.0.0.1/{udp_port} && echo sent");
    for attempt in [&connects, &sends] {
        let (exit, said) = ground.ran(attempt).await;
        assert!(matches!(exit, Exit::Code(1)) && said.contains("Permission denied"), "{exit:?} {said}");
    }
    assert_eq!(tcp.accept().map_err(|error| error.kind()).expect_err("nobody came"), ErrorKind::WouldBlock);
    assert_eq!(udp.recv(&mut [0]).map_err(|error| error.kind()).expect_err("nothing came"), ErrorKind::WouldBlock);

    // Not by another family, not with a domain whose upper half is dirt, not by the ring that makes sockets of its own.
    let calls = r#"use Socket; use Errno;
        my ($make, $ring, $server, $client) = (SOCKET, RING);
        for ([$make, 10, 1, 0], [$make, 16, 3, 0], [$make, 17, 3, 0], [$make, 40, 1, 0], [$make, 2 | 1 << 32, 1, 0],
             [$make, 1 | 1 << 32, 1, 0], [$ring, 1, 0, 0]) {
            print syscall($_->[0], @$_[1..3]) < 0 ? ($!{EACCES} ? "EACCES " : $!{ENOSYS} ? "ENOSYS " : "$! ") : "made ";
        }
        socketpair(my $one, my $other, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "no pair: $!";
        syswrite($one, "pair "); sysread($other, my $said, 5); print $said;
        socket($server, AF_UNIX, SOCK_STREAM, 0) && bind($server, sockaddr_un("socket")) && listen($server, 1) or die "no server: $!";
        socket($client, AF_UNIX, SOCK_STREAM, 0) && connect($client, sockaddr_un("socket")) or die "no client: $!";
        print "socket\n";"#;
    let calls = calls.replace("SOCKET", &libc::SYS_socket.to_string()).replace("RING", &libc::SYS_io_uring_setup.to_string());
    assert_eq!(
        ground.ran(&format!("perl -e '{calls}'")).await,
        (Exit::Code(0), "EACCES EACCES EACCES EACCES EACCES made ENOSYS pair socket\n".into())
    );

    ground.network = Network::On;
    assert_eq!(ground.ran(&connects).await, (Exit::Code(0), "connected\n".into()));
    tcp.accept().expect("somebody came");
    assert_eq!(ground.ran(&sends).await, (Exit::Code(0), "sent\n".into()));
    ground.ran("echo x >../beside/new").await;
    ground.is_untouched();
}

#[tokio::test]
async fn without_a_network_other_processes_are_out_of_reach_of_its_signals() {
    let ground = Ground::new();
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    let (exit, _) = ground.ran(&format!("kill -KILL {}", other.id())).await;
    let lives = other.try_wait().expect("its state").is_none();
    other.kill().expect("a child of ours");
    other.wait().expect("its end");
    assert_eq!((exit, lives), (Exit::Code(1), true), "Linux 6.12 and newer hold signals");
}

#[tokio::test]
async fn a_command_that_is_not_confined_may_do_what_its_user_may() {
    let ground = Ground::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let script = format!("echo x >../beside/new; exec 3<>/dev/tcp/127.0.0.1/{port}; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status");
    let free = Command { directory: ground.path("work").into(), ..command("/bin/bash", &["-c", &script]) };
    let (mut kept, mut output) = keep(&free);
    assert_eq!(words(&mut kept).await, [Word::Started, Word::Exited(Exit::Code(0)), Word::Gone { left: 0 }]);
    let status = fs::read_to_string("/proc/thread-self/status").expect("the state of this thread");
    let ours = status.lines().filter(|line| line.starts_with("NoNewPrivs:") || line.starts_with("Seccomp:"));
    assert_eq!(all(&mut output).await.lines().collect::<Vec<_>>(), ours.collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(ground.path("beside/new")).expect("a file"), "x\n");
}

#[tokio::test]
async fn a_directory_that_was_exchanged_for_a_link_to_another_one_lends_it_nothing() {
    let ground = Ground::new();
    // What a command with a writable directory above could have done.
    fs::remove_dir(ground.path("scratch")).expect("removed");
    std::os::unix::fs::symlink("beside", ground.path("scratch")).expect("a link");
    let (exit, said) = ground.ran("echo x >../scratch/new && echo written; echo y >here && echo written").await;
    assert_eq!((exit, said.lines().last()), (Exit::Code(0), Some("written")), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    ground.is_untouched();
    assert_eq!([ground.writable[0].is_in_its_place(), ground.writable[1].is_in_its_place()], [true, false]);
}

#[tokio::test]
async fn a_directory_whose_name_is_no_text_can_be_allowed() {
    let ground = Ground::new();
    let odd = ground.path("work").join(PathBuf::from(std::ffi::OsString::from_vec(b"\xff\"\n".to_vec())));
    fs::create_dir(&odd).expect("a directory");
    let confinement =
        Confinement { writable: vec![Directory::at(&odd).expect("a directory")], network: Network::Off, strictness: Strictness::Required };
    let script = "echo x >file; echo x >../file || echo held";
    let narrow = Command { directory: odd.clone().into(), confinement: Some(confinement), ..command("/bin/sh", &["-c", script]) };
    let (mut kept, mut output) = keep(&narrow);
    assert_eq!(words(&mut kept).await.last(), Some(&Word::Gone { left: 0 }));
    assert!(all(&mut output).await.ends_with("held\n"));
    assert_eq!((odd.join("file").exists(), ground.path("work/file").exists()), (true, false));
}

/// From now on this thread, and every keeper that it starts, has no such system call: a machine that cannot confine.
fn without(call: libc::c_long) {
    let arch = std::env::consts::ARCH.try_into().expect("an architecture that can be filtered");
    let error = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(BTreeMap::from([(call, vec![])]), SeccompAction::Allow, error, arch).expect("a filter");
    seccompiler::apply_filter(&BpfProgram::try_from(filter).expect("a filter")).expect("a filtered thread");
}

/// What is said of a command that leaves a file beside, once if as much as can be held will do and once if all of it must.
async fn both(ground: &mut Ground) -> (Enforced, Vec<Word>) {
    ground.strictness = Strictness::BestEffort;
    let (mut kept, _output) = ground.shell("echo x >../beside/new");
    let Some(Word::Confined(enforced)) = word(&mut kept).await else { panic!("it is not told what is held") };
    assert_eq!(words(&mut kept).await.last(), Some(&Word::Gone { left: 0 }), "it runs");
    ground.strictness = Strictness::Required;
    let (mut kept, _output) = ground.shell("echo x >../beside/never");
    (enforced, words(&mut kept).await)
}

fn wrote(ground: &Ground, name: &str) -> bool {
    Path::new(&ground.path("beside").join(name)).exists()
}

#[tokio::test]
async fn a_machine_that_cannot_hold_writes_says_so_and_runs_nothing_that_must_be_held() {
    let mut ground = Ground::new();
    without(libc::SYS_landlock_create_ruleset);
    let (enforced, refused) = both(&mut ground).await;
    let why = "Landlock is missing (Linux 5.13 and newer have it) or is not switched on";
    let expected = Enforced { writes: Hold::None { why: why.into() }, network: Some(Hold::Full { by: "seccomp".into() }) };
    assert_eq!(enforced, expected);
    let missing = format!("writes are not confined: {why}");
    let why = format!("not run, since `sandbox.mode` is `require` and this machine cannot do all of it ({missing})");
    assert_eq!(refused, [Word::Confined(expected.clone()), Word::NotStarted { why }]);
    assert_eq!((wrote(&ground, "new"), wrote(&ground, "never")), (true, false));
    assert_eq!(ability().writes, expected.writes, "and the doctor would have said it");
}

#[tokio::test]
async fn a_machine_that_cannot_hold_sockets_says_so_and_runs_nothing_that_must_be_held() {
    let mut ground = Ground::new();
    without(libc::SYS_seccomp);
    let (enforced, refused) = both(&mut ground).await;
    assert!(enforced.writes.is_full(), "{enforced:?}");
    assert!(matches!(&enforced.network, Some(Hold::None { why }) if why.starts_with("a seccomp filter cannot be set: ")), "{enforced:?}");
    assert!(matches!(&refused[..], [Word::Confined(same), Word::NotStarted { .. }] if *same == enforced), "{refused:?}");
    assert_eq!((wrote(&ground, "new"), wrote(&ground, "never")), (false, false));
}

#[test]
fn this_machine_can_hold_everything() {
    let ability = ability();
    assert!(ability.writes.is_full() && ability.network.is_full(), "{ability:?}");
}

#[tokio::test]
async fn a_confined_command_cannot_reach_its_keeper_whoever_its_user_is() {
    let ground = Ground::new();
    let trace = "(: </proc/$PPID/mem) 2>/dev/null && echo traced";
    let script = format!("for s in STOP KILL; do kill -$s $PPID 2>/dev/null && echo sent; done; {trace}; echo tried");
    assert_eq!(ground.ran(&script).await, (Exit::Code(0), "tried\n".into()));
}
