//! A maintainer reads a bug report: of every stop that the matrix can make, the sanitized export is explained, and from that text
//! alone the maintainer's questions are answered. Each answer is compared with what was really done.

use super::axes::{Doing, STOPS, Stop, Titled, whatever_it_does};
use super::{Scene, staged, untold, way};
use crate::support::journey::explained_export;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a maintainer wants to know of a stop.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// What stopped it: the cause.
    pub(super) what: String,
    /// Who asked: for whom the client spoke.
    pub(super) who: &'static str,
    /// By which request: its method and its id.
    pub(super) request: Option<(String, String)>,
    /// Of which turn: the request that had asked for it, on the same connection.
    pub(super) turn: String,
    /// Whose turn it was.
    pub(super) client: String,
    /// The connection is told of, with who was at its other end.
    pub(super) connection: bool,
    /// How many times are told: all while the test ran, and in this order.
    pub(super) when: usize,
    pub(super) phase: String,
    pub(super) hops: Vec<String>,
    /// The tools that were in flight: which, and what became of each.
    pub(super) tools: Vec<String>,
    pub(super) title: String,
    /// Who closed the connection to the model, where there had been a call of it.
    pub(super) upstream: Option<&'static str>,
    /// What had come, and what was lost.
    pub(super) lost: String,
    /// What else tried to stop it.
    pub(super) others: Vec<String>,
    /// Whether it can be sent again.
    pub(super) retry: String,
}

/// The story of one stop, fact by fact.
pub(super) struct Read<'s> {
    facts: Vec<(&'s str, &'s str)>,
    /// The headings of all that is told besides.
    heads: Vec<&'s str>,
}

impl<'s> Read<'s> {
    /// Of the stop whose turn was asked for by this request.
    pub(super) fn new(story: &'s str, asked: &Value) -> Self {
        let sections: Vec<_> = story.split("\n\n").collect();
        let facts_of = |section: &'s str| -> Vec<_> {
            let lines = section.lines().filter_map(|line| line.strip_prefix("  "));
            lines.filter_map(|line| line.split_at_checked(11)).map(|(label, fact)| (label.trim_end(), fact)).collect()
        };
        let asked = format!("asked by request {asked} ");
        let is_it = |section: &&str| section.starts_with("Stop ") && section.contains(&asked);
        let its_own = sections.iter().find(|section| is_it(section)).unwrap_or_else(|| panic!("no stop {asked}in\n{story}"));
        Self { facts: facts_of(its_own), heads: sections.iter().filter_map(|section| section.lines().next()).collect() }
    }

    fn all(&self, label: &str) -> impl Iterator<Item = &'s str> {
        self.facts.iter().filter(move |(known, _)| *known == label).map(|(_, fact)| *fact)
    }

    pub(super) fn fact(&self, label: &str) -> &'s str {
        self.all(label).next().unwrap_or_else(|| panic!("no {label} in {:?}", self.facts))
    }

    pub(super) fn answers(&self, before: SystemTime, after: SystemTime) -> Answers {
        let who = self.fact("who");
        let word = |label| self.fact(label).split(':').next().unwrap_or_default().to_owned();
        let mut hops: Vec<_> = self.fact("hops").split(" -> ").filter_map(|hop| hop.split(' ').next()).map(str::to_owned).collect();
        // Whether the answer could still be handed over is the last hop.
        hops.pop_if(|hop| hop == "turn.answered");
        Answers {
            what: between(self.fact("what"), "[", "]").to_owned(),
            who: match who {
                who if who.contains("the client declared a user") => "user",
                who if who.contains("the client declared a program") => "program",
                _ => "nobody",
            },
            request: who.contains(" on conn_").then(|| (between(who, "(", ")").to_owned(), between(who, " by ", " (").to_owned())),
            turn: between(self.fact("turn"), "asked by ", " ").to_owned() + " " + between(self.fact("turn"), "asked by request ", " "),
            client: between(self.fact("turn"), " of ", " on conn_").to_owned(),
            connection: {
                let known = between(self.fact("turn"), " on ", ",");
                self.heads.iter().any(|head| head.strip_prefix("Connection ") == Some(known))
            },
            when: {
                let times: Vec<_> = self.fact("when").split([' ', ',', ';']).filter_map(wall).collect();
                // A record counts in whole milliseconds.
                let slack = Duration::from_millis(2);
                let all: Vec<_> = [&[before][..], &times, &[after]].concat();
                assert!(all.is_sorted_by(|earlier, later| *earlier <= *later + slack), "{}", self.fact("when"));
                times.len()
            },
            phase: word("phase"),
            hops,
            tools: match self.fact("running") {
                "no tool" => Vec::new(),
                tools => tools.split(", ").fold(Vec::new(), joined),
            },
            title: word("title"),
            upstream: match self.all("model").last().unwrap_or_else(|| panic!("nothing of a model in {:?}", self.facts)) {
                call if call.starts_with("no call of it is recorded") => None,
                call if call.contains("; upstream closed by pillion at +") => Some("us"),
                call if call.contains("; upstream ended by the provider at +") => Some("provider"),
                call if call.contains("; upstream not open") => Some("not_open"),
                call if call.contains("; upstream closed, it is not known by whom") => Some("unknown"),
                call => panic!("nobody closed {call}"),
            },
            lost: self.fact("output").to_owned(),
            others: self
                .all("later")
                .chain(self.heads.iter().copied().filter(|head| head.ends_with(" had no effect")))
                .map(str::to_owned)
                .collect(),
            retry: self.fact("retry").to_owned(),
        }
    }
}

