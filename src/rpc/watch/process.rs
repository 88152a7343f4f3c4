//! Processes whose end is waited for: the one that the client named, and our parent.

use super::EndReason;
use rustix::process::Pid;
use std::time::Duration;

/// How often a process is looked at where the kernel cannot tell of its end.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Resolves when process `pid` has ended: at once if there is none. It need not be our child.
pub(super) async fn process_gone(pid: u32) -> EndReason {
    match i32::try_from(pid).map(Pid::from_raw) {
        Ok(Some(process)) => Watched::open(process).gone().await,
        // 0 names no process.
        Ok(None) => std::future::pending().await,
        // No process has such a number.
        Err(_) => {}
    }
    EndReason::ProcessDied { pid }
}

/// Resolves when our parent has ended. A parent that cannot be told from the system's own (1, or in another process
/// namespace) is not watched.
pub(super) async fn parent_gone() -> EndReason {
    let Some(parent) = rustix::process::getppid().filter(|parent| !parent.is_init()) else {
        return std::future::pending().await;
    };
    let watched = Watched::open(parent);
    // If our parent is another one by now, what was opened may be anybody.
    if rustix::process::getppid() == Some(parent) {
        watched.gone().await;
    }
    EndReason::ProcessDied { pid: parent.as_raw_nonzero().get().unsigned_abs() }
}

/// A process whose end can be waited for.
pub(super) enum Watched {
    Gone,
    /// The kernel tells.
    #[cfg(target_os = "linux")]
    Pidfd(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    /// The kernel cannot tell.
    LookAt(Pid),
}

impl Watched {
    #[cfg(target_os = "linux")]
    pub(super) fn open(process: Pid) -> Self {
        use rustix::process::{PidfdFlags, pidfd_open};
        use tokio::io::Interest;

        match pidfd_open(process, PidfdFlags::empty()) {
            Ok(pidfd) => crate::rpc::stdio::readiness_of(pidfd, Interest::READABLE).map_or(Self::LookAt(process), Self::Pidfd),
            Err(rustix::io::Errno::SRCH) => Self::Gone,
            Err(_) => Self::LookAt(process),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open(process: Pid) -> Self {
        Self::LookAt(process)
    }

    pub(super) async fn gone(self) {
        match self {
            Self::Gone => {}
            #[cfg(target_os = "linux")]
            Self::Pidfd(pidfd) => {
                if pidfd.readable().await.is_err() {
                    // Only at the end of the runtime, and then nobody waits for the answer.
                    std::future::pending::<()>().await;
                }
            }
            Self::LookAt(process) => {
                // EPERM: it lives and belongs to somebody else.
                while rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH) {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}
