//! Which key and which address belong to which provider, and what is said where one is missing.

use super::*;

#[test]
fn a_key_and_a_base_url_stay_with_the_provider_they_were_given_for() {
    let user = User::with("base_url = 'https://models.example'");
    let variables = [
        ("PILLION_API_KEY", "configured"),
        ("OPENAI_API_KEY", "openai's"),
        ("OLLAMA_API_KEY", "ollama's"),
        ("ANTHROPIC_API_KEY", "anthropic's"),
    ];
    let env = |name: &str| lookup(&variables, name);
    let key = |settings: &Settings, provider| {
        let key = settings.key_of(&kind(provider), &env).expect("a key");
        key.map(|key| key.expose_secret().to_owned())
    };
    let settings = user.load(&variables, &[("--model", "openai:a")]).expect("settings");
    assert_eq!(key(&settings, "openai").as_deref(), Some("configured"));
    assert_eq!(key(&settings, "ollama").as_deref(), Some("ollama's"));
    assert_eq!(key(&settings, "anthropic").as_deref(), Some("anthropic's"));
    assert_eq!(key(&settings, "openai-responses").as_deref(), Some("openai's"));
    assert_eq!(settings.key_of(&ProviderKind::Scripted, &env).expect("none").map(|_| ()), None);
    assert_eq!(settings.base_url_of(&kind("openai")), Some("https://models.example"));
    assert_eq!(settings.base_url_of(&kind("ollama")), Some("http://127.0.0.1:11434/v1"));

    let settings = user.load(&variables, &[]).expect("settings");
    assert_eq!(key(&settings, "openai").as_deref(), Some("openai's"), "no model is configured, so the configured key is nobody's");
    assert_eq!(key(&settings, "anthropic").as_deref(), Some("anthropic's"));
    assert_eq!(settings.base_url_of(&kind("ollama")), Some("https://models.example"), "no model chosen: for any");
}

fn kind(provider: &str) -> ProviderKind {
    ProviderKind::Remote(provider.into())
}

#[test]
fn an_address_of_a_known_vendor_takes_that_vendors_key_alone() {
    let variables = [("OPENAI_API_KEY", "openai's"), ("OPENROUTER_API_KEY", "router's")];
    let key = |base_url, variables: &[(&str, &str)]| {
        let settings = User::with("").load(variables, &[("--model", "openai:a"), ("--base-url", base_url)]).expect("settings");
        settings.key_of(&kind("openai"), &|name| lookup(variables, name)).map(|key| key.map(|key| key.expose_secret().to_owned()))
    };
    assert_eq!(key("https://openrouter.ai/api/v1", &variables).expect("a key").as_deref(), Some("router's"));
    assert_eq!(key("https://gateway.example/v1", &variables).expect("a key").as_deref(), Some("openai's"), "nobody's: the protocol's own");
    assert_eq!(key("https://gateway.example/v1", &[]).expect("none is needed"), None);
    assert_eq!(
        key("https://openrouter.ai/api/v1", &variables[..1]).expect_err("no key").to_string(),
        "openai at https://openrouter.ai/api/v1 needs a key, and OPENROUTER_API_KEY is not set; set it where pillion is started"
    );
}

#[test]
fn a_vendor_without_its_key_is_told_by_the_variable_and_whose_the_configured_key_is() {
    let error = |variables: &[(&str, &str)], flags: &[_], provider: &str| {
        let settings = User::with("").load(variables, flags).expect("settings");
        settings.key_of(&kind(provider), &|name| lookup(variables, name)).expect_err("no key").to_string()
    };
    let needs = "anthropic at https://api.anthropic.com needs a key, and ANTHROPIC_API_KEY is not set; set it where pillion is started";
    assert_eq!(error(&[], &[], "anthropic"), needs);
    let configured = ("PILLION_API_KEY", "k");
    let whose = "PILLION_API_KEY is the key of the configured model's provider";
    assert_eq!(error(&[configured], &[], "anthropic"), format!("{needs}; {whose}, and no model is configured"));
    assert_eq!(error(&[configured], &[("--model", "openai:a")], "anthropic"), format!("{needs}; {whose}, openai"));
    let none = User::with("").load(&[("PILLION_API_KEY", "")], &[("--model", "anthropic:a")]).expect("settings");
    assert!(none.key_of(&kind("anthropic"), &|_| None).expect("an empty key says: send none").is_none());
}

