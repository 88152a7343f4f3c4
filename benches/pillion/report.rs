//! What a run comes to: the table on stdout, and for a complete run the same table in `docs/performance.md` and a line in
//! `benches/history.jsonl`.

use crate::figures::Figures;
use crate::rows::{Better, Unit};
use crate::stage::Stage;
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Between these lines of the page stands the newest table.
const MARKS: [&str; 2] = ["<!-- table: made by `just bench` -->\n", "<!-- end of table -->"];

const COLUMNS: [&str; 9] = ["", "median", "p90", "best", "floor", "to floor", "goal", "", "row"];

/// Of a comparison: "its" are the figures of the program that was measured against.
const COMPARED: [&str; 7] = ["", "median", "its median", "to it", "best", "its best", "row"];

/// Where and when a run was made.
struct Run {
    date: String,
    commit: String,
    machine: Machine,
}

struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    /// Processes that wanted to run, at the end, over one and over fifteen minutes.
    load: [f64; 2],
}

/// Prints the table; `complete` runs are kept.
pub(crate) fn tell(stage: &Stage, complete: bool) -> anyhow::Result<()> {
    let (figures, run) = (stage.book.figures(), Run::this());
    if let Some(other) = &stage.other {
        let lines = figures.iter().zip(other.book.figures()).map(|(own, its)| compared(own, &its)).collect();
        say(&format!("{}, against {}\n\n{}", run.line(), other.binary.display(), table(COMPARED, lines)));
        return Ok(());
    }
    let table = format!("{}\n\n{}\n{}", run.line(), table(COLUMNS, figures.iter().map(cells).collect()), floors(&figures));
    say(&table);
    if complete {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        keep_on_page(&root.join("docs/performance.md"), &table)?;
        let history = OpenOptions::new().append(true).create(true).open(root.join("benches/history.jsonl"));
        writeln!(history.context("benches/history.jsonl cannot be written")?, "{}", run.record(&figures))?;
    }
    Ok(())
}

/// Writes to stdout; a reader that is gone is no failure.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Tells why there is no table.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}

/// Tells a person who waits how far it is.
pub(crate) fn progress(done: usize, of: usize, since: Duration) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(stderr, "round {done} of {of} after {:.0} s", since.as_secs_f64());
    }
}

/// The rows as a Markdown table that also reads well as text.
fn table<const COLUMNS: usize>(head: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) -> String {
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // The names lead from the left, the numbers to the right.
            match column {
                1..=6 => text.push_str(&format!("| {cell:>width$} ")),
                _ => text.push_str(&format!("| {cell:<width$} ")),
            }
        }
        text.push_str("|\n");
        if at == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (line, end) = ("-".repeat(width + 1), if (1..=6).contains(&column) { ':' } else { '-' });
                text.push_str(&format!("|{line}{end}"));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// What each floor is, as a list.
fn floors(figures: &[Figures]) -> String {
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Figures { spec, .. } in figures.iter().filter(|row| !row.spec.floor.is_empty()) {
        rows.entry(spec.floor).or_default().push(spec.id);
    }
    rows.into_iter().map(|(floor, rows)| format!("- floor of {}: {floor}\n", rows.join(", "))).collect()
}

fn compared(own: &Figures, its: &Figures) -> [String; COMPARED.len()] {
    let number = |value: f64| number(value, own.spec.unit);
    let ratio = format!("{:.2}x", own.median / its.median);
    [what(own), number(own.median), number(its.median), ratio, number(own.best), number(its.best), own.spec.id.into()]
}

fn what(figures: &Figures) -> String {
    let (spec, unit) = (figures.spec, figures.spec.unit.name());
    if unit.is_empty() { spec.what.to_owned() } else { format!("{}, {unit}", spec.what) }
}

fn cells(figures: &Figures) -> [String; COLUMNS.len()] {
    let spec = figures.spec;
    let number = |value: f64| number(value, spec.unit);
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let sign = match spec.better {
        Better::Lower => "<=",
        Better::Higher => ">=",
    };
    [
        what(figures),
        number(figures.median),
        number(figures.p90),
        number(figures.best),
        or_dash(figures.floor.map(number)),
        or_dash(figures.ratio().map(|ratio| format!("{ratio:.1}x"))),
        or_dash(figures.goal.map(|goal| format!("{sign} {}", number(goal)))),
        match figures.met() {
            Some(true) => "met".into(),
            Some(false) => "MISSED".into(),
            None => String::new(),
        },
        spec.id.into(),
    ]
}

/// Three digits that mean something.
fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Seconds => format!("{value:.3}"),
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

impl Run {
    fn this() -> Self {
        Self { date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(), commit: commit(), machine: Machine::this() }
    }

    fn line(&self) -> String {
        let Self { date, commit, machine } = self;
        let Machine { processor, processors, kernel, load: [load, _] } = machine;
        format!("{date}, commit {commit}, {processors} x {processor}, Linux {kernel}, load {load}")
    }

    fn record(&self, figures: &[Figures]) -> Value {
        let Self { date, commit, machine } = self;
        let Machine { processor, processors, kernel, load } = machine;
        let rows: Map<String, Value> = figures.iter().map(|row| (row.spec.id.to_owned(), record(row))).collect();
        let machine = json!({ "processor": processor, "processors": processors, "kernel": kernel, "load": load });
        json!({ "date": date, "commit": commit, "machine": machine, "rows": rows })
    }
}

/// A row of the history; what there is not is left out.
fn record(row: &Figures) -> Value {
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let numbers = [
        ("median", Some(row.median)),
        ("p90", Some(row.p90)),
        ("best", Some(row.best)),
        ("floor", row.floor),
        ("ratio", row.ratio()),
        ("goal", row.goal),
    ];
    let mut record: Map<String, Value> =
        numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(rounded(value?))))).collect();
    record.insert("unit".into(), row.spec.unit.name().into());
    record.insert("samples".into(), row.samples.into());
    record.extend(row.met().map(|met| ("met".into(), met.into())));
    record.into()
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name.to_owned());
        let loadavg = read("/proc/loadavg");
        let load = |at| loadavg.split(' ').nth(at).and_then(|load| load.parse().ok()).unwrap_or(f64::NAN);
        Self {
            processor: processor.unwrap_or_else(|| "unknown".into()),
            processors: std::thread::available_parallelism().map_or(0, Into::into),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: [load(0), load(2)],
        }
    }
}

/// The commit that was measured; `+` when the program's sources differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--", "src", "build.rs", "Cargo.toml", "Cargo.lock"]);
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(commit) if changed.is_some_and(|changed| changed.is_empty()) => commit,
        Some(commit) => format!("{commit}+"),
        None => "unknown".into(),
    }
}

fn keep_on_page(page: &Path, table: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("{} cannot be read", page.display()))?;
    let [begin, end] = MARKS;
    let marked = text.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, behind) = marked.with_context(|| format!("{} has no line {begin:?} with {end:?} behind it", page.display()))?;
    Ok(fs::write(page, format!("{before}{begin}{table}{end}{behind}"))?)
}
