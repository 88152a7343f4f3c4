//! What a person does with sessions by hand, and what a shell and `man` are told.

use super::*;

fn titles(user: &User) -> Vec<String> {
    user.sessions().iter().map(|session| session["title"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn sessions_are_renamed_and_deleted_by_hand() {
    let user = User::with(HELLO);
    user.run_prompt(&["one"]);
    user.run_prompt(&["two"]);
    let ids: Vec<_> = user.sessions().iter().map(|session| session["sessionId"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(user.run(&["sessions", "rename", "last", " Mine "]).all(), (0, "", ""));
    assert_eq!(titles(&user), ["Mine", "Greeting"]);
    for (title, problem) in [(" ", "the title is empty"), (&*"x".repeat(201), "must have at most 200 characters")] {
        let ran = user.run(&["sessions", "rename", "last", title]);
        assert!(ran.code == 1 && ran.stderr.contains(problem), "{ran:?}");
    }
    // One that is not known: none is deleted.
    let ran = user.run(&["sessions", "delete", &ids[0], "ses_nobody"]);
    assert_eq!(ran.all(), (1, "", "pillion: there is no session ses_nobody; `pillion sessions` lists them\n"));
    assert_eq!(user.sessions().len(), 2);
    let ran = user.run(&["sessions", "delete", &ids[0]]);
    assert_eq!(ran.all(), (0, "", format!("pillion: deleted session {}\n", ids[0]).as_str()));
    assert_eq!(titles(&user), ["Greeting"]);
    assert_eq!(user.run(&["sessions", "delete", &ids[1]]).code, 0);
    assert_eq!(user.run(&["sessions"]).all(), (0, "", ""));
}

#[test]
fn a_session_that_runs_is_not_deleted() {
    let user = User::with(ENDLESS);
    let (mut child, _stdout) = started(user.prompt(&["hi"]));
    let ran = user.run(&["sessions", "delete", "last"]);
    assert_eq!((ran.code, user.sessions().len()), (1, 1));
    assert!(ran.stderr.contains(&format!("runs in process {}", child.id())), "{}", ran.stderr);
    interrupt(&child);
    child.wait().expect("an end");
    assert_eq!(user.run(&["sessions", "delete", "last"]).code, 0);
}

#[test]
fn a_shell_and_man_are_told_of_every_subcommand() {
    let user = User::with(HELLO);
    let subcommands = ["prompt", "export", "sessions", "explain", "trust", "doctor", "completions"];
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = user.run(&["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        assert!(subcommands.iter().all(|name| ran.stdout.contains(name)), "{shell}: {}", ran.stdout);
    }
    let ran = user.run(&["man"]);
    assert!(ran.stdout.contains(".TH pillion 1") && subcommands.iter().all(|name| ran.stdout.contains(name)), "{}", ran.stdout);
    let ran = user.run(&["man", "sessions"]);
    assert!(ran.stdout.contains(".TH pillion-sessions 1") && ran.stdout.contains("rename"), "{}", ran.stdout);
    assert_eq!(user.run(&["man", "x"]).all(), (1, "", "pillion: there is no subcommand x; `pillion --help` lists them\n"));
    assert!(!user.path(".local").exists(), "nothing is stored for that");
}

#[test]
fn an_export_to_a_dash_goes_to_stdout() {
    let user = User::with(HELLO);
    user.run_prompt(&["hi"]);
    let [dash, plain] = [&["export", "last", "-o", "-"][..], &["export", "last"]].map(|arguments| {
        let ran = user.run(arguments);
        let export: Value = serde_json::from_str(&ran.stdout).expect("an export");
        export["session"].clone()
    });
    assert_eq!(dash, plain);
    assert!(!user.path("work/-").exists());
}
