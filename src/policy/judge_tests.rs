//! Deny is stronger than ask, ask than allow; nothing of the workspace loosens anything.

use super::*;
use crate::policy::{Invocation, WriteAccess};
use std::path::PathBuf;

fn rules(deny: &[&str], ask: &[&str], allow: &[&str]) -> Rules {
    let read = |texts: &[&str]| texts.iter().map(|text| Rule::read(text).unwrap()).collect();
    Rules { deny: read(deny), ask: read(ask), allow: read(allow) }
}

fn script(text: &str) -> Access {
    Access::Run(RunAccess { command: Invocation::Script(text.into()), directory: PathBuf::new(), network: NetworkAccess::Off })
}

fn write(path: &str) -> Access {
    Access::Write(WriteAccess { path: path.into(), protected: None })
}

/// A verdict in a trusted workspace in the mode `ask`.
fn judged(rules: &Rules, access: &Access) -> Verdict {
    judged_in(rules, Mode::Ask, Trust::Trusted, access)
}

fn judged_in(rules: &Rules, mode: Mode, trust: Trust, access: &Access) -> Verdict {
    let grounds = Grounds { rules, workspace: &Rules::default(), mode, trust, remembered: &Remembered::default() };
    grounds.judge("a_tool", access)
}

fn asked(why: Why) -> Verdict {
    Verdict::Ask(Question { why, lasting: Lasting::Possible })
}

#[test]
fn without_rules_reading_is_free_and_the_rest_is_asked_about() {
    let none = Rules::default();
    assert_eq!(judged(&none, &Access::Nothing), Verdict::Allow(By::Default));
    assert_eq!(judged(&none, &Access::Read("a".into())), Verdict::Allow(By::Default));
    assert_eq!(judged(&none, &write("a")), asked(Why::NoRule));
    assert_eq!(judged(&none, &script("cargo test")), asked(Why::NoRule));
}

#[test]
fn deny_is_stronger_than_ask_and_ask_than_allow() {
    let access = script("git push origin");
    let [deny, ask, allow] = [&["shell(git push *)"][..], &["shell(git *)"], &["shell"]];
    assert_eq!(judged(&rules(deny, ask, allow), &access), Verdict::Deny(By::Rule("shell(git push *)".into())));
    assert_eq!(judged(&rules(&[], ask, allow), &access), asked(Why::Rule("shell(git *)".into())));
    assert_eq!(judged(&rules(&[], &[], allow), &access), Verdict::Allow(By::Rule("shell".into())));
    assert_eq!(judged(&rules(&["tool(a_tool)"], &[], allow), &access), Verdict::Deny(By::Rule("tool(a_tool)".into())));
}

#[test]
fn every_part_of_a_command_must_be_allowed_and_what_is_not_understood_asks() {
    let some = rules(&[], &[], &["shell(cargo test *)", "shell(ls)"]);
    assert_eq!(judged(&some, &script("ls && cargo test --lib")), Verdict::Allow(By::Rule("shell(cargo test *)".into())));
    assert_eq!(judged(&some, &script("ls && curl x")), asked(Why::NoRule));
    let all = rules(&[], &[], &["shell"]);
    assert_eq!(judged(&all, &script("echo $(id)")), asked(Why::NotUnderstood("it has substitutions")));
    assert_eq!(judged(&all, &script("cargo test > log")), asked(Why::NotUnderstood("it redirects input or output")));
    assert_eq!(judged(&all, &script(&["true"; 51].join(";"))), asked(Why::NotUnderstood("it has too many commands")));
}

#[test]
fn the_network_needs_a_word_of_its_own() {
    let curl =
        Access::Run(RunAccess { command: Invocation::Script("curl x".into()), directory: PathBuf::new(), network: NetworkAccess::Wanted });
    assert_eq!(judged(&rules(&[], &[], &["shell(curl *)"]), &curl), asked(Why::NoRule));
    assert_eq!(judged(&rules(&[], &[], &["shell(curl *)", "network"]), &curl), Verdict::Allow(By::Rule("shell(curl *)".into())));
    assert_eq!(judged(&rules(&["network"], &[], &["shell"]), &curl), Verdict::Deny(By::Rule("network".into())));
    // What the settings give to every command needs no more than the command itself, and can be forbidden all the same.
    let Access::Run(run) = curl else { panic!("a command") };
    let given = Access::Run(RunAccess { network: NetworkAccess::Granted, ..run });
    assert_eq!(judged(&rules(&[], &[], &["shell(curl *)"]), &given), Verdict::Allow(By::Rule("shell(curl *)".into())));
    assert_eq!(judged(&rules(&["network"], &[], &["shell"]), &given), Verdict::Deny(By::Rule("network".into())));
}

#[test]
fn modes_decide_where_no_rule_does() {
    let none = Rules::default();
    let read_only = |access: &Access| judged_in(&none, Mode::ReadOnly, Trust::Trusted, access);
    assert_eq!(read_only(&write("a")), Verdict::Deny(By::Mode(Mode::ReadOnly)));
    assert_eq!(read_only(&script("ls")), Verdict::Deny(By::Mode(Mode::ReadOnly)));
    assert_eq!(read_only(&Access::Read("a".into())), Verdict::Allow(By::Default));
    let auto = |access: &Access| judged_in(&none, Mode::AutoEdit, Trust::Trusted, access);
    assert_eq!(auto(&write("a")), Verdict::Allow(By::Mode(Mode::AutoEdit)));
    assert_eq!(auto(&script("ls")), asked(Why::NoRule));
    let asks = rules(&[], &["edit(*.lock)"], &["edit"]);
    assert_eq!(judged_in(&asks, Mode::AutoEdit, Trust::Trusted, &write("Cargo.lock")), asked(Why::Rule("edit(*.lock)".into())));
}

