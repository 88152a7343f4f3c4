//! The types in TypeScript.

use crate::model::{Definition, Field, Form, Kind, Kinds, Model, Type};
use std::fmt::Write;

const HEAD: &str = "// What travels between an editor and pillion. Made from src/protocol by tests/client_types: do not edit.

/** The version of the protocol that these types describe; `initialize` answers with it. */
";

pub(crate) fn write(model: &Model) -> String {
    let mut out = format!("{HEAD}export const PROTOCOL_VERSION = {};\n", pillion::protocol::PROTOCOL_VERSION);
    for (name, definition) in &model.0 {
        out.push('\n');
        out.push_str(&comment("", definition.about.as_deref()));
        out.push_str(&declaration(name, definition));
    }
    out
}

fn declaration(name: &str, definition: &Definition) -> String {
    match &definition.form {
        Form::Alias(of) => format!("export type {name} = {};\n", type_name(of)),
        Form::Words(words) => {
            let lines = words.iter().map(|word| format!("{}  | {:?}", comment("  ", word.about.as_deref()), word.text));
            format!("export type {name} =\n{};\n", lines.collect::<Vec<_>>().join("\n"))
        }
        Form::Object(fields) => format!("export interface {name} {{\n{}}}\n", members("  ", fields)),
        Form::OneOf { common, kinds } => {
            let union = match kinds {
                Kinds::Of(other) => other.clone(),
                Kinds::Own(kinds) => {
                    let kinds: Vec<_> = kinds.iter().map(kind).collect();
                    if common.is_empty() { format!("\n{}", kinds.concat().trim_end()) } else { format!("(\n{})", kinds.concat()) }
                }
            };
            let own = if common.is_empty() { String::new() } else { format!("{{\n{}}} & ", members("  ", common)) };
            format!("export type {name} = {own}{union};\n").replace("= \n", "=\n")
        }
    }
}

fn kind(kind: &Kind) -> String {
    let base = kind.base.as_ref().map(|base| format!(" & {base}")).unwrap_or_default();
    let fields: Vec<_> = kind.fields.iter().map(|field| format!("{}{}: {}", field.name, mark(field), type_name(&field.of))).collect();
    format!("{}  | {{ {} }}{base}\n", comment("  ", kind.about.as_deref()), fields.join("; "))
}

fn members(indent: &str, fields: &[Field]) -> String {
    let mut out = String::new();
    for field in fields {
        out.push_str(&comment(indent, field.about.as_deref()));
        writeln!(out, "{indent}{}{}: {};", field.name, mark(field), type_name(&field.of)).expect("text");
    }
    out
}

fn mark(field: &Field) -> &'static str {
    if field.optional { "?" } else { "" }
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Unknown => "unknown".into(),
        Type::Text => "string".into(),
        Type::Number => "number".into(),
        Type::Flag => "boolean".into(),
        Type::Word(word) => format!("{word:?}"),
        Type::List(of) => format!("{}[]", type_name(of)),
        Type::Named(name) => name.clone(),
    }
}

fn comment(indent: &str, about: Option<&str>) -> String {
    about.map(|about| format!("{indent}/** {} */\n", about.replace("*/", "* /"))).unwrap_or_default()
}
