//! What a call is refused for, and what a person is shown of one.

use super::*;
use crate::config::Sandbox;
use crate::process::{Ability, Hold, Meter};
use crate::protocol::content::ContentBlock;
use crate::protocol::message::ResultStatus;
use crate::protocol::update::ToolCallContent;
use crate::tool::test_room::Room;

async fn told(input: Value) -> String {
    let context = Room::new().context();
    Shell { longest: context.commands.longest }.plan(&input, &context).await.unwrap_err().0
}

fn shown(request: &Request, sandbox: &Sandbox, ability: &Ability) -> String {
    match shown::question(request, "/ws", sandbox, ability) {
        ToolCallContent::Content { content: ContentBlock::Text { text } } => text,
        other => panic!("{other:?}"),
    }
}

fn able() -> Ability {
    let full = || Hold::Full { by: "it".into() };
    Ability { writes: full(), network: full() }
}

#[tokio::test]
async fn what_is_no_command_is_told() {
    let cases = [
        (json!({}), "the argument command is missing; it must be a string (or give argv)"),
        (json!({ "command": " \n" }), "the argument command is empty"),
        (json!({ "command": "a", "argv": ["a"] }), "give the argument command or the argument argv, not both"),
        (json!({ "argv": [""] }), "the argument argv must begin with the program to run"),
        (json!({ "argv": [], "command": "" }), "the argument command is missing; it must be a string (or give argv)"),
        (json!({ "argv": ["a", 1] }), "the argument argv[1] must be a string, not a number"),
        (json!({ "argv": "a" }), "the argument argv must be an array of strings, not a string"),
        (json!({ "command": "a\u{0}b" }), "the command holds a NUL character, which no command can"),
        (json!({ "command": "a", "timeout_seconds": 901 }), "the argument timeout_seconds must be a whole number from 1 to 900"),
    ];
    for (input, error) in cases {
        assert_eq!(told(input).await, error);
    }
    let long = told(json!({ "command": "x".repeat(MAX_COMMAND_BYTES + 1) })).await;
    assert_eq!(long, "the argument command must have at most 16384 characters, not 16385");
    let long = told(json!({ "argv": ["ä".repeat(MAX_COMMAND_BYTES / 2)] })).await;
    assert!(long.starts_with("the command is too long: it has 16385 bytes"), "{long}");
    assert!(told(json!({ "command": "ls", "directory": "../.." })).await.contains("workspace"));
}

#[tokio::test]
async fn a_person_is_shown_every_character_of_it() {
    let room = Room::new();
    let of = |input: Value| Request::of(&input, &room.context()).unwrap();
    let script = of(json!({ "command": "echo a\u{1b}[2K\necho \u{202e}b\r", "timeout_seconds": 5 }));
    assert_eq!(
        shown(&script, &Sandbox::default(), &able()),
        "A script for /bin/sh:\n\n```sh\necho a⟨U+001B⟩[2K\necho ⟨U+202E⟩b⟨U+000D⟩\n```\n\n- Directory: /ws\n- Time limit: 5 s\n\
         - Writes: in the workspace, a scratch directory; nowhere else, but modes, owners and times of your files can be changed anywhere\n- Network: off"
    );
    let program = of(json!({ "argv": ["git", "commit", "-m", "it's\n two", ""], "network": true }));
    assert_eq!(
        shown(&program, &Sandbox::default(), &able()),
        "A program and its arguments:\n\n```\ngit\ncommit\n-m\n'it'\\''s⟨U+000A⟩ two'\n''\n```\n\n- Directory: /ws\n- Time limit: 120 s\n\
         - Writes: in the workspace, a scratch directory; nowhere else, but modes, owners and times of your files can be changed anywhere\n- Network: ON, as the call asks"
    );
    assert_eq!(shown::title(&program.invocation), "`git commit -m 'it'\\''s⟨U+000A⟩ two' ''`");
    let long = format!("echo {}", "ä".repeat(800));
    assert_eq!(shown::title(&Invocation::Script(long.clone())), long);
    let hiding = of(json!({ "command": "true\n```\n# <!-- x\n````` -->\nrm *" }));
    let text = shown(&hiding, &Sandbox::default(), &able());
    assert!(text.starts_with("A script for /bin/sh:\n\n``````sh\ntrue\n```\n# <!-- x\n````` -->\nrm *\n``````\n\n- Directory"), "{text}");
    assert_eq!(
        shown::title(&hiding.invocation),
        "`````` true⟨U+000A⟩```⟨U+000A⟩# <!-- x⟨U+000A⟩````` -->⟨U+000A⟩rm * ``````"
            .replace("`````` ", "``````")
            .replace(" ``````", "``````")
    );
}

