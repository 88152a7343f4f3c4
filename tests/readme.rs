//! The README says what the program has: its table of settings is the program's own, written out.

use pillion::config::{Overrides, Places, SETTINGS, Settings};
use std::fmt::Write;

/// The table between these two lines is checked.
const BEGIN: &str = "<!-- settings: made by tests/readme.rs -->\n";
const END: &str = "<!-- end of settings -->\n";

fn table() -> String {
    let places = Places { config_file: None, data_dir: Some("/data".into()), log_file: Some("/log".into()) };
    let defaults = Settings::load_at(&places, &Overrides::default(), &|_| None).expect("the defaults");
    let code = |text: Option<&str>| text.map_or("-".to_owned(), |text| format!("`{text}`"));
    let mut table = "| in `config.toml` | environment | flag | default | what |\n|---|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let default = setting.show(&defaults);
        let places = [setting.key, setting.variable, setting.flag, default.as_deref()].map(code).join(" | ");
        writeln!(table, "| {places} | {} |", setting.about).expect("text");
    }
    table
}

#[test]
fn the_table_of_settings_is_the_programs_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the beginning of the table");
    let (written, after) = rest.split_once(END).expect("the end of the table");
    let table = table();
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, [before, BEGIN, &table, END, after].concat()).expect("README.md");
        return;
    }
    assert_eq!(written, table, "`UPDATE_README=1 cargo test --test readme` writes the table anew");
}
