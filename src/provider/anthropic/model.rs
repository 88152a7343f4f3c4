//! What has to be known of a model before it is asked, by its name.
//!
//! Invariant: an unknown name gets what the vendor's newest models take, and nothing that only some of them take.

/// What a request must say of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// The vendor wants a limit and refuses one that is too high for the model.
    pub(super) max_tokens: u32,
    /// The model thinks unless it is told not to, and shows nothing of it unless it is asked to.
    pub(super) thinks: bool,
}

/// The families of Claude 4 and later, named `claude-<family>-<generation>`.
const FAMILIES: [&str; 5] = ["opus", "sonnet", "haiku", "fable", "mythos"];

impl Traits {
    pub(super) fn of(model: &str) -> Self {
        // Gateways put a vendor or a region in front of the name.
        let name = model.find("claude-").map_or(model, |at| &model[at + "claude-".len()..]);
        let max_tokens = match name {
            _ if name.starts_with("3-5-") => 8_192,
            _ if name.starts_with("3-7-") => 64_000,
            _ if name.starts_with("3-") || name.starts_with("2") || name.starts_with("instant") => 4_096,
            "opus-4" => 32_000,
            _ if ["opus-4-0", "opus-4-1", "opus-4-2025"].iter().any(|old| name.starts_with(old)) => 32_000,
            _ => 64_000,
        };
        let generation = name.split_once('-').filter(|(family, _)| FAMILIES.contains(family)).map(|(_, rest)| rest);
        let generation = generation.and_then(|rest| rest.split(['-', '@', ':']).next()?.parse::<u32>().ok());
        Self { max_tokens, thinks: generation.is_some_and(|generation| generation >= 5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_how_long_an_answer_may_be_and_whether_the_model_thinks() {
        for (name, max_tokens, thinks) in [
            ("claude-3-haiku-20240307", 4_096, false),
            ("claude-3-5-sonnet-latest", 8_192, false),
            ("claude-3-7-sonnet-20250219", 64_000, false),
            ("claude-opus-4-20250514", 32_000, false),
            ("claude-opus-4-1", 32_000, false),
            ("claude-opus-4-5-20251101", 64_000, false),
            ("claude-sonnet-4-6", 64_000, false),
            ("claude-haiku-4-5", 64_000, false),
            ("claude-opus-5", 64_000, true),
            ("claude-fable-5-1", 64_000, true),
            ("claude-opus-10", 64_000, true),
            ("anthropic.claude-sonnet-5-v1:0", 64_000, true),
            ("kimi-k3", 64_000, false),
            ("", 64_000, false),
        ] {
            assert_eq!(Traits::of(name), Traits { max_tokens, thinks }, "{name}");
        }
    }
}
