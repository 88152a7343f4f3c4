//! Consent to one planned call: given or refused by the rules, else asked of the client's person.
//!
//! Invariant: whatever is no clear yes is a no, and the model is told which no it was.

use super::editor::{AnsweredAt, Outgoing, PermissionAnswer, PermissionQuestion};
use super::toolbook::{ToolId, Word};
use super::turn::TurnJob;
use crate::policy::{By, Lasting, Question, Verdict, Why};
use crate::protocol::content::ContentBlock;
use crate::protocol::permission::{PermissionChoice, PermissionOption};
use crate::protocol::tool_run::Permission;
use crate::protocol::update::{ToolCall, ToolCallContent};
use crate::provenance::Stopped;
use crate::store::Diagnostic;
use crate::text::{exact, span};
use crate::tool::ToolPlan;
use crate::tool::workspace::Confirmed;
use std::fmt::Write as _;
use tokio::sync::oneshot;

/// What came of the question whether a call may run, and on whose word.
pub(super) enum Consent {
    Given {
        confirmed: Confirmed,
        word: Word,
    },
    Denied {
        why: String,
        word: Word,
    },
    /// A person said no, or nobody said yes: the call's record says so already.
    Refused {
        why: &'static str,
    },
}

/// A call about which consent is sought.
#[derive(Clone, Copy)]
pub(super) struct Sought<'s> {
    pub(super) tool: &'static str,
    pub(super) shown: &'s ToolCall,
    pub(super) plan: &'s ToolPlan,
}

impl Sought<'_> {
    pub(super) fn id(&self) -> ToolId<'_> {
        ToolId { call_id: &self.shown.tool_call_id, tool: self.tool, effect: self.plan.access.effect() }
    }

    /// Whether the call may run: asks, if it must.
    pub(super) async fn consent(self, job: &TurnJob) -> Result<Consent, Stopped> {
        let question = match self.judge(job) {
            Verdict::Allow(by) => return Ok(Consent::Given { confirmed: Confirmed::No, word: Word::of(&by) }),
            Verdict::Deny(by) => return Ok(Consent::Denied { why: denied(&by), word: Word::of(&by) }),
            Verdict::Ask(question) => question,
        };
        if let Some(run) = job.ledger.tools(|tools| tools.asks(self.id())) {
            // On record before anybody sees the question: after a crash it is known that it was open.
            if let Err(error) = job.token.race(job.context.store.record(Diagnostic::ToolRun(run))).await? {
                tracing::error!(turn_id = %job.turn_id, %error, "a question could not be put on record");
            }
        }
        let (permission, told) = self.ask(job, &question).await?;
        let word = Word { permission, rule: question.why.rule().map(str::to_owned) };
        Ok(match told {
            None => {
                if let Some(run) = job.ledger.tools(|tools| tools.may_run(self.id().call_id, word.clone())).flatten() {
                    job.context.record(Diagnostic::ToolRun(run));
                }
                Consent::Given { confirmed: Confirmed::ByPerson, word }
            }
            Some(why) => {
                if let Some(run) = job.ledger.tools(|tools| tools.refused(self.id(), word, why)) {
                    job.context.record(Diagnostic::ToolRun(run));
                }
                Consent::Refused { why }
            }
        })
    }

    /// The verdict at this moment.
    pub(super) fn judge(&self, job: &TurnJob) -> Verdict {
        job.context.permissions.judge(&job.context.settings.rules, self.tool, &self.plan.access)
    }

    /// What was answered, and what the model is told if that was a no.
    async fn ask(self, job: &TurnJob, question: &Question) -> Result<(Permission, Option<&'static str>), Stopped> {
        let (reply, mut answer) = oneshot::channel();
        let options = match question.lasting {
            Lasting::Possible => &PermissionOption::ALL[..],
            Lasting::OnlyOnce => &PermissionOption::ONCE[..],
        };
        let mut content = self.plan.content.clone();
        content.extend(reason(&question.why).map(|text| ToolCallContent::Content { content: ContentBlock::text(text) }));
        let answered = AnsweredAt::default();
        let (turn_id, message_id) = (job.turn_id.clone(), job.message_id.clone());
        let asked = PermissionQuestion { turn_id, message_id, content, options, answered: answered.clone() };
        // A call that was planned late was shown before it had a title.
        let ToolPlan { title, locations, .. } = self.plan.clone();
        let (session_id, call) = (job.context.id.clone(), Box::new(ToolCall { title, locations, ..self.shown.clone() }));
        job.context.channel.editor().post(Outgoing::AskPermission { session_id, call, question: Box::new(asked), reply });
        let given = match job.token.race(tokio::time::timeout(job.context.settings.permission_deadline, &mut answer)).await {
            Ok(given) => {
                // A stop that came before the answer may not have been heard of yet: what was posted before this is.
                job.heard_of_everything().await;
                overtaken(job, &answered).map_or(Ok(given), Err)
            }
            // What was answered before the stop is on its way.
            Err(_) if answered.get().is_some() && overtaken(job, &answered).is_none() => Ok(Ok(answer.await)),
            Err(stopped) => Err(stopped),
        };
        let answer = given.inspect_err(|_| {
            job.ledger.tools(|tools| tools.withdraws(self.id().call_id));
            job.ledger.hop("permission.withdrawn");
        })?;
        let permissions = &job.context.permissions;
        Ok(match answer {
            Ok(Ok(PermissionAnswer::Chosen(choice))) if options.iter().any(|option| option.option_id == choice) => match choice {
                PermissionChoice::AllowOnce => (Permission::Allowed, None),
                PermissionChoice::AllowAlways => {
                    permissions.remember_allowed(self.tool, &self.plan.access);
                    (Permission::Allowed, None)
                }
                PermissionChoice::RejectOnce => (Permission::Rejected, Some("The call was rejected and not run.")),
                PermissionChoice::RejectAlways => {
                    permissions.remember_rejected(self.tool, &self.plan.access);
                    let told = "The call was rejected for the whole session and not run; do not ask for it again.";
                    (Permission::Rejected, Some(told))
                }
            },
            Ok(Ok(PermissionAnswer::Chosen(_))) => {
                (Permission::Unanswerable, Some("The client chose an answer that was not offered, so the call was not run."))
            }
            Ok(Ok(PermissionAnswer::Cancelled)) => {
                (Permission::Dismissed, Some("The question was cancelled in the editor; the call was not run."))
            }
            Ok(Ok(PermissionAnswer::TooLong)) => (
                Permission::Unanswerable,
                Some("The call is too long to be shown whole, so nobody was asked and it was not run; make it in smaller parts."),
            ),
            Ok(Ok(PermissionAnswer::Unanswerable) | Err(_)) => {
                (Permission::Unanswerable, Some("The client cannot ask for permission, so the call was not run."))
            }
            Err(_elapsed) => (Permission::TimedOut, Some("Nobody answered the permission question in time; the call was not run.")),
        })
    }
}

