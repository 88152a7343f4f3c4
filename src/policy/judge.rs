//! The verdict on a call: deny before ask before allow.
//!
//! Invariants: a rule of the workspace can only make it stricter; a protected name is asked about whatever else says; what
//! is not understood is never allowed by a rule.

use super::access::{Access, NetworkAccess, RunAccess};
use super::allowance::Allowance;
use super::rule::Rule;
use crate::protocol::mode::Mode;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// What is denied, asked about and allowed.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub deny: Vec<Rule>,
    pub ask: Vec<Rule>,
    pub allow: Vec<Rule>,
}

impl Rules {
    /// SHA-256 (hex) of these rules and of the workspace's own, in their order.
    pub fn digest_with(&self, workspace: &Self) -> String {
        let mut hash = Sha256::new();
        for rules in [self, workspace].into_iter().flat_map(|rules| [&rules.deny, &rules.ask, &rules.allow]) {
            // The numbers in front keep one list, and one rule, from running into the next.
            hash.update((rules.len() as u64).to_le_bytes());
            for rule in rules {
                hash.update((rule.text().len() as u64).to_le_bytes());
                hash.update(rule.text());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Everything that a verdict rests on.
#[derive(Debug, Clone, Copy)]
pub struct Grounds<'g> {
    /// The user's own.
    pub rules: &'g Rules,
    /// The workspace's; what it allows does not count.
    pub workspace: &'g Rules,
    pub mode: Mode,
    pub trust: Trust,
    pub remembered: &'g Remembered,
}

/// Whether the user trusts the workspace: to let its own programs run without a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    Trusted,
    Restricted,
}

/// What a person has said once and for all, in one session.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    allowed: Vec<Said>,
    rejected: Vec<Said>,
}

/// What an answer was about. Of a reading also the tool: a list of names is not what stands in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    tool: Option<String>,
    access: Access,
}

impl Said {
    fn of(tool: &str, access: &Access) -> Self {
        let tool = matches!(access, Access::Read(_) | Access::Nothing).then(|| tool.to_owned());
        Self { tool, access: access.clone() }
    }
}

/// Whether a call may run, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow(By),
    Ask(Question),
    Deny(By),
}

/// On whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Reading needs nobody's word.
    Default,
    /// A rule of the settings, as it was written.
    Rule(String),
    /// A rule of the workspace's own.
    WorkspaceRule(String),
    Mode(Mode),
    /// A person's, given before for the whole session.
    Remembered,
}

/// What a question is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub why: Why,
    /// Whether the answer may hold for the whole session.
    pub lasting: Lasting,
}

/// Why it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No rule allows it.
    NoRule,
    /// What the command does cannot be told from its text.
    NotUnderstood(&'static str),
    Rule(String),
    WorkspaceRule(String),
    /// The name is one that programs obey.
    Protected(String),
    /// A rule would allow it in a workspace that is trusted.
    Restricted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    OnlyOnce,
    Possible,
}

impl Why {
    /// The rule that wants it asked about.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule(rule) | Self::WorkspaceRule(rule) => Some(rule),
            Self::NoRule | Self::NotUnderstood(_) | Self::Protected(_) | Self::Restricted => None,
        }
    }
}

impl Rules {
    /// Whether any reading is forbidden or asked about.
    pub fn restrict_reading(&self) -> bool {
        self.deny.iter().chain(&self.ask).any(Rule::is_about_reading)
    }

    /// The rule that forbids reading this path.
    pub fn hiding(&self, path: &Path) -> Option<&Rule> {
        self.deny.iter().find(|rule| rule.hides(path))
    }

    /// The rule that wants every reading of this path asked about.
    pub fn asking(&self, path: &Path) -> Option<&Rule> {
        self.ask.iter().find(|rule| rule.hides(path))
    }
}

impl Remembered {
    pub fn allow(&mut self, tool: &str, access: &Access) {
        self.allowed.push(Said::of(tool, access));
    }

    pub fn reject(&mut self, tool: &str, access: &Access) {
        self.rejected.push(Said::of(tool, access));
    }
}

impl Grounds<'_> {
    pub fn judge(&self, tool: &str, access: &Access) -> Verdict {
        if let Some(by) = self.forbidden(tool, access) {
            return Verdict::Deny(by);
        }
        if let Access::Write(write) = access
            && let Some(name) = &write.protected
        {
            return Verdict::Ask(Question { why: Why::Protected(name.clone()), lasting: Lasting::OnlyOnce });
        }
        if self.remembered.allowed.contains(&Said::of(tool, access)) {
            return Verdict::Allow(By::Remembered);
        }
        let ask = |why| Verdict::Ask(Question { why, lasting: Lasting::Possible });
        if let Some(rule) = first(&self.rules.ask, tool, access) {
            return ask(Why::Rule(rule));
        }
        if let Some(rule) = first(&self.workspace.ask, tool, access) {
            return ask(Why::WorkspaceRule(rule));
        }
        match access {
            Access::Nothing | Access::Read(_) => Verdict::Allow(By::Default),
            Access::Write(_) => match self.rules.allow.iter().find(|rule| rule.allows_path(access)) {
                Some(rule) => Verdict::Allow(By::Rule(rule.text().to_owned())),
                None if self.mode == Mode::AutoEdit => Verdict::Allow(By::Mode(self.mode)),
                None => ask(Why::NoRule),
            },
            Access::Run(run) => match self.allowed_to_run(run) {
                Ok(_) if self.trust == Trust::Restricted => ask(Why::Restricted),
                Ok(rule) => Verdict::Allow(By::Rule(rule)),
                Err(why) => ask(why),
            },
        }
    }

    fn forbidden(&self, tool: &str, access: &Access) -> Option<By> {
        if let Some(rule) = first(&self.rules.deny, tool, access) {
            return Some(By::Rule(rule));
        }
        if let Some(rule) = first(&self.workspace.deny, tool, access) {
            return Some(By::WorkspaceRule(rule));
        }
        if self.mode == Mode::ReadOnly && matches!(access, Access::Write(_) | Access::Run(_)) {
            return Some(By::Mode(self.mode));
        }
        self.remembered.rejected.contains(&Said::of(tool, access)).then_some(By::Remembered)
    }

    /// The rule that allows the command, or the last of those that allow its parts.
    fn allowed_to_run(&self, run: &RunAccess) -> Result<String, Why> {
        let allow = &self.rules.allow;
        if !allow.iter().any(Rule::is_about_commands) {
            return Err(Why::NoRule);
        }
        if run.network == NetworkAccess::Wanted && !allow.iter().any(Rule::allows_network) {
            return Err(Why::NoRule);
        }
        Allowance::of(allow, run).map(|rule| rule.text().to_owned())
    }
}

fn first(rules: &[Rule], tool: &str, access: &Access) -> Option<String> {
    rules.iter().find(|rule| rule.restricts(tool, access)).map(|rule| rule.text().to_owned())
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