/// Joins what was cut inside of a bracket: `shell (process`, `call_1) ended ...`.
fn joined(mut tools: Vec<String>, piece: &str) -> Vec<String> {
    match tools.last_mut() {
        Some(last) if last.contains('(') && !last.contains(')') => {
            last.push_str(", ");
            last.push_str(piece);
        }
        // A fate may have a comma of its own.
        Some(last) if piece.starts_with("was ") => {
            last.push_str(", ");
            last.push_str(piece);
        }
        _ => tools.push(piece.to_owned()),
    }
    tools
}

fn between<'s>(text: &'s str, from: &str, to: &str) -> &'s str {
    let (_, rest) = text.split_once(from).unwrap_or_default();
    rest.split_once(to).unwrap_or_default().0
}

/// A time as it is written, such as `2026-01-01T00:00:00.000Z`.
fn wall(word: &str) -> Option<SystemTime> {
    let time: jiff::Timestamp = word.parse().ok()?;
    Some(UNIX_EPOCH + Duration::from_millis(u64::try_from(time.as_millisecond()).ok()?))
}

/// What was really done.
fn done(scene: &Scene, doing: Doing, stop: Stop, titled: Titled, retry: &str) -> Answers {
    let tools = doing.tools();
    let tools = tools.as_array().expect("tools").iter().map(|tool| {
        let text = |name: &str| tool[name].as_str().expect("text");
        let fate = match text("outcome") {
            "withdrawn" => "had not started, was withdrawn",
            "stopped" => "ended when it was told to",
            other => panic!("the matrix makes no {other}"),
        };
        (text("tool").to_owned(), text("effect").to_owned(), text("call_id").to_owned(), fate)
    });
    let (text, reasoning, updates) = doing.produced();
    let updates = updates - untold(doing, stop);
    let lost = if doing == Doing::ToolInput {
        "lost: a call of read_file that was never made (call_1, 4 bytes of its input)"
    } else {
        "nothing was lost"
    };
    let counted = |count: u64, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let asked_by = match (&scene.stop, stop.method()) {
        (Some(id), Some(method)) => Some((method.to_owned(), format!("request {id}"))),
        (None, Some(method)) => Some((method.to_owned(), "a notification".to_owned())),
        (_, None) => None,
    };
    Answers {
        what: stop.cause().to_owned(),
        who: if stop.initiator() == Some("user") { "user" } else { "nobody" },
        request: asked_by,
        turn: format!("request {}", scene.asked),
        client: doing.client().to_owned(),
        connection: true,
        when: 3,
        phase: doing.phase().to_owned(),
        hops: way(doing, stop).into_iter().map(str::to_owned).collect(),
        tools: tools.map(|(tool, effect, call, fate)| format!("{tool} ({effect}, {call}) {fate}")).collect(),
        title: titled.state(doing, stop).to_owned(),
        upstream: stop.closed_by(doing),
        lost: format!(
            "{} of text and {} of reasoning, {} sent; {} kept; {lost}",
            counted(text, "byte"),
            counted(reasoning, "byte"),
            counted(updates, "update"),
            counted(text + reasoning, "byte"),
        ),
        others: Vec::new(),
        retry: retry.to_owned(),
    }
}

