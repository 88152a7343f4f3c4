//! Consent to one planned call: given or refused by the rules, else asked of the client's person.
//!
//! Invariant: whatever is no clear yes is a no, and the model is told which no it was.

use super::editor::{Outgoing, PermissionAnswer, PermissionQuestion};
use super::ledger::ToolState;
use super::turn::TurnJob;
use crate::policy::{Access, By, Lasting, Question, Verdict, Why};
use crate::protocol::content::ContentBlock;
use crate::protocol::permission::{PermissionChoice, PermissionOption};
use crate::protocol::update::{ToolCall, ToolCallContent};
use crate::provenance::Stopped;
use crate::tool::ToolPlan;
use crate::tool::text::visible;
use crate::tool::workspace::Confirmed;
use std::fmt::Write as _;
use tokio::sync::oneshot;

/// What came of the question whether a call may run.
pub(super) enum Consent {
    Given(Confirmed),
    Denied(String),
}

/// A call about which consent is sought.
#[derive(Clone, Copy)]
pub(super) struct Sought<'s> {
    pub(super) tool: &'static str,
    pub(super) shown: &'s ToolCall,
    pub(super) plan: &'s ToolPlan,
}

impl Sought<'_> {
    /// Whether the call may run: asks, if it must.
    pub(super) async fn consent(self, job: &TurnJob) -> Result<Consent, Stopped> {
        let question = match judge(job, self.tool, &self.plan.access) {
            Verdict::Allow(_) => return Ok(Consent::Given(Confirmed::No)),
            Verdict::Deny(by) => return Ok(Consent::Denied(denied(&by))),
            Verdict::Ask(question) => question,
        };
        let (call_id, effect) = (&self.shown.tool_call_id, self.plan.access.effect());
        job.ledger.tool_enters(call_id, self.tool, effect, ToolState::Asking);
        let consent = self.ask(job, &question).await?;
        match consent {
            Consent::Given(_) => job.ledger.tool_enters(call_id, self.tool, effect, ToolState::Allowed),
            Consent::Denied(_) => job.ledger.tool_leaves(call_id),
        }
        Ok(consent)
    }

    async fn ask(self, job: &TurnJob, question: &Question) -> Result<Consent, Stopped> {
        let (reply, answer) = oneshot::channel();
        let options = match question.lasting {
            Lasting::Possible => &PermissionOption::ALL[..],
            Lasting::OnlyOnce => &PermissionOption::ONCE[..],
        };
        let mut content = self.plan.content.clone();
        content.extend(reason(&question.why).map(|text| ToolCallContent::Content { content: ContentBlock::text(text) }));
        let asked = PermissionQuestion { turn_id: job.turn_id.clone(), message_id: job.message_id.clone(), content, options };
        let (session_id, call) = (job.context.id.clone(), Box::new(self.shown.clone()));
        job.context.channel.editor().post(Outgoing::AskPermission { session_id, call, question: Box::new(asked), reply });
        let waited = job.token.race(tokio::time::timeout(job.context.settings.permission_deadline, answer)).await;
        let answer = waited.inspect_err(|_| job.ledger.hop("permission.withdrawn"))?;
        let permissions = &job.context.permissions;
        Ok(match answer {
            Ok(Ok(PermissionAnswer::Chosen(choice))) if options.iter().any(|option| option.option_id == choice) => match choice {
                PermissionChoice::AllowOnce => Consent::Given(Confirmed::ByPerson),
                PermissionChoice::AllowAlways => {
                    permissions.remember_allowed(self.plan.access.clone());
                    Consent::Given(Confirmed::ByPerson)
                }
                PermissionChoice::RejectOnce => no("The call was rejected and not run."),
                PermissionChoice::RejectAlways => {
                    permissions.remember_rejected(self.plan.access.clone());
                    no("The call was rejected for the whole session and not run; do not ask for it again.")
                }
            },
            Ok(Ok(PermissionAnswer::Chosen(_))) => no("The client chose an answer that was not offered, so the call was not run."),
            Ok(Ok(PermissionAnswer::Cancelled)) => no("The question was cancelled in the editor; the call was not run."),
            Ok(Ok(PermissionAnswer::Unanswerable) | Err(_)) => no("The client cannot ask for permission, so the call was not run."),
            Err(_elapsed) => no("Nobody answered the permission question in time; the call was not run."),
        })
    }
}

/// The verdict at this moment.
pub(super) fn judge(job: &TurnJob, tool: &str, access: &Access) -> Verdict {
    job.context.permissions.judge(&job.context.settings.rules, tool, access)
}

/// What the model is told of a verdict that denies.
pub(super) fn denied(by: &By) -> String {
    let mut told = "The call was not run: ".to_owned();
    // Writing to a String cannot fail.
    let _ = match by {
        By::Rule(rule) => write!(told, "the user's settings deny it (rule {}).", visible(rule)),
        By::WorkspaceRule(rule) => write!(told, "the workspace denies it (rule {}).", visible(rule)),
        By::Mode(mode) => write!(told, "the session is in the mode {}, in which nothing is changed and no command is run.", mode.id()),
        By::Remembered => write!(told, "it was rejected for the whole session."),
        By::Default => write!(told, "it is not allowed."),
    };
    told
}

/// Why it is asked, if that is not plain.
fn reason(why: &Why) -> Option<String> {
    Some(match why {
        Why::NoRule => return None,
        Why::NotUnderstood(what) => format!("Asked because the command cannot be judged by its text: {what}."),
        Why::Rule(rule) => format!("Asked because of the rule {} in the settings.", visible(rule)),
        Why::WorkspaceRule(rule) => format!("Asked because of the rule {} of the workspace.", visible(rule)),
        Why::Protected(name) => format!("Asked because programs obey what stands in {}: look at it closely.", visible(name)),
        Why::Restricted => "Asked because this workspace is not trusted: its own programs would run.".to_owned(),
    })
}

fn no(why: &str) -> Consent {
    Consent::Denied(why.to_owned())
}
