//! How a session comes to have a runner: made anew, opened from the store, or looked at without one.

use super::breaking;
use super::channel::UpdateChannel;
use super::context::{Parts, SessionContext};
use super::demand::CancelDemand;
use super::error::Refusal;
use super::history;
use super::model_choice::{self, ModelChoice};
use super::permission::Permissions;
use super::runner::{Mail, Runner};
use super::sessions::{not_open, store_refusal};
use super::table::{Seat, Shared};
use super::title::Title;
use super::trust;
use super::verdict::{self, Settled};
use crate::process::Directory;
use crate::protocol::diagnostics::TitleSource;
use crate::protocol::export::SessionInfo;
use crate::protocol::ids::SessionId;
use crate::protocol::message::Message;
use crate::protocol::mode::{Mode, SessionModes};
use crate::protocol::params::{BadField, NewSessionParams, OpenSessionParams, SetConfigOptionParams};
use crate::protocol::results::{CancelResult, ConfigOption, Empty, NewSessionResult, OpenSessionResult};
use crate::protocol::update::SessionUpdate;
use crate::store::{LastTurn, SessionChange, StoreError};
use crate::tool::command::{Commands, longest_command};
use crate::tool::outputs::Outputs;
use crate::tool::scratch::Scratch;
use crate::tool::workspace::Workspace;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Whether the history is sent to the client when a session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    Yes,
    No,
}

type Opened<T> = oneshot::Sender<Result<T, Refusal>>;

/// What a runner is made of, besides its seat.
struct Found {
    workspace: Workspace,
    /// The user has trusted it, as it was then.
    is_trusted: bool,
    title: Title,
    model: ModelChoice,
    history: Vec<Arc<Message>>,
    /// How many of its rows could not be read.
    unreadable: u64,
    last: Settled,
    last_update: u64,
}

/// Makes a session and lives as its runner.
pub(super) async fn create(mut seat: Seat, params: NewSessionParams, opened: Opened<NewSessionResult>) {
    seat.vacated().await;
    let notices = notices(&params.mcp_servers);
    let made = async {
        let runner = runner(&seat, make(&seat, params).await?);
        let (config_options, modes) = (options(&runner), modes(&runner));
        Ok((runner, NewSessionResult { session_id: seat.id.clone(), modes, config_options, notices }))
    };
    match Box::pin(breaking::guarded(&seat, made)).await {
        Ok((runner, made)) => {
            let _ = opened.send(Ok(made));
            breaking::live(runner, seat).await;
        }
        Err(refusal) => {
            let _ = opened.send(Err(refusal));
            not_opened(seat).await;
        }
    }
}

/// Opens a stored session and lives as its runner.
pub(super) async fn reopen(mut seat: Seat, params: OpenSessionParams, replay: Replay, opened: Opened<OpenSessionResult>) {
    seat.vacated().await;
    let restored = async {
        let found = restore(&seat, &params).await?;
        let lost = found.unreadable;
        let mut runner = runner(&seat, found);
        let mut shown = show(&mut runner, &params, replay)?;
        shown.notices.extend(lost_rows(lost));
        Ok((runner, shown))
    };
    match Box::pin(breaking::guarded(&seat, restored)).await {
        Ok((runner, shown)) => {
            let _ = opened.send(Ok(shown));
            breaking::live(runner, seat).await;
        }
        Err(refusal) => {
            let _ = opened.send(Err(refusal));
            not_opened(seat).await;
        }
    }
}

/// Answers a load or resume of an open session, but for what the store knows; a load sends the history first.
pub(super) fn show(runner: &mut Runner, params: &OpenSessionParams, replay: Replay) -> Result<OpenSessionResult, Refusal> {
    check_cwd(params.cwd.as_deref(), &runner.context.workspace)?;
    if replay == Replay::Yes {
        let updates = history::replay(&runner.history);
        runner.context.announce(updates.map(|(message, update)| {
            let of = message.turn_id.as_ref().map(|turn| (turn, &message.message_id));
            (of, update)
        }));
    }
    let (config_options, modes) = (options(runner), modes(runner));
    Ok(OpenSessionResult { modes, config_options, title: None, stops: Vec::new(), notices: notices(&params.mcp_servers) })
}

/// `session/set_config_option` on an open session; it counts from the next turn on. What is to be stored first comes back.
pub(super) fn set_option(runner: &mut Runner, params: &SetConfigOptionParams) -> Result<BoxFuture<'static, Result<(), Refusal>>, Refusal> {
    let (context, value) = (Arc::clone(&runner.context), params.value.clone());
    match params.config_id.as_str() {
        model_choice::CONFIG_ID => {
            let name = runner.model.choose(&value, &context.parts).map_err(|bad| BadField { field: "value", ..bad })?;
            let stored = context.store.change_session(&context.id, SessionChange::Model(name));
            Ok(async move { stored.await.map(drop).map_err(store_refusal) }.boxed())
        }
        trust::CONFIG_ID => Ok(async move { trust::choose(&context, &value).await }.boxed()),
        _ => {
            let (model, trust) = (model_choice::CONFIG_ID, trust::CONFIG_ID);
            Err(BadField::new("configId", format!("must be `{model}` or `{trust}`, the settings of a session")).into())
        }
    }
}

