//! What a secret looks like: the rules that names and ids must pass before they are shown in a sanitized export.
//!
//! Source and licence: each pattern was written for pillion from the token format that the vendor itself documents
//! (AWS IAM identifiers, GitHub and GitLab token prefixes, Slack token types, Stripe key prefixes, RFC 7468 for PEM, RFC
//! 7519 for JWT, and so on); none is copied from a rule collection. They are looser than the formats: a name that is
//! hidden in vain costs little. Matching is linear in the text.

use regex::{NoExpand, Regex, RegexSet};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Name and pattern of each rule.
const RULES: [(&str, &str); 19] = [
    ("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{8,}"),
    // `sk-` inside a word (`task-1`) is none.
    ("openai_key", r"(?:^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"),
    ("aws_access_key_id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}"),
    ("github_token", r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}"),
    ("gitlab_token", r"gl(?:pat|oas|dt|rt|cbt|ptt|ft|soat|imt|agent|ffct)-[A-Za-z0-9_.-]{16,}"),
    ("slack_token", r"xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"),
    ("stripe_key", r"[rsp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9]{10,}"),
    ("google_key", r"AIza[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{16,}|ya29\.[A-Za-z0-9_-]{16,}"),
    ("npm_token", r"npm_[A-Za-z0-9]{20,}"),
    ("pypi_token", r"pypi-[A-Za-z0-9_-]{16,}"),
    ("crates_io_token", r"(?:^|[^A-Za-z0-9])cio[A-Za-z0-9]{32,}"),
    ("hugging_face_token", r"(?:^|[^A-Za-z0-9])hf_[A-Za-z0-9]{20,}"),
    ("groq_key", r"gsk_[A-Za-z0-9]{20,}"),
    ("xai_key", r"xai-[A-Za-z0-9]{20,}"),
    ("jwt", r"ey[IJ][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("pem", r"-----BEGIN[ A-Z0-9]*-----"),
    ("bearer", r"(?i)bearer[\s:._-]+[A-Za-z0-9._~+/-]{12,}"),
    ("url_password", r"://[^/\s:@]*:[^/\s@]+@"),
    (
        "assigned_secret",
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
    static EACH: LazyLock<Option<Vec<(&str, Regex)>>> =
        LazyLock::new(|| RULES.iter().map(|(name, pattern)| Some((*name, Regex::new(pattern).ok()?))).collect());
    if secret_in(text).is_none() {
        return Cow::Borrowed(text);
    }
    let Some(each) = EACH.as_ref() else { return Cow::Borrowed("[redacted]") };
    let mut clean = text.to_owned();
    for (name, pattern) in each {
        if let Cow::Owned(cleaner) = pattern.replace_all(&clean, NoExpand(&format!("[redacted:{name}]"))) {
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
    static SET: LazyLock<Option<RegexSet>> = LazyLock::new(|| RegexSet::new(RULES.map(|(_, pattern)| pattern)).ok());
    // Without its patterns the check would pass everything; so it passes nothing then.
    let Some(set) = SET.as_ref() else { return Some(OPAQUE) };
    set.matches(text).iter().next().map(|rule| RULES[rule].0).or_else(|| opaque_token(text).map(|_| OPAQUE))
}

/// A long run of upper case, lower case and digits all mixed. UUIDs, digests and the ids of the known providers have one
/// case only, or are shorter.
fn opaque_token(text: &str) -> Option<&str> {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| run.len() >= OPAQUE_CHARS);
    let mut mixed = runs.filter(|run| {
        let has = |class: fn(&u8) -> bool| run.as_bytes().iter().any(class);
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
    });
    mixed.next()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for (prefix, rest, rule) in examples {
            // Split, so that no scanner of this repository takes an example for a leak.
            assert_eq!(secret_in(&format!("{prefix}{rest}")), Some(rule));
        }
        assert_eq!(examples.len(), RULES.len() + 1, "each rule has an example");
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
