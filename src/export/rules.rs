//! What a secret looks like: the rules that names and ids must pass before they are shown in a sanitized export.
//!
//! Source and licence: each pattern was written for pillion from the token format that the vendor itself documents
//! (AWS IAM identifiers, GitHub and GitLab token prefixes, Slack token types, Stripe key prefixes, RFC 7468 for PEM, RFC
//! 7519 for JWT, and so on); none is copied from a rule collection. They are looser than the formats: a name that is
//! hidden in vain costs little. Matching is linear in the text.
//!
//! Invariant: a text that holds none of a rule's needles cannot match its pattern, so that pattern is not even compiled.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{NoExpand, Regex};
use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

/// What one kind of secret looks like.
struct Rule {
    name: &'static str,
    /// Every match holds one of these, in upper or lower case. As long as the pattern allows: a common word would find
    /// nothing but work.
    needles: &'static [&'static str],
    pattern: &'static str,
}

const fn rule(name: &'static str, needles: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { name, needles, pattern }
}

const RULES: [Rule; 19] = [
    rule("anthropic_key", &["sk-ant-"], r"sk-ant-[A-Za-z0-9_-]{8,}"),
    // `sk-` inside a word (`task-1`) is none.
    rule("openai_key", &["sk-"], r"(?:^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"),
    rule("aws_access_key_id", &["AKIA", "ASIA", "ABIA", "ACCA"], r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}"),
    rule(
        "github_token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}",
    ),
    rule(
        "gitlab_token",
        &["glpat-", "gloas-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-", "glffct-"],
        r"gl(?:pat|oas|dt|rt|cbt|ptt|ft|soat|imt|agent|ffct)-[A-Za-z0-9_.-]{16,}",
    ),
    rule("slack_token", &["xox", "xapp-"], r"xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"),
    rule("stripe_key", &["k_live_", "k_test_", "whsec_"], r"[rsp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9]{10,}"),
    rule("google_key", &["AIza", "GOCSPX-", "ya29."], r"AIza[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{16,}|ya29\.[A-Za-z0-9_-]{16,}"),
    rule("npm_token", &["npm_"], r"npm_[A-Za-z0-9]{20,}"),
    rule("pypi_token", &["pypi-"], r"pypi-[A-Za-z0-9_-]{16,}"),
    rule("crates_io_token", &["cio"], r"(?:^|[^A-Za-z0-9])cio[A-Za-z0-9]{32,}"),
    rule("hugging_face_token", &["hf_"], r"(?:^|[^A-Za-z0-9])hf_[A-Za-z0-9]{20,}"),
    rule("groq_key", &["gsk_"], r"gsk_[A-Za-z0-9]{20,}"),
    rule("xai_key", &["xai-"], r"xai-[A-Za-z0-9]{20,}"),
    rule("jwt", &["eyI", "eyJ"], r"ey[IJ][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    rule("pem", &["-----BEGIN"], r"-----BEGIN[ A-Z0-9]*-----"),
    rule("bearer", &["bearer"], r"(?i)bearer[\s:._-]+[A-Za-z0-9._~+/-]{12,}"),
    rule("url_password", &["://"], r"://[^/\s:@]*:[^/\s@]+@"),
    rule(
        "assigned_secret",
        &["api", "access", "secret", "token", "passw", "passphrase", "credential"],
        concat!(
            r"(?i)(?:api[_.-]?key|access[_.-]?key|secret|token|passw(?:or)?d|passphrase|credential)[A-Za-z0-9_.-]{0,20}",
            r#"["']?\s*[=:]\s*["']?[^\s"']{8,}"#
        ),
    ),
];

/// The rule for a bare token of no known vendor.
const OPAQUE: &str = "opaque_token";
const OPAQUE_CHARS: usize = 32;

/// `text` with a placeholder in place of whatever looks like a secret. For the log, where nothing stands by its class.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if secret_in(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut clean = text.to_owned();
    for (at, rule) in RULES.iter().enumerate() {
        let Some(pattern) = pattern(at) else { return Cow::Borrowed("[redacted]") };
        if let Cow::Owned(cleaner) = pattern.replace_all(&clean, NoExpand(&format!("[redacted:{}]", rule.name))) {
            clean = cleaner;
        }
    }
    while let Some(token) = opaque_token(&clean).map(str::to_owned) {
        clean = clean.replace(&token, &format!("[redacted:{OPAQUE}]"));
    }
    Cow::Owned(clean)
}

