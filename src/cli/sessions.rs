//! `pillion sessions`: what is in the store, the session that was used last first.

use super::exit::Exit;
use super::options::Options;
use super::output::Output;
use super::when;
use crate::host::Host;
use crate::protocol::export::SessionInfo;
use crate::session::list_entry;
use crate::store::{ListQuery, OpenTurn};
use crate::text::plain;
use std::io::{BufWriter, Write};

/// List sessions, most recent first.
#[derive(Debug, clap::Args)]
pub(super) struct SessionsArgs {
    /// Only sessions of this directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<std::path::PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Sessions that are read at once.
const PAGE: usize = 200;

impl SessionsArgs {
    pub(super) async fn run(self, options: Options) -> anyhow::Result<Exit> {
        let Some(host) = Host::of_what_is_stored(options.settings()?) else { return Ok(Exit::Done) };
        let listed = self.list(&host).await;
        host.close().await;
        listed
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
