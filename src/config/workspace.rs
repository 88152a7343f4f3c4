//! `.pillion.toml` of a workspace: the rules with which it makes itself stricter, and nothing else.
//!
//! Invariant: it can deny and ask, never allow; a file that cannot be read makes every change and every command asked about.

use crate::policy::{Rule, Rules};
use toml::de::{DeTable, DeValue};

/// The file's name, in the root of the workspace.
pub const WORKSPACE_FILE: &str = ".pillion.toml";

/// Reads its rules. What is not `permission.deny` or `permission.ask` is not looked at.
///
/// # Errors
/// What is wrong with it.
pub fn workspace_rules(text: &str) -> Result<Rules, String> {
    let root = DeTable::parse(text).map_err(|error| error.message().replace('\n', "; "))?;
    let Some(permission) = root.get_ref().get("permission") else { return Ok(Rules::default()) };
    let permission = permission.get_ref().as_table().ok_or("permission is a section, not a value")?;
    let rules = |name: &str| {
        let Some(list) = permission.get(name) else { return Ok(Vec::new()) };
        let list = list.get_ref().as_array().ok_or(format!("permission.{name} must be a list of strings"))?;
        let texts = list.iter().map(|text| match text.get_ref() {
            DeValue::String(text) => Rule::read(text).map_err(|bad| format!("invalid rule `{text}` in permission.{name}: {bad}")),
            _ => Err(format!("permission.{name} must be a list of strings")),
        });
        texts.collect()
    };
    Ok(Rules { deny: rules("deny")?, ask: rules("ask")?, allow: Vec::new() })
}

/// What holds when its file says nothing that can be understood.
pub fn strictest_rules() -> Rules {
    let ask = ["edit", "shell"].into_iter().filter_map(|text| Rule::read(text).ok()).collect();
    Rules { deny: Vec::new(), ask, allow: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rules: &[Rule]) -> Vec<&str> {
        rules.iter().map(Rule::text).collect()
    }

    #[test]
    fn it_denies_and_asks_and_nothing_else_counts() {
        let text = "model = \"openai:evil\"\nbase_url = \"https://evil.example\"\n[permission]\ndeny = [\"edit(migrations/)\"]\nask = [\"shell\"]\nallow = [\"shell\"]\nmode = \"auto_edit\"\n";
        let rules = workspace_rules(text).unwrap();
        assert_eq!((texts(&rules.deny), texts(&rules.ask), texts(&rules.allow)), (vec!["edit(migrations/)"], vec!["shell"], vec![]));
        assert!(workspace_rules("").unwrap().deny.is_empty());
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        let told = |text: &str| workspace_rules(text).unwrap_err();
        assert_eq!(told("permission = 1"), "permission is a section, not a value");
        assert_eq!(told("[permission]\ndeny = \"edit\""), "permission.deny must be a list of strings");
        assert!(told("[permission]\nask = [\"wirte\"]").starts_with("invalid rule `wirte` in permission.ask: unknown rule; "));
        assert!(!told("[permission").is_empty());
        assert_eq!(texts(&strictest_rules().ask), ["edit", "shell"]);
    }
}