/// The rule that `text` breaks, if it looks like a secret.
pub(super) fn secret_in(text: &str) -> Option<&'static str> {
    vendors_secret_in(text).or_else(|| opaque_token(text).map(|_| OPAQUE))
}

fn vendors_secret_in(text: &str) -> Option<&'static str> {
    let broken = candidates(text).find(|at| {
        // Without its pattern a rule would pass everything; so it passes nothing then.
        pattern(*at).is_none_or(|pattern| pattern.is_match(text))
    });
    broken.map(|at| RULES[at].name)
}

/// The same of a name, in which blanks may stand: a token that they take apart is one all the same.
pub(super) fn secret_in_name(name: &str) -> Option<&'static str> {
    secret_in(name).or_else(|| if name.contains(' ') { vendors_secret_in(&name.replace(' ', "")) } else { None })
}

/// The rules that `text` may break, in order.
fn candidates(text: &str) -> impl Iterator<Item = usize> {
    static NEEDLES: LazyLock<Option<(AhoCorasick, Vec<usize>)>> = LazyLock::new(|| {
        let needles = RULES.iter().enumerate().flat_map(|(at, rule)| rule.needles.iter().map(move |needle| (*needle, at)));
        let (needles, rules): (Vec<&str>, Vec<usize>) = needles.unzip();
        Some((AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::ContiguousNFA)).build(needles).ok()?, rules))
    });
    let mut may_break = [false; RULES.len()];
    match NEEDLES.as_ref() {
        // Outside of ASCII a letter has more spellings than two, and the patterns know them all.
        Some((needles, rules)) if text.is_ascii() => {
            needles.find_overlapping_iter(text).for_each(|found| may_break[rules[found.pattern().as_usize()]] = true);
        }
        _ => may_break.fill(true),
    }
    (0..RULES.len()).filter(move |at| may_break[*at])
}

/// The pattern of a rule, compiled at its first use.
fn pattern(at: usize) -> Option<&'static Regex> {
    static COMPILED: [OnceLock<Option<Regex>>; RULES.len()] = [const { OnceLock::new() }; RULES.len()];
    COMPILED[at].get_or_init(|| Regex::new(RULES[at].pattern).ok()).as_ref()
}

/// A long run of upper case, lower case and digits all mixed. UUIDs, digests and the ids of the known providers have one
/// case only, or are shorter. Where the run goes on over `+` and `/`, as base64 does, it must also be as restless as chance
/// is: the names of models and files are not.
fn opaque_token(text: &str) -> Option<&str> {
    let long = |run: &&str| run.len() >= OPAQUE_CHARS && is_mixed(run);
    let mut letters = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(long);
    let mut base64 = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/').filter(long).filter(|run| is_restless(run));
    letters.next().or_else(|| base64.next())
}

