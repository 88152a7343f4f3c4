//! Tools: what a model can do in the workspace. One tool a file; `workspace` is the only opener of paths.

mod arguments;
mod change;
pub mod command;
pub mod documents;
mod edit_file;
pub mod editor_files;
mod encoding;
mod glob;
pub mod hunks;
mod image;
mod instructions;
mod list_directory;
pub mod outputs;
mod read_file;
pub mod scratch;
mod search;
mod shell;
mod stoppable;
#[cfg(test)]
mod test_room;
mod update_plan;
mod walk;
pub mod workspace;
mod write_file;

pub use instructions::{AGENTS_FILE, Instructions};
pub use update_plan::planned;

use crate::policy::Access;
use crate::process::Meter;
use crate::protocol::abort::{Effect, ToolOutcome};
use crate::protocol::message::ResultStatus;
use crate::protocol::model::ToolSpec;
use crate::protocol::update::{PlanEntry, ToolCallContent, ToolKind, ToolLocation};
use crate::provenance::{CancelToken, panics};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;
use workspace::{Confirmed, Place, Seen, WorkspaceError};

/// Something that a model can call.
pub trait Tool: Send + Sync {
    fn spec(&self) -> ToolSpec;

    /// What its calls do, as far as that is known without their arguments; a plan says it exactly.
    fn effect(&self) -> Effect;

    fn kind(&self) -> ToolKind;

    /// The file that the call would write: calls of one step that write the same file are planned one after the other.
    fn writes(&self, _input: &Value, _context: &ToolContext) -> Option<Place> {
        None
    }

    /// Validates the arguments and says what the call would do, without doing it. May read a few files of bounded size
    /// (for a diff) and ask the editor for their text, nothing that takes long.
    ///
    /// # Errors
    /// A sentence for the model: which argument is wrong and what it must be.
    fn plan<'a>(&'a self, input: &'a Value, context: &'a ToolContext) -> BoxFuture<'a, Result<ToolPlan, ToolError>>;

    /// Does it, as it was approved: if what was seen is no longer so, a write is a conflict and nothing is written. Long
    /// work is done on a blocking thread and watches `context.token`.
    fn run(&self, input: Value, approved: Approved, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>>;
}

/// What a call would do: shown to the client, and judged before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolPlan {
    /// One line, such as `Read src/main.rs`.
    pub title: String,
    pub locations: Vec<ToolLocation>,
    /// Shown with the permission question: for a write, the diff.
    pub content: Vec<ToolCallContent>,
    pub access: Access,
    /// What stood there when the plan was made: handed to [`Tool::run`], so that what is done is what was shown.
    pub seen: Option<Seen>,
}

impl ToolPlan {
    /// Of a call that reads what lies at `place`, or beneath it.
    fn reading(title: String, place: &Place, context: &ToolContext) -> Self {
        Self {
            title,
            locations: vec![ToolLocation { path: context.workspace.absolute(place), line: None }],
            content: Vec::new(),
            access: Access::Read(context.workspace.ruled(place).as_path().to_owned()),
            seen: None,
        }
    }
}

/// What a call may rely on when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The plan's.
    pub seen: Option<Seen>,
    /// What was judged: the plan's.
    pub access: Access,
    pub confirmed: Confirmed,
}

impl Approved {
    /// The real place of what the call names: the one that was judged.
    ///
    /// # Errors
    /// It leads somewhere else by now.
    fn place(&self, named: &Place, context: &ToolContext) -> Result<Place, ToolError> {
        match &self.access {
            Access::Read(judged) if judged == context.workspace.ruled(named).as_path() => Ok(context.workspace.resolved(named)),
            _ => Err(elsewhere(named)),
        }
    }
}

/// Nobody has judged what a path leads to by now.
fn elsewhere(named: &Place) -> ToolError {
    ToolError(format!("{named} leads somewhere else by now than when this was decided on; call again"))
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// For the model.
    pub text: String,
    /// For the client, when it is not just what the model gets.
    pub content: Vec<ToolCallContent>,
    /// For the model, beside the text.
    pub image: Option<Image>,
    /// What the model says that it is going to do: shown to the client as a whole.
    pub plan: Option<Vec<PlanEntry>>,
    /// If it was a command: how that ended.
    pub ended: Option<CommandEnd>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    pub status: ResultStatus,
    pub exit_code: Option<i64>,
    pub signal: Option<String>,
    /// What became of its processes, if it was stopped.
    pub fate: ToolOutcome,
}

/// A picture as it goes over wires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub mime_type: &'static str,
    /// Its bytes in base64.
    pub data: String,
}

impl ToolOutput {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), content: Vec::new(), image: None, plan: None, ended: None }
    }
}