/// The stop whose request was read before the answer. Of an answer without a time nobody knows: what was heard of first counts.
fn overtaken(job: &TurnJob, answered: &AnsweredAt) -> Option<Stopped> {
    let (stop, answered) = (job.token.stop()?, answered.get()?);
    (stop.requested <= answered).then_some(Stopped(stop))
}

impl Word {
    /// Of who decided without a question.
    pub(super) fn of(by: &By) -> Self {
        let (permission, rule) = match by {
            By::Default => (Permission::Default, None),
            By::Rule(rule) => (Permission::Rule, Some(rule)),
            By::WorkspaceRule(rule) => (Permission::WorkspaceRule, Some(rule)),
            By::Mode(_) => (Permission::Mode, None),
            By::Remembered => (Permission::Remembered, None),
        };
        Self { permission, rule: rule.cloned() }
    }
}

/// What the model is told of a verdict that denies.
pub(super) fn denied(by: &By) -> String {
    let mut told = "The call was not run: ".to_owned();
    // Writing to a String cannot fail.
    let _ = match by {
        By::Rule(rule) => write!(told, "the user's settings deny it (rule {}).", exact(rule)),
        By::WorkspaceRule(rule) => write!(told, "the workspace denies it (rule {}).", exact(rule)),
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
        Why::Rule(rule) => format!("Asked because of the rule {} in the settings.", span(&exact(rule))),
        Why::WorkspaceRule(rule) => format!("Asked because of the rule {} of the workspace.", span(&exact(rule))),
        Why::Protected(name) => format!("Asked because programs obey what stands in {}: look at it closely.", span(&exact(name))),
        Why::Restricted => "Asked because this workspace is not trusted: its own programs would run.".to_owned(),
    })
}