#[tokio::test]
async fn what_the_machine_cannot_do_is_said_and_nothing_else_is_claimed() {
    let room = Room::new();
    let request = Request::of(&json!({ "command": "make" }), &room.context()).unwrap();
    let last = |sandbox: &Sandbox, ability: &Ability| {
        let text = shown(&request, sandbox, ability);
        text.lines().skip(8).map(|line| line.trim_start_matches("- ").to_owned()).collect::<Vec<_>>()
    };
    let unable =
        Ability { writes: Hold::Partial { by: "a".into(), lacks: "old".into() }, network: Hold::None { why: "no seccomp".into() } };
    assert_eq!(
        last(&Sandbox::default(), &unable),
        ["Writes: NOT confined by this machine: old", "Network: NOT confined by this machine: no seccomp"]
    );
    let off = Sandbox { mode: SandboxMode::Off, ..Sandbox::default() };
    assert_eq!(last(&off, &able()), ["Writes: wherever you may; the sandbox is off (sandbox.mode)", "Network: on; the sandbox is off"]);
    let wide = Sandbox { writable: vec!["/home/me/.cargo".into()], ..Sandbox::default() };
    assert_eq!(
        last(&wide, &able())[0],
        "Writes: in the workspace, a scratch directory, /home/me/.cargo; nowhere else, but modes, owners and times of your files can be changed anywhere"
    );
}

#[test]
fn how_it_ended_is_told_with_whatever_is_not_as_it_should_be() {
    let room = Room::new();
    let request = Request::of(&json!({ "command": "make" }), &room.context()).unwrap();
    let ran = || Ran {
        exit: Some(Exit::Code(0)),
        failure: None,
        captured: Captured { text: String::new(), bytes: 0, left_out: 0, whole: None },
        fate: ToolOutcome::Stopped,
        timed_out: false,
        by_stop: false,
        held: None,
    };
    let told = |ran: Ran| request.told(ran, &room.commands, &Meter::default()).text;
    assert_eq!(told(ran()), "[exit code 0]\n");
    let gone = "the process that kept the command was ended from outside";
    let lost = |exit| Ran { exit, failure: Some(gone.into()), fate: ToolOutcome::Killed, ..ran() };
    assert_eq!(told(lost(None)), format!("[{gone}]\n"));
    assert_eq!(told(lost(Some(Exit::Signal(9)))), format!("[{gone}]\n[ended by SIGKILL]\n"));
    let left = || Ran { fate: ToolOutcome::Escaped, ..ran() };
    assert_eq!(told(left()), "[some of what it started could not be ended and may go on]\n[exit code 0]\n");
    let held = Enforced { writes: Hold::None { why: "no Landlock".into() }, network: None };
    let free = "[it was not confined as it should have been: writes are not confined: no Landlock]\n";
    assert_eq!(told(Ran { held: Some(held), ..ran() }), format!("{free}[exit code 0]\n"));
    let captured = Captured { text: "a".into(), bytes: 1, left_out: 0, whole: None };
    let killed = Ran { exit: Some(Exit::Signal(9)), timed_out: true, captured, ..ran() };
    assert_eq!(told(killed), "a\n[it was ended: it took longer than 120 s (timeout_seconds)]\n[ended by SIGKILL]\n");

    // Neither completed nor failed is said of what may go on.
    let cases = [
        (ran(), ResultStatus::Completed),
        (Ran { exit: Some(Exit::Code(3)), ..ran() }, ResultStatus::Failed),
        (lost(Some(Exit::Code(0))), ResultStatus::Failed),
        (left(), ResultStatus::UnknownOutcome),
        (Ran { exit: None, ..left() }, ResultStatus::UnknownOutcome),
        (Ran { by_stop: true, ..left() }, ResultStatus::Interrupted),
    ];
    for (ran, status) in cases {
        assert_eq!(request.told(ran, &room.commands, &Meter::default()).ended.expect("a command").status, status);
    }
}
