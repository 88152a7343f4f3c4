//! The types in LuaCATS, the annotations that Lua language servers read. A union of objects is one class there, in which
//! whatever is not in all kinds may be absent.

use crate::model::{Definition, Field, Form, Kind, Kinds, Model, Type};
use std::fmt::Write;

const HEAD: &str = "-- What travels between an editor and pillion. Made from src/protocol by tests/client_types: do not edit.

local M = {}

--- The version of the protocol that these types describe; `initialize` answers with it.
";

pub(crate) fn write(model: &Model) -> String {
    let mut out = format!("{HEAD}M.PROTOCOL_VERSION = {}\n", pillion::protocol::PROTOCOL_VERSION);
    for (name, definition) in &model.0 {
        out.push('\n');
        if let Some(about) = &definition.about {
            writeln!(out, "--- {about}").expect("text");
        }
        out.push_str(&declaration(model, name, definition));
    }
    out + "\nreturn M\n"
}

fn declaration(model: &Model, name: &str, definition: &Definition) -> String {
    match &definition.form {
        Form::Alias(of) => format!("---@alias pillion.{name} {}\n", type_name(of)),
        Form::Words(words) => {
            let line = |word: &crate::model::Word| {
                let about = word.about.as_ref().map(|about| format!(" # {about}")).unwrap_or_default();
                format!("---| {:?}{about}\n", word.text)
            };
            format!("---@alias pillion.{name}\n{}", words.iter().map(line).collect::<String>())
        }
        Form::Object(fields) => class(name, fields.iter().map(line)),
        Form::OneOf { common, kinds } => {
            let merged = merged(model, kinds);
            class(name, common.iter().map(line).chain(merged))
        }
    }
}

fn class(name: &str, lines: impl Iterator<Item = String>) -> String {
    format!("---@class pillion.{name}\n{}", lines.collect::<String>())
}

/// The fields of all kinds, each once.
fn merged(model: &Model, kinds: &Kinds) -> Vec<String> {
    let kinds = match kinds {
        Kinds::Own(kinds) => kinds,
        Kinds::Of(name) => match &model.0[name].form {
            Form::OneOf { kinds: Kinds::Own(kinds), .. } => kinds,
            _ => panic!("{name} has no kinds of its own"),
        },
    };
    let of_kind = |kind: &Kind| -> Vec<(String, bool, String)> {
        let base = kind.base.as_ref().map(|base| match &model.0[base].form {
            Form::Object(fields) => fields.iter(),
            _ => panic!("{base} is no object"),
        });
        let fields = kind.fields.iter().chain(base.into_iter().flatten());
        fields.map(|field| (field.name.clone(), field.optional, type_name(&field.of))).collect()
    };
    let all: Vec<Vec<_>> = kinds.iter().map(of_kind).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in all.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let line = |name: &str| {
        let found: Vec<_> = all.iter().filter_map(|fields| fields.iter().find(|(other, ..)| other == name)).collect();
        let optional = found.len() < all.len() || found.iter().any(|(_, optional, _)| *optional);
        let mut types: Vec<&str> = Vec::new();
        for (_, _, of) in found {
            if !types.contains(&of.as_str()) {
                types.push(of);
            }
        }
        format!("---@field {name}{} {}\n", if optional { "?" } else { "" }, types.join("|"))
    };
    names.into_iter().map(line).collect()
}

fn line(field: &Field) -> String {
    let about = field.about.as_ref().map(|about| format!(" {about}")).unwrap_or_default();
    format!("---@field {}{} {}{about}\n", field.name, if field.optional { "?" } else { "" }, type_name(&field.of))
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Unknown => "any".into(),
        Type::Text => "string".into(),
        Type::Number => "integer".into(),
        Type::Flag => "boolean".into(),
        Type::Word(word) => format!("{word:?}"),
        Type::List(of) => format!("{}[]", type_name(of)),
        Type::Named(name) => format!("pillion.{name}"),
    }
}