/// `session/set_mode` on an open session; it counts from the next verdict on.
pub(super) fn set_mode(runner: &Runner, mode_id: &str) -> Result<Empty, Refusal> {
    let modes = || Mode::ALL.map(|mode| format!("`{}`", mode.id())).join(", ");
    let mode = Mode::named(mode_id).ok_or_else(|| BadField::new("modeId", format!("must be one of {}", modes())))?;
    runner.context.permissions.set_mode(mode);
    Ok(Empty {})
}

/// The settings of a session as a client shows them.
pub(super) fn options(runner: &Runner) -> Vec<ConfigOption> {
    vec![runner.model.option(&runner.context.parts), trust::option(runner.context.permissions.is_trusted())]
}

/// Tells the client the settings when it was not the client that changed one.
pub(super) fn tell_options(runner: &Runner) {
    runner.context.announce([(None, SessionUpdate::ConfigOptionUpdate { config_options: options(runner) })]);
}

fn modes(runner: &Runner) -> SessionModes {
    SessionModes::at(runner.context.permissions.mode())
}

/// A demand to stop something of a session that is not open here.
pub(super) async fn cancel_unopened(shared: Arc<Shared>, demand: CancelDemand, reply: oneshot::Sender<Result<CancelResult, Refusal>>) {
    match shared.parts.store.session(&demand.session_id).await {
        Ok(Some(stored)) => {
            let cancel_id = shared.parts.provenance.ids.cancel();
            verdict::nothing_runs(shared.parts.clone(), demand, cancel_id, settled(stored.last_turn), Some(reply)).await;
        }
        Ok(None) => verdict::unknown_session(&shared.parts, &demand, Some(reply)),
        Err(error) => {
            let _ = reply.send(Err(store_refusal(error)));
        }
    }
}

async fn make(seat: &Seat, params: NewSessionParams) -> Result<Found, Refusal> {
    let parts = &seat.shared.parts;
    let workspace = workspace(&params.cwd, parts)?;
    let is_trusted = parts.store.trusted(&workspace.real()).await.map_err(store_refusal)?.is_some();
    let model = ModelChoice::new(params.model.as_deref(), parts)?;
    let now = parts.provenance.clock.wall_ms();
    let title = params.title.map(|title| parts.provenance.keys.scrub(title.trim()).into_owned()).filter(|title| !title.is_empty());
    let info = SessionInfo {
        session_id: seat.id.clone(),
        cwd: params.cwd,
        created_at: now,
        updated_at: now,
        parent_session_id: None,
        title_source: title.is_some().then_some(TitleSource::User),
        title: title.clone(),
        model: params.model,
        closed_at: None,
    };
    parts.store.create_session(info).await.map_err(|error| match error {
        StoreError::SessionTaken => Refusal::SessionTaken(seat.id.clone()),
        error => store_refusal(error),
    })?;
    let title = if title.is_some() { Title::not_applicable() } else { Title::to_be_made(&parts.settings.title_model) };
    Ok(Found { workspace, is_trusted, title, model, history: Vec::new(), unreadable: 0, last: Settled::default(), last_update: 0 })
}

async fn restore(seat: &Seat, params: &OpenSessionParams) -> Result<Found, Refusal> {
    let (parts, id) = (&seat.shared.parts, &seat.id);
    seat.shared.recovery.run(parts).await;
    let stored = parts.store.session(id).await.map_err(store_refusal)?.ok_or_else(|| Refusal::UnknownSession(id.clone()))?;
    let workspace = workspace(&stored.info.cwd, parts)?;
    check_cwd(params.cwd.as_deref(), &workspace)?;
    let is_trusted = parts.store.trusted(&workspace.real()).await.map_err(store_refusal)?.is_some();
    let model = ModelChoice::new(stored.info.model.as_deref(), parts)?;
    if stored.info.closed_at.is_some() {
        parts.store.change_session(id, SessionChange::Closed(None)).await.map_err(store_refusal)?;
    }
    let stored_history = parts.store.history(id).await.map_err(store_refusal)?;
    let unreadable = stored_history.unreadable.count;
    let history = history::whole(stored_history);
    // Titles are generated with the first prompt of a root session and at no other time.
    let first_prompt_to_come = stored.prompts == 0 && stored.info.title.is_none() && stored.info.parent_session_id.is_none();
    let title = if first_prompt_to_come { Title::to_be_made(&parts.settings.title_model) } else { Title::not_applicable() };
    let (last, last_update) = (settled(stored.last_turn), stored.last_update);
    Ok(Found { workspace, is_trusted, title, model, history, unreadable, last, last_update })
}

