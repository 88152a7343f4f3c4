//! The table of settings: for each its places in file, environment and flags, what it takes, and how it is read.
//!
//! The documentation of the settings is this table written out.

use super::setting::{Kind, Setting, allowed, limit, rules, seconds};
use super::value::{Bad, absolute, base_url, each, loosening_rule, millis, model, one_of, quoted, rule};
use super::{Durability, Framing, SandboxMode, SandboxNetwork, TitleBegins, TitleModel, TitleOnCancel};
use crate::protocol::mode::Mode;
use std::time::Duration;

/// Every setting but the key, which is read from the environment alone.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: Some("model"),
        variable: Some("PILLION_MODEL"),
        flag: Some("--model"),
        about: "the model for turns, as provider:model",
        kind: Kind::Text {
            set: |settings, text| {
                settings.model = Some(model(text, &settings.providers)?);
                Ok(())
            },
            show: |settings| settings.model.as_ref().map(ToString::to_string),
        },
    },
    Setting {
        key: Some("title.model"),
        variable: Some("PILLION_TITLE_MODEL"),
        flag: Some("--title-model"),
        about: "the model for titles: provider:model, session (the session's own) or none (no titles)",
        kind: Kind::Text {
            set: |settings, text| {
                settings.title_model = match text {
                    "none" => TitleModel::Off,
                    "session" => TitleModel::Session,
                    text => TitleModel::Named(model(text, &settings.providers).map_err(|bad| match bad {
                        Bad::Must(must) => Bad::Must(format!("is neither `none` nor `session` and {must}")),
                        other => other,
                    })?),
                };
                Ok(())
            },
            show: |settings| match &settings.title_model {
                TitleModel::Off => Some("none".into()),
                TitleModel::Session => Some("session".into()),
                TitleModel::Named(name) => Some(name.to_string()),
            },
        },
    },
    Setting {
        key: Some("title.on_cancel"),
        variable: None,
        flag: None,
        about: "what becomes of a running title generation when its turn is cancelled: keep or cancel",
        kind: Kind::Text {
            set: |settings, text| {
                settings.title_on_cancel = one_of(text, &[("keep", TitleOnCancel::Keep), ("cancel", TitleOnCancel::Cancel)])?;
                Ok(())
            },
            show: |settings| {
                Some(match settings.title_on_cancel {
                    TitleOnCancel::Keep => "keep".into(),
                    TitleOnCancel::Cancel => "cancel".into(),
                })
            },
        },
    },
    Setting {
        key: Some("title.begins"),
        variable: None,
        flag: None,
        about: "when a title is asked for: with_answer (once the turn's answer has begun), after_turn (for a server that takes one request at a time) or auto (as the server is seen to do)",
        kind: Kind::Text {
            set: |settings, text| {
                let words = [("auto", TitleBegins::Auto), ("with_answer", TitleBegins::WithAnswer), ("after_turn", TitleBegins::AfterTurn)];
                settings.title_begins = one_of(text, &words)?;
                Ok(())
            },
            show: |settings| {
                Some(match settings.title_begins {
                    TitleBegins::Auto => "auto".into(),
                    TitleBegins::WithAnswer => "with_answer".into(),
                    TitleBegins::AfterTurn => "after_turn".into(),
                })
            },
        },
    },
    Setting {
        key: Some("title.timeout_seconds"),
        variable: None,
        flag: None,
        about: "the longest that a title generation may take",
        kind: Kind::Number {
            least: 1,
            most: 600,
            set: |settings, seconds| settings.title_timeout = Duration::from_secs(seconds),
            show: |settings| settings.title_timeout.as_secs(),
        },
    },
    Setting {
        key: Some("base_url"),
        variable: Some("PILLION_BASE_URL"),
        flag: Some("--base-url"),
        about: "the base URL of the model's provider",
        kind: Kind::Text {
            set: |settings, text| {
                settings.base_url = Some(base_url(text)?);
                Ok(())
            },
            show: |settings| settings.base_url.clone(),
        },
    },
    Setting {
        key: Some("data_dir"),
        variable: Some("PILLION_DATA_DIR"),
        flag: Some("--data-dir"),
        about: "where sessions are kept",
        kind: Kind::Path(|settings| &mut settings.data_dir),
    },
    Setting {
        key: Some("store.durability"),
        variable: None,
        flag: None,
        about: "what the record of a turn survives when the turn is answered: process (its end; a power cut may cost the last 50 ms) or power (waits for the disk)",
        kind: Kind::Text {
            set: |settings, text| {
                settings.durability = one_of(text, &[("process", Durability::Process), ("power", Durability::Power)])?;
                Ok(())
            },
            show: |settings| {
                Some(match settings.durability {
                    Durability::Process => "process".into(),
                    Durability::Power => "power".into(),
                })
            },
        },
    },
    Setting {
        key: Some("log_file"),
        variable: Some("PILLION_LOG"),
        flag: Some("--log-file"),
        about: "where the log is written",
        kind: Kind::Path(|settings| &mut settings.log_file),
    },
    Setting {
        key: Some("log_level"),
        variable: Some("PILLION_LOG_LEVEL"),
        flag: Some("--log-level"),
        about: "how much is logged: off, error, warn, info, debug or trace",
        kind: Kind::Text {
            set: |settings, text| {
                let levels = ["off", "error", "warn", "info", "debug", "trace"];
                let level = levels.contains(&text).then(|| text.parse().ok()).flatten();
                settings.log_level = level.ok_or_else(|| Bad::Must(format!("must be one of {}", quoted(levels))))?;
                Ok(())
            },
            show: |settings| Some(settings.log_level.to_string()),
        },
    },
    Setting {
        key: None,
        variable: None,
        flag: Some("--stdio"),
        about: "the framing on stdio: lsp or jsonl; without it the first byte decides",
        kind: Kind::Text {
            set: |settings, text| {
                settings.framing = Some(one_of(text, &[("lsp", Framing::Headers), ("jsonl", Framing::Lines)])?);
                Ok(())
            },
            show: |settings| {
                settings.framing.map(|framing| match framing {
                    Framing::Headers => "lsp".into(),
                    Framing::Lines => "jsonl".into(),
                })
            },
        },
    },
    Setting {
        key: None,
        variable: None,
        flag: Some("--deterministic"),
        about: "sequential ids and a frozen clock, for tests; needs its own data directory",
        kind: Kind::Text {
            set: |settings, text| {
                settings.deterministic = one_of(text, &[("true", true), ("false", false)])?;
                Ok(())
            },
            show: |settings| Some(settings.deterministic.to_string()),
        },
    },
    Setting {
        key: None,
        variable: None,
        flag: Some("--drain"),
        about: "at the end of input, finish pending requests and exit instead of stopping them",
        kind: Kind::Text {
            set: |settings, text| {
                settings.drain = one_of(text, &[("true", true), ("false", false)])?;
                Ok(())
            },
            show: |settings| Some(settings.drain.to_string()),
        },
    },
    Setting {
        key: Some("grace.soft_ms"),
        variable: None,
        flag: None,
        about: "how long a soft cancel lets the work end by itself",
        kind: Kind::Number {
            least: 0,
            most: 60_000,
            set: |settings, ms| settings.grace.soft = Duration::from_millis(ms),
            show: |settings| millis(settings.grace.soft),
        },
    },
    Setting {
        key: Some("grace.hard_ms"),
        variable: None,
        flag: None,
        about: "how long a hard cancel lets the work end by itself",
        kind: Kind::Number {
            least: 0,
            // The server leaves within 2 s whatever runs.
            most: 1_000,
            set: |settings, ms| settings.grace.hard = Duration::from_millis(ms),
            show: |settings| millis(settings.grace.hard),
        },
    },
    Setting {
        key: Some("permission.deadline_seconds"),
        variable: None,
        flag: None,
        about: "how long a permission question waits before it is a no",
        kind: Kind::Number {
            least: 1,
            most: 86_400,
            set: |settings, seconds| settings.permission_deadline = Duration::from_secs(seconds),
            show: |settings| settings.permission_deadline.as_secs(),
        },
    },
    Setting {
        key: Some("permission.mode"),
        variable: None,
        flag: None,
        about: "what happens without a rule: read_only, ask or auto_edit; a session can change it",
        kind: Kind::Text {
            set: |settings, text| {
                settings.mode = one_of(text, &Mode::ALL.map(|mode| (mode.id(), mode)))?;
                Ok(())
            },
            show: |settings| Some(settings.mode.id().into()),
        },
    },
    rules("permission.deny", "calls that never run, such as `read(.env)`, `shell(git push *)` or `network`", rule, |rules| &mut rules.deny),
    rules("permission.ask", "calls that are asked about, whatever allows them", rule, |rules| &mut rules.ask),
    rules(
        "permission.allow",
        "calls that run without a question, such as `edit(src/)` or `shell(cargo test *)`; commands only in a workspace that you trust",
        loosening_rule,
        |rules| &mut rules.allow,
    ),
    Setting {
        key: Some("sandbox.mode"),
        variable: None,
        flag: None,
        about: "whether the model's commands are confined: on (as far as the machine can), require (not run if it cannot) or off",
        kind: Kind::Text {
            set: |settings, text| {
                let modes = [("on", SandboxMode::On), ("require", SandboxMode::Require), ("off", SandboxMode::Off)];
                settings.sandbox.mode = one_of(text, &modes)?;
                Ok(())
            },
            show: |settings| {
                Some(match settings.sandbox.mode {
                    SandboxMode::On => "on".into(),
                    SandboxMode::Require => "require".into(),
                    SandboxMode::Off => "off".into(),
                })
            },
        },
    },
    Setting {
        key: Some("sandbox.network"),
        variable: None,
        flag: None,
        about: "whether confined commands have a network: off or on",
        kind: Kind::Text {
            set: |settings, text| {
                settings.sandbox.network = one_of(text, &[("off", SandboxNetwork::Off), ("on", SandboxNetwork::On)])?;
                Ok(())
            },
            show: |settings| {
                Some(match settings.sandbox.network {
                    SandboxNetwork::Off => "off".into(),
                    SandboxNetwork::On => "on".into(),
                })
            },
        },
    },
    Setting {
        key: Some("sandbox.writable"),
        variable: None,
        flag: None,
        about: "directories that confined commands may write to beside the workspace, such as [\"/home/me/.cargo\"]; absolute paths, of directories that are there when a session is opened",
        kind: Kind::List {
            set: |settings, texts| {
                settings.sandbox.writable = each(&texts, absolute)?;
                Ok(())
            },
            show: |_| None,
        },
    },
    seconds("watchdog.connect_seconds", "how long a connection to the model provider may take", 1, |dogs| &mut dogs.connect),
    seconds("watchdog.first_byte_seconds", "how long the first event of an answer may take", 1, |dogs| &mut dogs.first_byte),
    seconds("watchdog.idle_seconds", "how long a stream may stay silent", 1, |dogs| &mut dogs.idle),
    seconds(
        "watchdog.reasoning_seconds",
        "the same two for models that think before they write; also how long keep-alives alone may hold a stream open",
        1,
        |dogs| &mut dogs.reasoning,
    ),
    seconds("watchdog.tool_seconds", "how long one tool call may take", 1, |dogs| &mut dogs.tool),
    seconds("watchdog.turn_seconds", "how long a whole turn may take; 0 = unlimited", 0, |dogs| &mut dogs.turn),
    Setting {
        key: Some("retry.max_attempts"),
        variable: None,
        flag: None,
        about: "attempts at a model call before its failure fails the turn; 1 = no retry",
        kind: Kind::Number {
            least: 1,
            most: 10,
            set: |settings, attempts| settings.retry.max_attempts = attempts,
            show: |settings| settings.retry.max_attempts,
        },
    },
    Setting {
        key: Some("retry.first_delay_ms"),
        variable: None,
        flag: None,
        about: "the wait before the first retry; it doubles each time",
        kind: Kind::Number {
            least: 0,
            most: 60_000,
            set: |settings, ms| settings.retry.first_delay = Duration::from_millis(ms),
            show: |settings| millis(settings.retry.first_delay),
        },
    },
    Setting {
        key: Some("retry.max_delay_seconds"),
        variable: None,
        flag: None,
        about: "the longest such wait; a provider that asks for more is not retried",
        kind: Kind::Number {
            least: 0,
            most: 3_600,
            set: |settings, seconds| settings.retry.max_delay = Duration::from_secs(seconds),
            show: |settings| settings.retry.max_delay.as_secs(),
        },
    },
    Setting {
        key: Some("retry.loading_seconds"),
        variable: None,
        flag: None,
        about: "how long to wait for a server that is still loading the model",
        kind: Kind::Number {
            least: 0,
            most: 86_400,
            set: |settings, seconds| settings.retry.loading = Duration::from_secs(seconds),
            show: |settings| settings.retry.loading.as_secs(),
        },
    },
    allowed("budget.model_calls", "how many model calls a turn may make; 0 = unlimited", |turn| &mut turn.model_calls),
    allowed("budget.tool_calls", "how many tool calls a turn may ask for; 0 = unlimited", |turn| &mut turn.tool_calls),
    allowed(
        "budget.output_tokens",
        "how many tokens the model may write in a turn, as its provider counts them; no further call is made then; 0 = unlimited",
        |turn| &mut turn.output_tokens,
    ),
    allowed("loop_guard.identical_calls", "how often in a row a turn may call the same tool with the same input; 0 = unlimited", |turn| {
        &mut turn.identical_calls
    }),
    limit("limits.max_header_line_bytes", "one header line", 64, 1 << 16, |limits| &mut limits.header_line),
    limit("limits.max_header_block_bytes", "all header lines", 64, 1 << 20, |limits| &mut limits.header_block),
    limit("limits.max_message_bytes", "one message", 1 << 10, 1 << 30, |limits| &mut limits.message),
    // The JSON reader itself goes no deeper than 128.
    limit("limits.max_nesting", "levels of nested arrays and objects", 16, 128, |limits| &mut limits.nesting),
    limit("limits.max_in_flight", "requests that wait for an answer", 1, 1 << 20, |limits| &mut limits.in_flight),
    limit("limits.max_outbox_bytes", "updates that wait to be written", 1 << 12, 1 << 30, |limits| &mut limits.outbox),
    limit("limits.max_result_bytes", "one result", 1 << 12, 1 << 30, |limits| &mut limits.result),
    limit("limits.max_answer_calls", "tool calls in one answer of the model", 1, 1 << 14, |limits| &mut limits.answer_calls),
    limit("limits.max_call_bytes", "the arguments of one tool call", 1 << 10, 1 << 26, |limits| &mut limits.call),
    limit("limits.max_turn_text_bytes", "what the model writes in one turn, its thoughts among it", 1 << 10, 1 << 28, |limits| {
        &mut limits.turn_text
    }),
];
