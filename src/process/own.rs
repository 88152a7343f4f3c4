//! This process as others of the same user can reach it: it is not traced, its secrets do not stand in its environment block,
//! what it has inherited reaches no command, and a limit on the size of files is an error and no death.
//!
//! Invariant: the variables are read here before the block is wiped, and from here ever after.

use std::ffi::OsString;
use std::sync::OnceLock;

/// The variables that this process was given, since its block has no secrets any more.
static GIVEN: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Where the system shows them to others.
#[cfg(target_os = "linux")]
static BLOCK: OnceLock<linux::Block> = OnceLock::new();

/// Closes this process to others; for the very beginning, when it has one thread and nothing open but what it was given.
///
/// Root, and who else may trace every process, can still read the memory of this one.
pub fn close_to_others(is_secret: impl Fn(&str) -> bool) {
    GIVEN.get_or_init(|| std::env::vars_os().collect());
    // Whatever a parent has left open would else be open in every command.
    close_fds::set_fds_cloexec(3, &[]);
    // It fails where there is no `/proc`, and there nobody reads the block either. Later only root could open it.
    #[cfg(target_os = "linux")]
    let _ = linux::Block::find().map(|block| BLOCK.set(block));
    wipe(is_secret);
    is_not_traced();
}

/// Overwrites the values of secret variables where others could read them, once [`close_to_others`] was called.
pub fn wipe(is_secret: impl Fn(&str) -> bool) {
    #[cfg(target_os = "linux")]
    if let Some(block) = BLOCK.get() {
        // Of its own memory a process can read and write what it has been given.
        let _ = block.wipe(is_secret);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = is_secret;
}

/// No process of the same user can trace this one, read its memory, its environment or its descriptors, or take a copy of one.
/// Starting another program undoes that, so each does it for itself.
pub(super) fn is_not_traced() {
    #[cfg(target_os = "linux")]
    // Of all its errors none is possible here.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Whoever writes more than a file may hold is told so, and not ended. Something that catches the signal is not inherited, as
/// ignoring it would be: a command is ended by it as ever. It needs the runtime.
///
/// # Errors
/// The system refuses; the limit is deadly.
pub fn outlive_the_limit_of_a_file() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // Once set it stays, whether anybody listens or not.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// The variables that this process was given.
pub fn variables() -> Vec<(OsString, OsString)> {
    GIVEN.get().cloned().unwrap_or_else(|| std::env::vars_os().collect())
}

/// One of them.
pub fn variable(name: &str) -> Option<OsString> {
    let Some(given) = GIVEN.get() else { return std::env::var_os(name) };
    given.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt as _;

    /// What `/proc/<pid>/environ` shows. Removing a variable leaves its text there.
    pub(super) struct Block {
        memory: File,
        begins: u64,
        length: usize,
    }

    impl Block {
        pub(super) fn find() -> io::Result<Self> {
            let stat = std::fs::read_to_string("/proc/self/stat")?;
            // The first behind the name is field 3 of proc(5), and the block begins and ends at 50 and 51.
            let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().skip(47);
            let mut next = || fields.next().and_then(|field| field.parse::<u64>().ok()).ok_or(io::ErrorKind::InvalidData);
            let (begins, ends) = (next()?, next()?);
            let length = usize::try_from(ends.saturating_sub(begins)).map_err(io::Error::other)?;
            Ok(Self { memory: File::options().read(true).write(true).open("/proc/self/mem")?, begins, length })
        }

        pub(super) fn wipe(&self, is_secret: impl Fn(&str) -> bool) -> io::Result<()> {
            let mut text = vec![0; self.length];
            self.memory.read_exact_at(&mut text, self.begins)?;
            let secrets = values(&text, &is_secret);
            secrets.into_iter().try_for_each(|(at, length)| self.memory.write_all_at(&vec![0; length], self.begins + at as u64))
        }
    }

    /// Where in the block the values of secret variables stand, and how long they are.
    pub(super) fn values(block: &[u8], is_secret: &impl Fn(&str) -> bool) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut at = 0;
        for variable in block.split(|&byte| byte == 0) {
            if let Some(sign) = variable.iter().position(|&byte| byte == b'=')
                && is_secret(&String::from_utf8_lossy(&variable[..sign]))
            {
                found.push((at + sign + 1, variable.len() - sign - 1));
            }
            at += variable.len() + 1;
        }
        found
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::values;

    #[test]
    fn the_values_of_secret_variables_are_found_wherever_they_stand() {
        let block = b"A_KEY=one\0PLAIN=two\0EMPTY_KEY=\0odd\0B_KEY=three=3\0";
        let found = values(block, &|name| name.ends_with("_KEY"));
        let texts: Vec<_> = found.iter().map(|(at, length)| &block[*at..at + length]).collect();
        assert_eq!(texts, [&b"one"[..], b"", b"three=3"]);
        assert_eq!(values(b"", &|_| true), []);
    }
}
