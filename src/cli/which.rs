//! Which session an argument means: its id, a beginning that no other id has, or `last`.

use super::sessions;
use crate::protocol::ids::{SessionId, is_plain_name};
use crate::store::{ListQuery, Named, NamedKind, Store};
use anyhow::{Context as _, bail};

/// The word for what was used last.
pub(super) const LAST: &str = "last";

const NONE_YET: &str = "there is no session yet; `pillion prompt` begins one";

/// How many of the ids that begin alike are listed.
const LISTED: usize = 10;

/// The session that is meant.
pub(super) async fn session(store: &Store, said: &str) -> anyhow::Result<SessionId> {
    if said == LAST {
        return last(store).await;
    }
    let mut found = all(store, said).await?;
    found.retain(|named| named.kind == NamedKind::Session);
    Ok(only(said, found)?.with_context(|| unknown_session(said))?.session.session_id)
}

/// The session that is meant, or the turn that is meant by its own id or by that of its stop.
pub(super) async fn session_or_turn(store: &Store, said: &str) -> anyhow::Result<Named> {
    let found = all(store, said).await?;
    only(said, found)?
        .with_context(|| format!("there is no session {said}, and no turn or stop with this id; `pillion sessions` lists the sessions"))
}

/// The session that was used last.
pub(super) async fn last(store: &Store) -> anyhow::Result<SessionId> {
    let newest = store.list_sessions(ListQuery { cwd: None, cursor: None, limit: 1 }).await?.sessions.into_iter().next();
    Ok(newest.context(NONE_YET)?.session_id)
}

/// What is told of a session where nothing is stored at all.
pub(super) fn nothing_stored(said: &str) -> String {
    if said == LAST { NONE_YET.to_owned() } else { unknown_session(said) }
}

pub(super) fn unknown_session(said: &str) -> String {
    format!("there is no session {said}; `pillion sessions` lists them")
}

async fn all(store: &Store, said: &str) -> anyhow::Result<Vec<Named>> {
    // What no id can be is not the beginning of one.
    Ok(if is_plain_name(said) { store.named(said).await? } else { Vec::new() })
}

/// The one that was found; several are an error that lists them.
fn only(said: &str, mut found: Vec<Named>) -> anyhow::Result<Option<Named>> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let mut told = format!("{said} is the beginning of {} ids; write more of the one that you mean:", found.len());
    for named in found.iter().take(LISTED) {
        told.push('\n');
        match named.kind {
            NamedKind::Session => told += sessions::line(&named.session, &[]).trim_end(),
            NamedKind::Turn => told += &format!("{}  a turn of {}", named.id, named.session.session_id),
            NamedKind::Abort => told += &format!("{}  a stop in {}", named.id, named.session.session_id),
        }
    }
    if found.len() > LISTED {
        told += &format!("\n... and {} more", found.len() - LISTED);
    }
    bail!(told)
}
