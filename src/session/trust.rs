//! What a turn finds in its workspace before it begins: the rules that make it stricter, and whether the user trusts it.
//!
//! Invariant: trust is bound to the path and to what the workspace tells whoever works in it; when that changes, the
//! workspace is restricted until the user has said it again.

use super::context::SessionContext;
use super::error::Refusal;
use super::sessions::store_refusal;
use crate::config::{WORKSPACE_FILE, strictest_rules, workspace_rules};
use crate::policy::{Rules, Trust};
use crate::protocol::params::BadField;
use crate::protocol::results::{ConfigChoice, ConfigOption, ConfigOptionType};
use crate::store::{StoreError, TrustedPath};
use crate::tool::Instructions;
use crate::tool::workspace::Workspace;
use std::sync::Arc;

/// The id of the setting in `configOptions`.
pub(super) const CONFIG_ID: &str = "trust";

const TRUSTED: &str = "trusted";
const RESTRICTED: &str = "restricted";

/// What a turn has found.
pub(super) struct Look {
    /// What `AGENTS.md` tells, if the workspace is trusted.
    pub(super) agents: Option<String>,
    /// The workspace is trusted and clients were told that it is not, or the other way round.
    pub(super) is_news: bool,
}

/// Looks at the workspace and lets what is found hold from now on.
pub(super) async fn look(context: &Arc<SessionContext>) -> Result<Look, StoreError> {
    let found = read(&context.workspace).await;
    let rules = match &found.policy {
        None => Rules::default(),
        Some(Ok(text)) => workspace_rules(text).unwrap_or_else(|why| broken(&why)),
        Some(Err(why)) => broken(why),
    };
    let recorded = context.store.trusted(&context.workspace.real()).await?;
    let trust = match recorded {
        Some(recorded) if recorded.digest == found.digest => Trust::Trusted,
        _ => Trust::Restricted,
    };
    let rules = Arc::new(rules);
    context.workspace.hide(vec![Arc::clone(&context.settings.rules), Arc::clone(&rules)]);
    let is_news = context.permissions.enter(trust, rules);
    let agents = match found.agents {
        Some(agents) if trust == Trust::Trusted && may_be_told(&context.workspace).await => Some(agents),
        _ => None,
    };
    Ok(Look { agents, is_news })
}

/// Trusts the workspace as it is now, or no longer.
pub(super) async fn choose(context: &Arc<SessionContext>, value: &str) -> Result<(), Refusal> {
    match value {
        TRUSTED => {
            let found = read(&context.workspace).await;
            context.store.trust(trusted(&context.workspace, &found, context.provenance.clock.wall_ms())).await.map_err(store_refusal)?;
        }
        RESTRICTED => {
            context.store.distrust(&context.workspace.real()).await.map_err(store_refusal)?;
        }
        _ => return Err(BadField::new("value", format!("must be `{TRUSTED}` or `{RESTRICTED}`")).into()),
    }
    context.permissions.set_trusted(value == TRUSTED);
    Ok(())
}

/// The trust that is given to a workspace in which this was found.
pub fn trusted(workspace: &Workspace, found: &Instructions, at: u64) -> TrustedPath {
    TrustedPath { path: workspace.real(), digest: found.digest.clone(), at }
}

/// The setting as a client shows it.
pub(super) fn option(is_trusted: bool) -> ConfigOption {
    let choice = |value: &str, name: &str| ConfigChoice { value: value.into(), name: name.into() };
    ConfigOption {
        id: CONFIG_ID.into(),
        name: "Workspace trust".into(),
        description: "In a trusted workspace the model is given its AGENTS.md, and commands that your rules allow run without a question. \
                      The trust ends when AGENTS.md or .pillion.toml changes."
            .into(),
        category: None,
        r#type: ConfigOptionType::Select,
        current_value: if is_trusted { TRUSTED } else { RESTRICTED }.into(),
        options: vec![choice(RESTRICTED, "Restricted"), choice(TRUSTED, "Trusted")],
    }
}

async fn read(workspace: &Arc<Workspace>) -> Instructions {
    let workspace = Arc::clone(workspace);
    match tokio::task::spawn_blocking(move || Instructions::of(&workspace, WORKSPACE_FILE)).await {
        Ok(found) => found,
        // The runtime is ending, and with it the turn.
        Err(_) => Instructions { agents: None, policy: None, digest: String::new() },
    }
}

async fn may_be_told(workspace: &Arc<Workspace>) -> bool {
    let workspace = Arc::clone(workspace);
    // The runtime is ending, and with it the turn.
    tokio::task::spawn_blocking(move || Instructions::may_be_told(&workspace)).await.unwrap_or(false)
}

fn broken(why: &str) -> Rules {
    tracing::warn!(%why, "the workspace's {WORKSPACE_FILE} cannot be used; every change and every command is asked about");
    strictest_rules()
}
