//! `pillion sessions`: what is in the store, the session that was used last first; and what becomes of a session by hand.

use super::exit::{Exit, tell};
use super::options::Options;
use super::output::Output;
use super::{when, which};
use crate::host::Host;
use crate::protocol::diagnostics::TitleSource;
use crate::protocol::export::SessionInfo;
use crate::protocol::params::check_title;
use crate::session::{list_entry, remove};
use crate::store::{ListQuery, OpenTurn, SessionChange};
use crate::text::plain;
use anyhow::bail;
use std::io::{BufWriter, Write};

/// List sessions, most recent first; delete or rename them
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    change: Option<Change>,
    /// Only sessions of this directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<std::path::PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Delete sessions with everything recorded about them
    Delete {
        /// Their ids or unique prefixes, or `last` for the most recent one
        #[arg(value_name = "SESSION", required = true)]
        sessions: Vec<String>,
    },
    /// Give a session another title
    Rename {
        /// Its id or a unique prefix, or `last` for the most recent one
        session: String,
        title: String,
    },
}

/// Sessions that are read at once.
const PAGE: usize = 200;

impl SessionsArgs {
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let host = Host::of_what_is_stored(options.settings()?);
        let Some(host) = host else {
            return match &self.change {
                None => Ok(Exit::Done),
                Some(change) => bail!(which::nothing_stored(change.first())),
            };
        };
        let done = match self.change {
            None => self.list(&host).await,
            Some(Change::Delete { sessions }) => delete(&host, &sessions).await,
            Some(Change::Rename { session, title }) => rename(&host, &session, &title).await,
        };
        host.close().await;
        done
    }

    async fn list(self, host: &Host) -> anyhow::Result<Exit> {
        host.recover().await;
        let store = &host.parts.store;
        let open = store.open_turns().await?;
        let cwd = self.cwd.as_deref().map(std::path::absolute).transpose()?.map(|cwd| cwd.to_string_lossy().into_owned());
        let mut out = BufWriter::new(Output::stdout());
        let mut cursor = None;
        loop {
            let page = store.list_sessions(ListQuery { cwd: cwd.clone(), cursor, limit: PAGE }).await?;
            for session in &page.sessions {
                if self.json {
                    serde_json::to_writer(&mut out, &list_entry(session.clone(), &open)).map_err(std::io::Error::from)?;
                    out.write_all(b"\n")?;
                } else {
                    out.write_all(line(session, &open).as_bytes())?;
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

impl Change {
    /// What was said of the first session that is meant.
    fn first(&self) -> &str {
        match self {
            Self::Delete { sessions } => sessions.first().map_or("", String::as_str),
            Self::Rename { session, .. } => session,
        }
    }
}

/// Deletes all of them or, if one is not known or runs a turn, none.
async fn delete(host: &Host, sessions: &[String]) -> anyhow::Result<Exit> {
    host.recover().await;
    let store = &host.parts.store;
    let open = store.open_turns().await?;
    let mut meant = Vec::new();
    for said in sessions {
        let id = which::session(store, said).await?;
        if let Some(turn) = open.iter().find(|turn| turn.session_id == id) {
            bail!("session {id} {}; stop it first", runs(turn));
        }
        meant.push(id);
    }
    for id in meant {
        remove(&host.parts, &id).await?;
        tell(&format!("deleted session {id}"));
    }
    Ok(Exit::Done)
}

async fn rename(host: &Host, session: &str, title: &str) -> anyhow::Result<Exit> {
    let id = which::session(&host.parts.store, session).await?;
    let title = host.parts.provenance.keys.scrub(title.trim()).into_owned();
    anyhow::ensure!(!title.is_empty(), "the title is empty; give the session another one");
    check_title(&title)?;
    let change = SessionChange::Title { title, source: TitleSource::User };
    anyhow::ensure!(host.parts.store.change_session(&id, change).await?, which::unknown_session(id.as_str()));
    Ok(Exit::Done)
}

/// A session in one line, for a person.
pub(super) fn line(session: &SessionInfo, open: &[OpenTurn]) -> String {
    let title = plain(session.title.as_deref().unwrap_or("-"));
    let open: String = open.iter().filter(|turn| turn.session_id == session.session_id).map(|turn| format!("  ({})", runs(turn))).collect();
    format!("{}  {}  {title:<40}  {}{open}\n", session.session_id, when(session.updated_at), plain(&session.cwd))
}

/// Where a turn without an end runs, or ran.
pub(super) fn runs(turn: &OpenTurn) -> String {
    let (pid, since) = (turn.owner.pid, when(turn.started_at));
    if turn.is_alive {
        format!("runs in process {pid} since {since}")
    } else {
        format!("ran in process {pid} since {since}; that has died, and the end could not be stored")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::SessionId;

    #[test]
    fn a_title_cannot_forge_a_line() {
        let session = SessionInfo {
            session_id: SessionId::new("ses_1"),
            cwd: "/w".into(),
            created_at: 0,
            updated_at: 1_767_225_600_000,
            parent_session_id: None,
            title: Some("a\nses_2\u{1b}[2K\u{202e}b".into()),
            title_source: None,
            model: None,
            closed_at: None,
        };
        assert_eq!(line(&session, &[]), "ses_1  2026-01-01T00:00:00Z  a\\nses_2\\u{1b}[2K\\u{202e}b                /w\n");
        assert_eq!(list_entry(session.clone(), &[]).title, session.title, "JSON has escapes of its own");
    }
}