fn runner(seat: &Seat, found: Found) -> Runner {
    let Found { workspace, is_trusted, title, model, history, last, last_update, .. } = found;
    let Shared { parts, editor, recovery, tasks, .. } = &*seat.shared;
    let channel = Arc::new(UpdateChannel::new(seat.id.clone(), Arc::clone(editor), last_update));
    let (id, workspace) = (seat.id.clone(), Arc::new(workspace));
    let (parts, recovery, tasks) = (parts.clone(), Arc::clone(recovery), tasks.clone());
    let permissions = Arc::new(Permissions::new(parts.settings.mode, is_trusted));
    let commands = Arc::new(commands(&id, &parts));
    let context = Arc::new(SessionContext { id, workspace, channel, permissions, commands, parts, recovery, tasks });
    Runner::new(context, seat.mailbox.clone(), Arc::new(title), model, history, last)
}

fn commands(id: &SessionId, parts: &Parts) -> Commands {
    let Parts { settings, provenance, keeper, environment, .. } = parts;
    Commands {
        keeper: keeper.clone(),
        environment: Arc::clone(environment),
        grace: settings.grace,
        sandbox: settings.sandbox.clone(),
        writable: settings.sandbox.writable.iter().filter_map(|path| Directory::at(path).ok()).collect(),
        longest: longest_command(settings),
        scratch: Scratch::default(),
        outputs: outputs(id, parts),
        keys: Arc::clone(&provenance.keys),
    }
}

/// Where the outputs of a session's commands are kept.
pub(super) fn outputs(id: &SessionId, parts: &Parts) -> Outputs {
    Outputs::of(&parts.settings.data_dir, id.as_str())
}

/// The session did not open: whatever was sent behind the opening gets the answer of a session that is not open.
async fn not_opened(seat: Seat) {
    let Seat { shared, id, mut mail, forget, .. } = seat;
    drop(forget);
    mail.close();
    while let Some(letter) = mail.recv().await {
        match letter {
            Mail::Prompt(posted, _) | Mail::Shell(posted) => posted.reply.refuse(not_open(&shared.parts.store, id.clone()).await),
            Mail::Cancel { demand, reply } => cancel_unopened(Arc::clone(&shared), demand, reply).await,
            Mail::Desk(work) => work(Err(not_open(&shared.parts.store, id.clone()).await)),
            Mail::End { done, .. } => {
                let _ = done.send(());
            }
            Mail::Ended { .. }
            | Mail::GraceOver { .. }
            | Mail::CaughtUp { .. }
            | Mail::Committed { .. }
            | Mail::Noted { .. }
            | Mail::Explained(_) => {}
        }
    }
}

fn workspace(cwd: &str, parts: &Parts) -> Result<Workspace, BadField> {
    if !Path::new(cwd).is_absolute() {
        return Err(BadField::new("cwd", "must be an absolute path of a directory"));
    }
    let opened = Workspace::open(Path::new(cwd)).map(|workspace| workspace.protecting(&parts.settings.data_dir));
    opened.map_err(|error| BadField::new("cwd", format!("must be a directory that can be opened: {error}")))
}

fn check_cwd(given: Option<&str>, workspace: &Workspace) -> Result<(), BadField> {
    match given {
        Some(given) if !workspace.is_at(Path::new(given)) => {
            let own = workspace.path().display();
            Err(BadField::new("cwd", format!("must be the session's own directory, {own}; session/new makes a session for another one")))
        }
        _ => Ok(()),
    }
}

fn notices(mcp_servers: &[serde_json::Value]) -> Vec<String> {
    let ignored = "mcpServers was ignored: this version of pillion does not connect to MCP servers";
    if mcp_servers.is_empty() { Vec::new() } else { vec![ignored.to_owned()] }
}

/// What is told of a history with holes.
fn lost_rows(count: u64) -> Option<String> {
    let told = |rows: &str| format!("{rows} left out; `pillion export` tells which");
    match count {
        0 => None,
        1 => Some(told("1 row of this session cannot be read any more and is")),
        _ => Some(told(&format!("{count} rows of this session cannot be read any more and are"))),
    }
}

fn settled(last: Option<LastTurn>) -> Settled {
    // A turn that another process is running has not settled.
    let last = last.filter(|last| last.stop.is_some());
    last.map_or_else(Settled::default, |last| Settled { turn_id: Some(last.turn_id), abort_id: last.abort_id })
}