/// What a tool works with.
#[derive(Clone)]
pub struct ToolContext {
    pub workspace: Arc<workspace::Workspace>,
    pub documents: documents::Documents,
    /// The client's hands: what it does with files itself.
    pub editor: Arc<dyn editor_files::EditorFiles>,
    pub commands: Arc<command::Commands>,
    pub token: CancelToken,
    /// Takes the hops of a stop.
    pub hop: Hop,
    /// Counts the output of a command.
    pub meter: Meter,
}

/// Notes that a stop has come to a point.
pub type Hop = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Why a tool did not do it: a sentence that the model reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

impl From<WorkspaceError> for ToolError {
    fn from(error: WorkspaceError) -> Self {
        Self(error.to_string())
    }
}

/// The tools that a session has, with what a model is told of each.
#[derive(Clone)]
pub struct ToolSet {
    specs: Arc<[ToolSpec]>,
    tools: Vec<Arc<dyn Tool>>,
}

impl ToolSet {
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Self {
        Self { specs: tools.iter().map(|tool| tool.spec()).collect(), tools }
    }

    /// In the order in which the tools were given.
    pub fn specs(&self) -> &Arc<[ToolSpec]> {
        &self.specs
    }

    pub fn find(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        let at = self.specs.iter().position(|spec| spec.name == name)?;
        self.tools.get(at)
    }
}

/// The names of the tools; an export shows these as they are.
pub const TOOL_NAMES: [&str; 8] = ["read_file", "list_directory", "glob", "search", "edit_file", "write_file", "shell", "update_plan"];

/// Every tool that pillion has; a command may take so long.
pub fn standard_tools(longest_command: Duration) -> Vec<Arc<dyn Tool>> {
    vec![
        Arc::new(read_file::ReadFile),
        Arc::new(list_directory::ListDirectory),
        Arc::new(glob::Glob),
        Arc::new(search::Search),
        Arc::new(edit_file::EditFile),
        Arc::new(write_file::WriteFile),
        Arc::new(shell::Shell { longest: longest_command }),
        Arc::new(update_plan::UpdatePlan),
    ]
}

/// Does `work` on a thread that may block. A panic in it goes on here.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ToolError> + Send + 'static) -> BoxFuture<'static, Result<T, ToolError>> {
    Box::pin(async move {
        let contained = || catch_unwind(AssertUnwindSafe(work)).map_err(|panic| (panic, panics::contained()));
        match tokio::task::spawn_blocking(contained).await {
            Ok(Ok(done)) => done,
            Ok(Err((panic, panicked))) => {
                panics::keep(panicked);
                resume_unwind(panic)
            }
            Err(_) => Err(ToolError("pillion is ending and did not start this".into())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use serde_json::json;

    #[tokio::test]
    async fn every_tool_is_found_by_its_name_and_plans_what_it_does() {
        let set = ToolSet::new(standard_tools(Duration::from_secs(900)));
        assert_eq!(set.specs().iter().map(|spec| spec.name).collect::<Vec<_>>(), TOOL_NAMES);
        let room = test_room::Room::new();
        for spec in set.specs().iter() {
            let tool = set.find(spec.name).unwrap();
            assert_eq!(tool.spec(), *spec);
            let edits = json!([{ "old_text": "", "new_text": "d" }]);
            let input = json!({ "path": "a", "pattern": "b", "content": "c", "edits": edits, "entries": [], "command": "true" });
            let plan = tool.plan(&input, &room.context()).await.unwrap();
            assert_eq!((plan.access.effect(), plan.seen.is_some()), (tool.effect(), tool.effect() == Effect::Write));
        }
        assert!(set.find("no_such_tool").is_none());
    }

    #[tokio::test]
    async fn a_rule_is_held_against_where_a_link_leads() {
        let room = test_room::Room::new();
        room.file("secret/a.txt", "a");
        std::os::unix::fs::symlink("secret", room.path("link")).unwrap();
        let set = ToolSet::new(standard_tools(Duration::from_secs(900)));
        for (name, path, access) in [
            ("glob", "link", "secret"),
            ("search", "link", "secret"),
            ("list_directory", "link", "secret"),
            ("read_file", "link/a.txt", "secret/a.txt"),
            ("glob", "nowhere", "nowhere"),
        ] {
            let plan = set.find(name).unwrap().plan(&json!({ "path": path, "pattern": "a" }), &room.context()).await.unwrap();
            assert_eq!(plan.access, Access::Read(access.into()), "{name} {path}");
        }
    }

    #[tokio::test]
    async fn a_panic_on_the_blocking_thread_goes_on_in_the_call_with_its_place() {
        panics::watch();
        let caught = AssertUnwindSafe(blocking::<()>(|| panic!("inside"))).catch_unwind().await;
        assert!(caught.is_err());
        let panicked = panics::contained();
        assert_eq!((panicked.message.as_deref(), panicked.at.map(|at| at.file)), (Some("inside"), Some(file!().to_owned())));
    }
}