#[test]
fn providers_of_ones_own_have_an_address_and_the_variable_of_their_key() {
    let user = User::with(
        "model = 'gateway:big one'\n[provider.gateway]\nprotocol = 'anthropic'\nbase_url = 'https://gateway.example/v1/?v=2'\n\
         api_key_env = 'MY_GATEWAY'\n[provider.openai]\napi_key_env = 'WORK_OPENAI'",
    );
    let variables = [("MY_GATEWAY", "gateway's"), ("WORK_OPENAI", "work's"), ("OPENAI_API_KEY", "private"), ("ANTHROPIC_API_KEY", "a")];
    let settings = user.load(&variables, &[]).expect("settings");
    let key = |provider: &str| {
        settings.key_of(&kind(provider), &|name| lookup(&variables, name)).map(|key| key.expect("a key").expose_secret().to_owned())
    };
    assert_eq!(settings.model.as_ref().map(ToString::to_string).as_deref(), Some("gateway:big one"));
    assert_eq!(settings.base_url_of(&kind("gateway")), Some("https://gateway.example/v1?v=2"));
    assert_eq!(settings.providers.get("gateway").map(|gateway| gateway.speaks), Some(Speaks::Messages));
    assert_eq!((key("gateway").expect("a key"), key("openai").expect("a key")), ("gateway's".into(), "work's".into()));
    let environment = || variables.map(|(name, value)| (name.into(), format!("{value}-{value}").into()));
    assert_eq!(settings.known_keys(environment()).count("gateway's-gateway's"), 1, "whatever its variable is called");
    let left: Vec<_> = settings.command_environment(environment()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["TERM", "PAGER", "GIT_PAGER"]);
}

#[test]
fn a_provider_that_makes_no_sense_is_told_with_its_line() {
    let told = [
        ("provider = 1", "1: `provider` is a section of sections, such as [provider.my-gateway]"),
        ("[provider]\nx = 1", "2: `provider.x` is a section of sections, such as [provider.my-gateway]"),
        ("[provider.x]\nbase_url = 'http://h'", "1: [provider.x] needs a `protocol`: openai, openai-responses or anthropic"),
        ("[provider.x]\nprotocol = 'openai'", "1: [provider.x] needs a `base_url`"),
        (
            "[provider.x]\nprotocol = 'grpc'",
            "2: [provider.x] has the protocol `grpc`, but it must be openai, openai-responses or anthropic",
        ),
        ("[provider.openai]\nprotocol = 'anthropic'", "2: [provider.openai] has a `protocol` of its own that cannot be changed"),
        (
            "[provider.x]\napi_key_env = 'sk-very-private'",
            "2: [provider.x] must name the environment variable that holds the key in `api_key_env`, such as MY_GATEWAY_KEY",
        ),
        (
            "[provider.openai]\napi_key = 'sk-very-private'",
            "2: `provider.openai.api_key`: keys are not read from files; set PILLION_API_KEY or the vendor's own variable",
        ),
        (
            "[provider.openai]\nurl = 'x'",
            "2: there is no setting `provider.openai.url`; allowed here: `protocol`, `base_url`, `api_key_env`",
        ),
        (
            "[provider.'a b']\nprotocol = 'openai'",
            "1: [provider.a b] needs another name: letters, digits, dots and dashes, and neither `scripted` nor `local`",
        ),
    ];
    for (config, error) in told {
        assert_eq!(config_error(config), format!("HOME/config.toml:{error}"), "{config}");
    }
}
