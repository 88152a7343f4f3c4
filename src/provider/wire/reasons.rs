//! Why answers end, in the words of all vendors and gateways.

/// What a finish reason says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The model had said what it wanted to say.
    Finished,
    /// It wants tools to be called.
    Calls,
    /// A limit ended it.
    CutOff,
    Refused,
    /// The server or the model failed.
    Failed,
    /// A server that is too busy, and will not be in a while.
    Busy,
    Unknown,
}

/// One column for each [`Reason`] that has words; in lower case, with `_` between words.
const WORDS: [(Reason, &[&str]); 6] = [
    (
        Reason::Finished,
        &[
            "stop",
            "stop_sequence",
            "stop_token",
            "end_turn",
            "end",
            "eos",
            "eos_token",
            "eos_id",
            "complete",
            "completed",
            "finish",
            "finished",
            "done",
            "normal",
            "success",
            "pause_turn",
            "message_stop",
        ],
    ),
    (Reason::Calls, &["tool_calls", "tool_call", "tool_use", "tool", "function_call", "function_calls"]),
    (
        Reason::CutOff,
        &[
            "length",
            "max_tokens",
            "max_token",
            "max_length",
            "max_output_tokens",
            "max_completion_tokens",
            "max_new_tokens",
            "model_length",
            "model_context_window_exceeded",
            "context_length",
            "context_length_exceeded",
            "context_window_exceeded",
            "token_limit",
            "error_limit",
            "incomplete",
            "truncated",
            "repetition_truncation",
        ],
    ),
    (
        Reason::Refused,
        &[
            "content_filter",
            "content_filtered",
            "content_filter_error",
            "contentfilter",
            "safety",
            "image_safety",
            "refusal",
            "refused",
            "sensitive",
            "recitation",
            "image_recitation",
            "blocklist",
            "blocked",
            "prohibited_content",
            "image_prohibited_content",
            "spii",
            "language",
            "guardrail_intervened",
            "guardrails",
            "error_toxic",
            "moderation",
        ],
    ),
    (
        Reason::Failed,
        &[
            "error",
            "failed",
            "failure",
            "abort",
            "aborted",
            "cancelled",
            "canceled",
            "user_cancel",
            "interrupted",
            "malformed_function_call",
            "malformed_tool_call",
            "malformed_response",
            "malformed_model_output",
            "malformed_tool_use",
            "unexpected_tool_call",
            "unexpected_function_call",
            "too_many_tool_calls",
            "invalid_tool_call",
            "missing_thought_signature",
            "no_image",
            "image_other",
            "internal_error",
            "server_error",
            "expired",
        ],
    ),
    (
        Reason::Busy,
        &["engine_overloaded", "overloaded", "insufficient_system_resource", "network_error", "timeout", "unavailable", "rate_limit"],
    ),
];

/// What stands where a reason belongs and is none.
const NOTHING: [&str; 6] = ["null", "none", "undefined", "nil", "unspecified", "in_progress"];

/// The reason, if this is one.
pub(super) fn reason(raw: &str) -> Option<Reason> {
    let raw = raw.trim();
    if raw.parse::<f64>().is_ok() {
        return None;
    }
    let name = raw.to_ascii_lowercase().replace(['-', ' '], "_");
    let name = ["finish_reason_", "finish_reason.", "finishreason.", "stop_reason_"]
        .iter()
        .find_map(|start| name.strip_prefix(start))
        .unwrap_or(&name);
    if name.is_empty() || NOTHING.contains(&name) {
        return None;
    }
    let known = WORDS.iter().find(|(_, words)| words.contains(&name)).map(|(reason, _)| *reason);
    // Camel case, as some write it.
    let joined = |word: &&str| word.replace('_', "") == name;
    let known = known.or_else(|| WORDS.iter().find(|(_, words)| words.iter().any(&joined)).map(|(reason, _)| *reason));
    Some(known.unwrap_or(Reason::Unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_known_however_it_is_written() {
        for (raw, want) in [
            ("stop", Reason::Finished),
            ("STOP", Reason::Finished),
            ("FINISH_REASON_STOP", Reason::Finished),
            ("endTurn", Reason::Finished),
            ("tool-calls", Reason::Calls),
            ("MAX_TOKENS", Reason::CutOff),
            ("maxTokens", Reason::CutOff),
            ("model_length", Reason::CutOff),
            ("SAFETY", Reason::Refused),
            ("content_filtered", Reason::Refused),
            ("MALFORMED_FUNCTION_CALL", Reason::Failed),
            ("cancelled", Reason::Failed),
            ("engine_overloaded", Reason::Busy),
            ("of a new kind", Reason::Unknown),
        ] {
            assert_eq!(reason(raw), Some(want), "{raw}");
        }
        for nothing in ["", " ", "null", "NULL", "None", "0", "-1.5", "FINISH_REASON_UNSPECIFIED"] {
            assert_eq!(reason(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn no_word_stands_in_two_columns() {
        let mut words: Vec<_> = WORDS.iter().flat_map(|(_, words)| words.iter()).collect();
        let many = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), many);
    }
}