#[test]
fn a_protected_name_is_asked_about_whatever_the_rules_say() {
    let access = Access::Write(WriteAccess { path: ".envrc".into(), protected: Some(".envrc".into()) });
    let once = Verdict::Ask(Question { why: Why::Protected(".envrc".into()), lasting: Lasting::OnlyOnce });
    let allow = rules(&[], &[], &["edit"]);
    assert_eq!(judged_in(&allow, Mode::AutoEdit, Trust::Trusted, &access), once);
    let mut remembered = Remembered::default();
    remembered.allow("a_tool", &access);
    let grounds =
        Grounds { rules: &allow, workspace: &Rules::default(), mode: Mode::AutoEdit, trust: Trust::Trusted, remembered: &remembered };
    assert_eq!(grounds.judge("a_tool", &access), once);
    assert_eq!(judged(&rules(&["edit"], &[], &[]), &access), Verdict::Deny(By::Rule("edit".into())));
}

#[test]
fn a_workspace_only_tightens() {
    let (user, workspace) = (Rules::default(), rules(&["shell(make *)"], &["read(secrets/)"], &["shell", "edit"]));
    let remembered = Remembered::default();
    let grounds = Grounds { rules: &user, workspace: &workspace, mode: Mode::Ask, trust: Trust::Trusted, remembered: &remembered };
    let judge = |access: &Access| grounds.judge("a_tool", access);
    assert_eq!(judge(&script("make install")), Verdict::Deny(By::WorkspaceRule("shell(make *)".into())));
    assert_eq!(judge(&Access::Read("secrets/a".into())), asked(Why::WorkspaceRule("read(secrets/)".into())));
    assert_eq!(judge(&script("ls")), asked(Why::NoRule));
    assert_eq!(judge(&write("a")), asked(Why::NoRule));
}

#[test]
fn a_path_in_a_rule_is_one_of_the_workspaces_root() {
    let allow = rules(&[], &[], &["shell(python3 scripts/lint.py *)", "shell(cargo test *)"]);
    let at = |text: &str, directory: &str| {
        let run = RunAccess { command: Invocation::Script(text.into()), directory: directory.into(), network: NetworkAccess::Off };
        judged_in(&allow, Mode::Ask, Trust::Trusted, &Access::Run(run))
    };
    let allowed = |rule: &str| Verdict::Allow(By::Rule(rule.into()));
    assert_eq!(at("python3 scripts/lint.py", ""), allowed("shell(python3 scripts/lint.py *)"));
    assert_eq!(at("python3 scripts/lint.py", "e"), asked(Why::NoRule));
    assert_eq!(at("cargo test", "crates/a"), allowed("shell(cargo test *)"));
}

#[test]
fn what_runs_the_workspaces_own_programs_needs_trust() {
    let allow = rules(&[], &[], &["shell", "edit"]);
    assert_eq!(judged_in(&allow, Mode::Ask, Trust::Restricted, &script("cargo test")), asked(Why::Restricted));
    assert_eq!(judged_in(&allow, Mode::Ask, Trust::Restricted, &write("a")), Verdict::Allow(By::Rule("edit".into())));
}

#[test]
fn an_answer_for_the_session_holds_for_exactly_that_and_not_against_a_rule_that_denies() {
    let mut remembered = Remembered::default();
    remembered.allow("a_tool", &script("make"));
    remembered.reject("a_tool", &write("b"));
    remembered.allow("a_tool", &Access::Read("names".into()));
    let deny = rules(&["shell(make)"], &[], &[]);
    let judge = |rules: &Rules, access: &Access| {
        let grounds = Grounds { rules, workspace: &Rules::default(), mode: Mode::Ask, trust: Trust::Restricted, remembered: &remembered };
        grounds.judge("a_tool", access)
    };
    let none = Rules::default();
    assert_eq!(judge(&none, &script("make")), Verdict::Allow(By::Remembered));
    assert_eq!(judge(&rules(&[], &["shell"], &[]), &script("make")), Verdict::Allow(By::Remembered));
    assert_eq!(judge(&none, &script("make install")), asked(Why::NoRule));
    assert_eq!(judge(&none, &write("b")), Verdict::Deny(By::Remembered));
    assert_eq!(judge(&deny, &script("make")), Verdict::Deny(By::Rule("shell(make)".into())));
    // A list of names is not what stands in the files.
    let ask = rules(&[], &["read"], &[]);
    let grounds = Grounds { rules: &ask, workspace: &Rules::default(), mode: Mode::Ask, trust: Trust::Restricted, remembered: &remembered };
    let names = Access::Read("names".into());
    assert_eq!(grounds.judge("a_tool", &names), Verdict::Allow(By::Remembered));
    assert_eq!(grounds.judge("another", &names), asked(Why::Rule("read".into())));
}