fn is_mixed(run: &str) -> bool {
    let has = |class: fn(&u8) -> bool| run.as_bytes().iter().any(class);
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// Whether upper case, lower case and the rest take turns more often than in words.
fn is_restless(run: &str) -> bool {
    let class = |byte: &u8| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    let turns = run.as_bytes().windows(2).filter(|pair| class(&pair[0]) != class(&pair[1])).count();
    turns > run.len() / 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prop_assert;
    use proptest::string::string_regex;
    use proptest::test_runner::{Config, TestRunner};

    #[test]
    fn every_pattern_compiles_and_finds_its_format() {
        let examples = [
            ("sk-ant-", "api03-AbCdEf012345", "anthropic_key"),
            ("sk-", "proj-AbCdEf0123456789", "openai_key"),
            ("AKIA", "IOSFODNN7EXAMPLE", "aws_access_key_id"),
            ("ghp_", "0123456789abcdefABCDEF0123456789abcd", "github_token"),
            ("glpat-", "0123456789abcdef0123", "gitlab_token"),
            ("xoxb-", "123456789012-abcdef", "slack_token"),
            ("sk_live_", "0123456789abcdef", "stripe_key"),
            ("AIza", "SyA0123456789abcdefghijklmnopqrstuv", "google_key"),
            ("npm_", "0123456789abcdefghijABCDEFGHIJ012345", "npm_token"),
            ("pypi-", "AgEIcHlwaS5vcmcCJDAx", "pypi_token"),
            ("cio", "0123456789abcdefghijABCDEFGHIJ012345", "crates_io_token"),
            ("hf_", "abcdefghijABCDEFGHIJ0123", "hugging_face_token"),
            ("gsk_", "abcdefghijABCDEFGHIJ0123", "groq_key"),
            ("xai-", "abcdefghijABCDEFGHIJ0123", "xai_key"),
            ("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt"),
            ("-----BEGIN ", "RSA PRIVATE KEY-----", "pem"),
            ("Bearer ", "abcdef-123456", "bearer"),
            ("https://", "me:hunter2@host/", "url_password"),
            ("api_key", "=0123456789", "assigned_secret"),
            ("wJalrXUtnFEMIK7MDENGbPxRfi", "CYEXAMPLEKEY0123", OPAQUE),
            ("wJalrXUtnFEMI/K7MDENG", "/bPxRfiCYEXAMPLEKEY", OPAQUE),
        ];
        for (prefix, rest, rule) in examples {
            // Split, so that no scanner of this repository takes an example for a leak.
            assert_eq!(secret_in(&format!("{prefix}{rest}")), Some(rule));
        }
        assert_eq!(examples.len(), RULES.len() + 2, "each rule has an example");
        assert_eq!(secret_in_name(&format!("Editor {}_ 01234567 89abcdef ABCDEF", "ghp")), Some("github_token"));
    }

    #[test]
    fn what_matches_a_pattern_holds_a_needle() {
        for (at, rule) in RULES.iter().enumerate() {
            // What stands in front of a token is no part of it, and an anchor cannot be made up.
            let pattern = rule.pattern.replace("(?:^|[^A-Za-z0-9])", "");
            let (matching, rule_itself) = (string_regex(&pattern).expect(rule.name), Regex::new(rule.pattern).expect(rule.name));
            let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(20) });
            let holds = runner.run(&matching, |text| {
                for text in [in_ascii(&text), text] {
                    prop_assert!(rule_itself.is_match(&text));
                    prop_assert!(candidates(&text).any(|candidate| candidate == at), "{}: {}", rule.name, text);
                }
                Ok(())
            });
            assert_eq!(holds, Ok(()), "{}", rule.name);
        }
    }

    /// The same text in letters that upper and lower case alone tell apart.
    fn in_ascii(text: &str) -> String {
        let simple = |c: char| match c {
            _ if c.is_ascii() => c,
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            _ if c.is_whitespace() => ' ',
            _ => 'x',
        };
        text.chars().map(simple).collect()
    }

    #[test]
    fn a_line_loses_its_secrets_and_nothing_else() {
        assert!(matches!(without_secrets("turn_0198f1c2d3e47a5b8c9d0e1f2a3b4c5d has ended"), Cow::Borrowed(_)));
        let (token, opaque) = (format!("{}_0123456789abcdefABCDEF", "ghp"), "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY");
        let line = format!(r#"{{"id":"\"{token}\"","also":"{opaque} {opaque} {token}","cause":"client_cancel"}}"#);
        let clean = r#"{"id":"\"[redacted:github_token]\"","also":"[redacted:opaque_token] [redacted:opaque_token] [redacted:github_token]","cause":"client_cancel"}"#;
        assert_eq!(without_secrets(&line), clean);
    }

    #[test]
    fn ids_as_they_are_made_pass() {
        let ids = [
            "ses_0198f1c2d3e47a5b8c9d0e1f2a3b4c5d",
            "0198f1c2-d3e4-7a5b-8c9d-0e1f2a3b4c5d",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "chatcmpl-9XyZ0123456789abcdefABCDEFGH",
            "call_AbCdEf0123456789AbCdEf01",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "task-0198f1c2-d3e4-7a5b-8c9d-0e1f2a3b4c5d",
            "openai:gpt-4o-mini",
            "Qwen/Qwen3-235B-A22B-Thinking-2507",
            "accounts/fireworks/models/DeepSeekV3p1Instruct",
            "Visual Studio Code - Insiders 1.98.0+build.20260101",
            "nvim.keymap",
            "stop-7",
            "session/cancel",
            "no end of the stream: the connection closed",
        ];
        for id in ids {
            assert_eq!(secret_in(id), None, "{id}");
        }
    }
}
