//! The clients' types are the program's own: made from `src/protocol` and committed where the plugins read them.

mod lua;
mod model;
mod typescript;

use model::Model;
use pillion::protocol::cause::Cause;
use pillion::protocol::diagnostics::Diagnostics;
use pillion::protocol::params::{
    CancelParams, ExportParams, ListSessionsParams, NewSessionParams, OpenSessionParams, PromptParams, SessionParams,
    SetConfigOptionParams, SetModeParams, ShellParams,
};
use pillion::protocol::permission::{PermissionParams, PermissionResult};
use pillion::protocol::results::{
    CancelResult, Capabilities, ConfigResult, ExportResult, ListSessionsResult, NewSessionResult, OpenSessionResult, PromptResult,
    ShellResult, TurnFailure,
};
use pillion::protocol::update::UpdateParams;
use schemars::generate::SchemaSettings;
use std::path::Path;

/// Everything that a client sends or receives, with what it is made of. What it receives says more of what is always there.
fn protocol() -> Model {
    let mut sent = SchemaSettings::draft2020_12().into_generator();
    sent.subschema_for::<NewSessionParams>();
    sent.subschema_for::<OpenSessionParams>();
    sent.subschema_for::<ListSessionsParams>();
    sent.subschema_for::<SessionParams>();
    sent.subschema_for::<PromptParams>();
    sent.subschema_for::<CancelParams>();
    sent.subschema_for::<ExportParams>();
    sent.subschema_for::<ShellParams>();
    sent.subschema_for::<SetConfigOptionParams>();
    sent.subschema_for::<SetModeParams>();
    sent.subschema_for::<PermissionResult>();
    let mut received = SchemaSettings::draft2020_12().for_serialize().into_generator();
    received.subschema_for::<Capabilities<'_>>();
    received.subschema_for::<NewSessionResult>();
    received.subschema_for::<OpenSessionResult>();
    received.subschema_for::<ListSessionsResult>();
    received.subschema_for::<PromptResult>();
    received.subschema_for::<ShellResult>();
    received.subschema_for::<TurnFailure<'_>>();
    received.subschema_for::<CancelResult>();
    received.subschema_for::<ExportResult>();
    received.subschema_for::<ConfigResult>();
    received.subschema_for::<UpdateParams<'_>>();
    received.subschema_for::<PermissionParams<'_>>();
    received.subschema_for::<Diagnostics>();
    // Records hold the cause among their own fields; with a name of its own it is written once.
    received.subschema_for::<Cause>();
    Model::read([sent.definitions(), received.definitions()])
}

#[test]
fn the_committed_types_are_current() {
    let protocol = protocol();
    let files = [
        ("editors/vscode/src/protocol.ts", typescript::write(&protocol)),
        ("editors/nvim/lua/pillion/protocol.lua", lua::write(&protocol)),
    ];
    for (name, current) in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("UPDATE_TYPES").is_some() {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(&path, &current).expect("the file is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "{name} is out of date; `UPDATE_TYPES=1 cargo test --test client_types` writes it anew");
    }
}
