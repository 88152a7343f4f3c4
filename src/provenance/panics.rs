//! Panics that are contained: where each was, kept by the hook for whoever contains it.
//!
//! Invariant: who contains a panic runs on the thread that panicked, right behind it, and so finds its own.

use crate::protocol::cause::{Cause, Place};
use crate::protocol::export::Incident;
use crate::protocol::ids::SessionId;
use crate::protocol::said;
use crate::text::first;
use std::cell::RefCell;
use std::panic::{Location, PanicHookInfo};
use std::sync::Once;

/// The longest message that is kept, in characters.
const MESSAGE_CHARS: usize = 500;

/// What is known of a panic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panicked {
    pub at: Option<Place>,
    /// What it said, if those were words.
    pub message: Option<String>,
}

thread_local! {
    static LAST: RefCell<Panicked> = RefCell::default();
}

/// From now on what is known of a panic is kept, beside what was done about it before.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            keep(Panicked::of(info));
            before(info);
        }));
    });
}

/// The panic that this thread has just contained.
pub fn contained() -> Panicked {
    LAST.take()
}

/// A panic that was contained on another thread goes on in this one.
pub fn keep(panicked: Panicked) {
    LAST.set(panicked);
}

impl Panicked {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        Self { at: info.location().map(place), message: info.payload_as_str().map(|message| first(message, MESSAGE_CHARS).to_owned()) }
    }

    /// The record of it, of no turn.
    pub fn incident(self, name: &str, session_id: Option<SessionId>, at: u64) -> Incident {
        Incident {
            name: name.to_owned(),
            message: self.message.unwrap_or_else(|| said::PANIC_WITHOUT_WORDS.to_owned()),
            at,
            session_id,
            turn_id: None,
            method: None,
            row: None,
            panicked_at: self.at,
            seq: None,
        }
    }

    /// The cause that it is.
    pub fn cause(&self) -> Cause {
        Cause::InternalPanic { panicked_at: self.at.clone() }
    }
}

fn place(location: &Location<'_>) -> Place {
    Place { file: file(location.file()).to_owned(), line: u64::from(location.line()) }
}

/// A source file without where it lay when pillion was built: from its crate on.
fn file(path: &str) -> &str {
    // `.../registry/src/<index>/<crate>-<version>/...`; what is ours is relative anyway.
    path.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')).map_or(path, |(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_contains_a_panic_is_told_where_it_was_and_only_once() {
        watch();
        let line = line!() + 1;
        let contained_panic = std::panic::catch_unwind(|| panic!("on {}", "purpose"));
        assert!(contained_panic.is_err());
        let at = Some(Place { file: file!().into(), line: u64::from(line) });
        assert_eq!(contained(), Panicked { at: at.clone(), message: Some("on purpose".into()) });
        assert_eq!(contained(), Panicked::default());
        let elsewhere = std::thread::spawn(move || keep(Panicked { at, message: None }));
        elsewhere.join().expect("it ends");
        assert_eq!(contained(), Panicked::default(), "another thread's");
    }

    #[test]
    fn where_pillion_was_built_is_nobodys_business() {
        assert_eq!(file("/root/.cargo/registry/src/index.crates.io-1949/tokio-1.48.0/src/task.rs"), "tokio-1.48.0/src/task.rs");
        assert_eq!(file("src/session/turn.rs"), "src/session/turn.rs");
    }
}
