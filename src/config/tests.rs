//! The precedence table, and the text of every error a person can cause.

mod providers;

use super::*;
use crate::policy::Rule;
use crate::protocol::cause::{BudgetUnit, LOOP_GUARD_SETTING};
use secrecy::ExposeSecret as _;
use std::path::Path;

/// A user with a configuration file of their own.
struct User {
    home: tempfile::TempDir,
    places: Places,
}

impl User {
    fn with(config: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("config.toml");
        std::fs::write(&file, config).expect("a file");
        let places = Places {
            config_file: Some(file),
            data_dir: Some(home.path().join("data")),
            log_file: Some(home.path().join("state/pillion.log")),
        };
        Self { home, places }
    }

    fn load(&self, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
        let overrides = Overrides { config: None, flags: flags.iter().map(|(flag, value)| (*flag, (*value).to_owned())).collect() };
        Settings::load_at(&self.places, &overrides, &|name| lookup(variables, name))
    }

    /// The error, with the user's directory written as HOME.
    fn error(&self, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> String {
        let error = self.load(variables, flags).expect_err("an error").to_string();
        error.replace(&self.home.path().display().to_string(), "HOME")
    }
}

fn lookup(variables: &[(&str, &str)], name: &str) -> Option<String> {
    variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn config_error(config: &str) -> String {
    User::with(config).error(&[], &[])
}

#[test]
fn the_later_of_default_file_variable_and_flag_wins_for_every_setting() {
    // Of each setting that has more than one place: its value in file, variable and flag.
    let table: [(&str, [&str; 3]); 4] = [
        ("model", ["openai:file", "openai:variable", "openai:flag"]),
        ("title.model", ["openai:file", "none", "session"]),
        ("base_url", ["https://file", "https://variable", "https://flag"]),
        ("log_level", ["error", "warn", "debug"]),
    ];
    for (key, [in_file, in_variable, in_flag]) in table {
        let setting = SETTINGS.iter().find(|setting| setting.key == Some(key)).expect(key);
        let (variable, flag) = (setting.variable.expect(key), setting.flag.expect(key));
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let section = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let (silent, speaking) = (User::with(""), User::with(&format!("{section}{name} = \"{in_file}\"")));
        let shown = |user: &User, variables: &[_], flags: &[_]| setting.show(&user.load(variables, flags).expect(key)).unwrap_or_default();

        let trimmed = |text: String| text.trim_end_matches('/').to_owned();
        assert_ne!(shown(&silent, &[], &[]), in_file, "{key}: the default is another value");
        assert_eq!(trimmed(shown(&speaking, &[], &[])), in_file);
        assert_eq!(trimmed(shown(&speaking, &[(variable, in_variable)], &[])), in_variable);
        assert_eq!(trimmed(shown(&speaking, &[(variable, in_variable)], &[(flag, in_flag)])), in_flag);
        assert_eq!(trimmed(shown(&silent, &[], &[(flag, in_flag)])), in_flag);
        assert_eq!(trimmed(shown(&speaking, &[(variable, "")], &[])), in_file, "{key}: an empty variable is an unset one");
    }
    let user = User::with("data_dir = '/file/data'\nlog_file = '/file/log'");
    let settings = user.load(&[("PILLION_DATA_DIR", "/variable"), ("PILLION_LOG", "/variable/log")], &[("--log-file", "/flag/log")]);
    let settings = settings.expect("settings");
    assert_eq!((settings.data_dir.as_path(), settings.log_file.as_path()), (Path::new("/variable"), Path::new("/flag/log")));
}

#[test]
fn the_settings_that_a_stop_names_are_settings() {
    let units = [BudgetUnit::ModelCalls, BudgetUnit::ToolCalls, BudgetUnit::OutputTokens].map(BudgetUnit::setting);
    for name in units.into_iter().chain([LOOP_GUARD_SETTING]) {
        assert!(SETTINGS.iter().any(|setting| setting.key == Some(name)), "{name}");
    }
}

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let user = User::with("");
    let settings = user.load(&[], &[]).expect("settings");
    let shown: Vec<String> =
        SETTINGS.iter().filter_map(|setting| Some(format!("{} = {}", setting.name(), setting.show(&settings)?))).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    title.model = session
    title.on_cancel = keep
    title.begins = auto
    title.timeout_seconds = 30
    store.durability = process
    log_level = info
    --deterministic = false
    --drain = false
    grace.soft_ms = 2000
    grace.hard_ms = 250
    permission.deadline_seconds = 300
    permission.mode = ask
    permission.deny = []
    permission.ask = []
    permission.allow = []
    sandbox.mode = on
    sandbox.network = off
    watchdog.connect_seconds = 20
    watchdog.first_byte_seconds = 120
    watchdog.idle_seconds = 120
    watchdog.reasoning_seconds = 600
    watchdog.tool_seconds = 900
    watchdog.turn_seconds = 0
    retry.max_attempts = 3
    retry.first_delay_ms = 500
    retry.max_delay_seconds = 30
    retry.loading_seconds = 600
    budget.model_calls = 100
    budget.tool_calls = 0
    budget.output_tokens = 0
    loop_guard.identical_calls = 10
    limits.max_header_line_bytes = 1024
    limits.max_header_block_bytes = 4096
    limits.max_message_bytes = 16777216
    limits.max_nesting = 128
    limits.max_in_flight = 1024
    limits.max_outbox_bytes = 8388608
    limits.max_result_bytes = 67108864
    limits.max_answer_calls = 256
    limits.max_call_bytes = 4194304
    limits.max_turn_text_bytes = 16777216
    "#);
    assert_eq!(Some(settings.data_dir), user.places.data_dir);
    assert_eq!(Some(settings.log_file), user.places.log_file);
}

#[test]
fn a_file_can_set_everything_that_has_a_key() {
    let config = r#"
        model = "openai:a"
        base_url = "https://models.example/v1/"
        data_dir = "/data"
        log_file = "/log"
        log_level = "off"
        title = { model = "none", on_cancel = "cancel", begins = "after_turn", timeout_seconds = 5 }
        [permission]
        deadline_seconds = 10
        mode = "auto_edit"
        deny = ["read(.env)", "network"]
        ask = ["shell(git *)"]
        allow = ["edit(src/)"]
        [grace]
        soft_ms = 1_000
        hard_ms = 0
        [store]
        durability = "power"
        [sandbox]
        mode = "require"
        network = "on"
        writable = ["/a", '/b c']
        [watchdog]
        connect_seconds = 1
        first_byte_seconds = 2
        idle_seconds = 3
        reasoning_seconds = 4
        tool_seconds = 5
        turn_seconds = 6
        [retry]
        max_attempts = 7
        first_delay_ms = 8
        max_delay_seconds = 9
        loading_seconds = 13
        [budget]
        model_calls = 11
        tool_calls = 0
        output_tokens = 1_000_000_000
        [loop_guard]
        identical_calls = 12
        [limits]
        max_header_line_bytes = 100
        max_header_block_bytes = 200
        max_message_bytes = 2000
        max_nesting = 20
        max_in_flight = 3
        max_outbox_bytes = 5000
        max_result_bytes = 6000
        max_answer_calls = 14
        max_call_bytes = 1500
        max_turn_text_bytes = 1600
    "#;
    for key in SETTINGS.iter().filter_map(|setting| setting.key) {
        assert!(config.contains(key.rsplit('.').next().expect("a name")), "{key} is not in this test");
    }
    let settings = User::with(config).load(&[], &[]).expect("settings");
    assert_eq!(settings.base_url.as_deref(), Some("https://models.example/v1"));
    assert_eq!((settings.title_model, settings.title_on_cancel), (TitleModel::Off, TitleOnCancel::Cancel));
    assert_eq!(settings.title_begins, TitleBegins::AfterTurn);
    assert_eq!((settings.title_timeout, settings.permission_deadline), (Duration::from_secs(5), Duration::from_secs(10)));
    assert_eq!(settings.durability, Durability::Power);
    assert_eq!((settings.grace.soft, settings.grace.hard), (Duration::from_secs(1), Duration::ZERO));
    let texts = |rules: &[Rule]| rules.iter().map(|rule| rule.text().to_owned()).collect::<Vec<_>>();
    assert_eq!((settings.mode, texts(&settings.rules.deny)), (Mode::AutoEdit, vec!["read(.env)".to_owned(), "network".to_owned()]));
    assert_eq!(
        (texts(&settings.rules.ask), texts(&settings.rules.allow)),
        (vec!["shell(git *)".to_owned()], vec!["edit(src/)".to_owned()])
    );
    let [connect, first_byte, idle, reasoning, tool, turn] = [1, 2, 3, 4, 5, 6].map(Duration::from_secs);
    let writable = vec!["/a".into(), "/b c".into()];
    assert_eq!(settings.sandbox, Sandbox { mode: SandboxMode::Require, network: SandboxNetwork::On, writable });
    assert_eq!(settings.watchdogs, Watchdogs { connect, first_byte, idle, reasoning, tool, turn });
    let retry = Retry {
        max_attempts: 7,
        first_delay: Duration::from_millis(8),
        max_delay: Duration::from_secs(9),
        loading: Duration::from_secs(13),
    };
    assert_eq!(settings.retry, retry);
    let allowance = Allowance { model_calls: 11, tool_calls: 0, output_tokens: 1_000_000_000, identical_calls: 12 };
    assert_eq!(settings.allowance, allowance);
    let limits = Limits {
        header_line: 100,
        header_block: 200,
        message: 2000,
        nesting: 20,
        in_flight: 3,
        outbox: 5000,
        result: 6000,
        answer_calls: 14,
        call: 1500,
        turn_text: 1600,
    };
    assert_eq!(settings.limits, limits);
    assert_eq!(settings.log_level, tracing::level_filters::LevelFilter::OFF);
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line_and_what_is_allowed() {
    let errors = [
        "model = 'openai:a'\nmodle = 1",
        "[title]\ntimeout = 3",
        "[titel]\nmodel = 'none'",
        "title = 'none'",
        "[title]\n\n\ntimeout_seconds = 0",
        "[title]\ntimeout_seconds = '30'",
        "[title]\non_cancel = 'maybe'",
        "model = 7",
        "model = 'gpt-x'",
        "log_level = 'loud'",
        "data_dir = 'data'",
        "api_key = 'k'",
        "[grace]\nhard_ms = -1",
        "[limits]\nmax_nesting = 129",
        "[sandbox]\nwritable = '/a'",
        "[sandbox]\nwritable = [\n  '/a',\n  7,\n]",
        "[sandbox]\nwritable = [\n  '/a',\n  '~/.cargo',\n]",
        "[sandbox]\nwritable = ['a']",
        "[sandbox]\nmode = 'yes'",
        "[store]\ndurability = 'disk'",
        "[permission]\ndeny = [\n  'read(.env)',\n  'wirte',\n]",
        "[permission]\nallow = ['tool(shell)']",
        "[permission]\nmode = 'yolo'",
        "model = ['openai:a']",
        "model = 'openai:a\n",
        "stdio = 'lsp'",
    ];
    insta::assert_snapshot!(errors.map(config_error).join("\n"), @r#"
    HOME/config.toml:2: there is no setting `modle`; allowed here: `model`, [title], `base_url`, `data_dir`, [store], `log_file`, `log_level`, [grace], [permission], [sandbox], [watchdog], [retry], [budget], [loop_guard], [limits], [provider.NAME]
    HOME/config.toml:2: there is no setting `title.timeout`; allowed here: `model`, `on_cancel`, `begins`, `timeout_seconds`
    HOME/config.toml:1: there is no setting `titel`; allowed here: `model`, [title], `base_url`, `data_dir`, [store], `log_file`, `log_level`, [grace], [permission], [sandbox], [watchdog], [retry], [budget], [loop_guard], [limits], [provider.NAME]
    HOME/config.toml:1: `title` is a section, not a value
    HOME/config.toml:4: `title.timeout_seconds` is `0`, but it must be a whole number from 1 to 600
    HOME/config.toml:2: `title.timeout_seconds` must be a whole number
    HOME/config.toml:2: `title.on_cancel` is `maybe`, but it must be one of `keep`, `cancel`
    HOME/config.toml:1: `model` must be a string in quotes
    HOME/config.toml:1: `model` is `gpt-x`, but it names no provider; write `provider:model` with one of anthropic, deepseek, groq, mistral, ollama, openai, openai-responses, openrouter, xai, or `scripted:<file.json>`, `local`, `local:<file.gguf>`
    HOME/config.toml:1: `log_level` is `loud`, but it must be one of `off`, `error`, `warn`, `info`, `debug`, `trace`
    HOME/config.toml:1: `data_dir` is `data`, but it must be an absolute path
    HOME/config.toml:1: `api_key`: keys are not read from files; set PILLION_API_KEY or the vendor's own variable
    HOME/config.toml:2: `grace.hard_ms` is `-1`, but it must be a whole number from 0 to 1000
    HOME/config.toml:2: `limits.max_nesting` is `129`, but it must be a whole number from 16 to 128
    HOME/config.toml:2: `sandbox.writable` must be a list of strings, such as ["one", "two"]
    HOME/config.toml:4: `sandbox.writable` must be a list of strings, such as ["one", "two"]
    HOME/config.toml:4: `sandbox.writable` is `~/.cargo`, but it must be a whole path: `~` is not expanded here
    HOME/config.toml:2: `sandbox.writable` is `a`, but it must be an absolute path
    HOME/config.toml:2: `sandbox.mode` is `yes`, but it must be one of `on`, `require`, `off`
    HOME/config.toml:2: `store.durability` is `disk`, but it must be one of `process`, `power`
    HOME/config.toml:4: `permission.deny` is `wirte`, but it must be a valid rule: unknown rule; expected read, edit, shell (optionally `(pattern)`), network or tool(name)
    HOME/config.toml:2: `permission.allow` is `tool(shell)`, but it must say what may be done, not which tool may do it: read, edit, shell or network
    HOME/config.toml:2: `permission.mode` is `yolo`, but it must be one of `read_only`, `ask`, `auto_edit`
    HOME/config.toml:1: `model` must be a string in quotes
    HOME/config.toml:1: not TOML: invalid literal string, expected `'`
    HOME/config.toml:1: there is no setting `stdio`; allowed here: `model`, [title], `base_url`, `data_dir`, [store], `log_file`, `log_level`, [grace], [permission], [sandbox], [watchdog], [retry], [budget], [loop_guard], [limits], [provider.NAME]
    "#);
}

#[test]
fn a_mistake_elsewhere_is_named_with_its_flag_or_variable() {
    let user = User::with("");
    let errors = [
        user.error(&[("PILLION_MODEL", "gemini:x")], &[]),
        user.error(&[("PILLION_CONFIG", "/nowhere/config.toml")], &[]),
        user.error(&[], &[("--stdio", "http")]),
        user.error(&[], &[("--title-model", "off")]),
        user.error(&[], &[("--data-dir", "~/x")]),
        user.error(&[], &[("--base-url", "ftp://x")]),
        user.error(&[], &[("--base-url", "localhost:11434")]),
        user.error(&[], &[("--base-url", "https://me:hunter2@host/v1")]),
        user.error(&[], &[("--base-url", "https://host/v1?key=hunter2")]),
    ];
    assert!(!errors.join("\n").contains("hunter2"));
    insta::assert_snapshot!(errors.join("\n"), @r#"
    the environment variable PILLION_MODEL is `gemini:x`, but it asks for the provider `gemini`, which does not exist; write `provider:model` with one of anthropic, deepseek, groq, mistral, ollama, openai, openai-responses, openrouter, xai, or `scripted:<file.json>`, `local`, `local:<file.gguf>`
    PILLION_CONFIG names /nowhere/config.toml, which cannot be read: No such file or directory (os error 2)
    --stdio is `http`, but it must be one of `lsp`, `jsonl`
    --title-model is `off`, but it is neither `none` nor `session` and names no provider; write `provider:model` with one of anthropic, deepseek, groq, mistral, ollama, openai, openai-responses, openrouter, xai, or `scripted:<file.json>`, `local`, `local:<file.gguf>`
    --data-dir is `~/x`, but it must be a whole path: `~` is not expanded here
    --base-url is `ftp://x`, but it must be an http or https address such as http://127.0.0.1:11434/v1
    --base-url is `localhost:11434`, but it must be an http or https address such as http://127.0.0.1:11434/v1
    --base-url must not hold a user name or a password; give the key in PILLION_API_KEY
    --base-url must not hold a key behind its `?`; give the key in PILLION_API_KEY
    "#);
}

#[test]
fn a_key_never_travels_in_clear() {
    let user = User::with("");
    let model = ("--model", "openai:a");
    for safe in ["https://host/v1", "http://127.0.0.1:8080/v1", "http://localhost:1", "http://[::1]:1/v1"] {
        user.load(&[("PILLION_API_KEY", "k")], &[model, ("--base-url", safe)]).expect(safe);
    }
    let clear = ("--base-url", "http://host/v1");
    for variable in ["PILLION_API_KEY", "OPENAI_API_KEY"] {
        let error = user.error(&[(variable, "k")], &[model, clear]);
        assert!(error.contains(&format!("the key in {variable} would travel in clear")), "{error}");
    }
    for not_loopback in ["http://127.0.0.1.example/v1", "http://localhost.example", "http://10.0.0.1", "http://[::2]"] {
        user.load(&[("PILLION_API_KEY", "k")], &[model, ("--base-url", not_loopback)]).expect_err(not_loopback);
    }
    for (model, variable) in [("anthropic:a", "ANTHROPIC_API_KEY"), ("openai-responses:a", "OPENAI_API_KEY")] {
        let error = user.error(&[(variable, "k")], &[("--model", model), clear]);
        assert!(error.contains(&format!("the key in {variable} would travel in clear")), "{error}");
    }
    user.load(&[], &[model, clear]).expect("no key, nothing to protect");
    user.load(&[("PILLION_API_KEY", ""), ("OPENAI_API_KEY", "k")], &[model, clear]).expect("an empty key says: send none");
}

#[test]
fn the_digest_is_of_the_settings_without_keys_and_paths() {
    let user = User::with("");
    let digest = |variables: &[_], flags: &[_]| user.load(variables, flags).expect("settings").digest();
    let plain = digest(&[], &[]);
    assert_eq!((plain.len(), plain.bytes().all(|b| b.is_ascii_hexdigit())), (64, true));
    assert_eq!(digest(&[("PILLION_API_KEY", "sk-secret")], &[("--data-dir", "/elsewhere")]), plain);
    let others = [("--model", "openai:a"), ("--title-model", "none"), ("--base-url", "https://x"), ("--stdio", "lsp")];
    for flag in others {
        assert_ne!(digest(&[], &[flag]), plain, "{}", flag.0);
    }
    assert_ne!(User::with("[limits]\nmax_in_flight = 7").load(&[], &[]).expect("settings").digest(), plain);
}

#[test]
fn a_key_is_never_printed() {
    let settings = User::with("").load(&[("PILLION_API_KEY", "sk-visible")], &[]).expect("settings");
    assert!(!format!("{settings:?}").contains("sk-visible"));
}

#[test]
fn known_keys_are_the_configured_one_and_the_values_of_secret_names() {
    let settings = User::with("").load(&[("PILLION_API_KEY", "configured-key")], &[]).expect("settings");
    let environment = [("OTHER_API_KEY", "other-key"), ("EDITOR", "an-editor")].map(|(name, value)| (name.into(), value.into()));
    let keys = settings.known_keys(environment);
    assert_eq!((keys.count("configured-key"), keys.count("other-key"), keys.count("an-editor")), (1, 1, 0));
}

#[test]
fn without_a_home_the_data_directory_must_be_named() {
    let load = |flags| Settings::load_at(&Places::default(), &Overrides { config: None, flags }, &|_| None);
    assert!(load(Vec::new()).expect_err("no home").to_string().contains("set HOME, or say where to keep sessions with --data-dir"));
    let settings = load(vec![("--data-dir", "/data".to_owned())]).expect("settings");
    assert_eq!(settings.log_file, Path::new("/data/pillion.log"));
}

#[test]
fn only_the_users_own_file_may_be_absent() {
    let user = User::with("");
    std::fs::remove_file(user.home.path().join("config.toml")).expect("removed");
    user.load(&[], &[]).expect("defaults");
    let named = Overrides { config: Some("/nowhere.toml".into()), flags: Vec::new() };
    let error = Settings::load_at(&user.places, &named, &|_| None).expect_err("an error").to_string();
    assert!(error.starts_with("--config names /nowhere.toml, which cannot be read"), "{error}");
}