async fn reads(doing: Doing, stop: Stop, titled: Titled) {
    let name = format!("{doing:?} x {stop:?} x {titled:?}");
    let before = SystemTime::now();
    let (mut scene, export) = staged(doing, stop, titled).await;
    let after = SystemTime::now();
    assert!(export["sanitized"].as_bool() == Some(true), "{name}");
    let story = explained_export(&scene.home, &export);
    let read = Read::new(&story, &scene.asked);
    let mut answers = read.answers(before, after);
    // A command's own call is named after its turn.
    let turn = read.fact("turn").split(',').next().unwrap_or_default();
    for tool in &mut answers.tools {
        *tool = tool.replace(&format!("shell_{turn}"), "shell");
    }
    assert!(answers.retry.contains(doing.retry()), "{name}: {} as its retry in\n{story}", doing.retry());
    let retry = answers.retry.clone();
    assert_eq!(answers, done(&scene, doing, stop, titled, &retry), "{name}\n{story}");
    // The first lines, which are for everybody, say the same.
    let brief: Vec<_> = story.lines().take(3).collect();
    for (line, label) in brief.iter().zip(["What happened:  ", "Who did it:     ", "What to do now: "]) {
        assert!(line.starts_with(label), "{name}\n{story}");
    }
    // The turn of a prompt that came instead has its own end.
    if stop != Stop::Superseded {
        let (now, verdict) = (brief[2].contains("It cannot succeed as it was"), retry.contains("cannot succeed unchanged"));
        assert_eq!(now, verdict, "{name}: what to do and the verdict on a retry are one\n{story}");
    }
    assert!(brief[1].to_lowercase().contains(&doing.client().to_lowercase()), "{name}: the client is named\n{story}");
    assert_eq!(brief[1].contains("The user"), stop.initiator() == Some("user"), "{name}: only a declared user is one\n{story}");
    scene.editor.kill();
    scene.editor.exited().await;
    drop(scene.server);
}

async fn all(doing: Doing) {
    for stop in STOPS.into_iter().filter(|stop| stop.meets(doing)) {
        reads(doing, stop, Titled::Disabled).await;
    }
}

whatever_it_does!(all);

/// Two stops at the same moment: the second is told as what else had tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_tried_to_stop_it_is_told() {
    let mut scene = super::scene(Doing::ToolRunning, Stop::ClientCancel, Titled::Disabled).await;
    let Scene { home, editor, session, asked, .. } = &mut scene;
    let cancel = |source: &str| {
        let params = serde_json::json!({ "sessionId": session.as_str(), "source": source });
        serde_json::json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": params })
    };
    editor.send_all(&[cancel("first.one"), cancel("second.one")]).await;
    editor.answer(asked).await;
    let export = crate::support::journey::export(editor, session).await;
    let story = explained_export(home, &export);
    let answers = Read::new(&story, asked).answers(UNIX_EPOCH, SystemTime::now());
    let [later, request] = &answers.others[..] else { panic!("{answers:?} of\n{story}") };
    let cancel = request.trim_start_matches("Cancel request ").trim_end_matches(" had no effect");
    assert_eq!(*later, format!("1 other stop came after this one had won: {cancel}"));
    assert!(story.contains("source first.one") && story.contains("source second.one"), "{story}");
    scene.editor.kill();
    scene.editor.exited().await;
}
