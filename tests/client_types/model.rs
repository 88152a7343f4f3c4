//! What the JSON Schemas of the protocol say, as far as a client's types need it. A form of schema that is not known
//! here is an error, never a type that is left out.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Every named type, by its name.
pub(crate) struct Model(pub(crate) BTreeMap<String, Definition>);

/// A named type.
#[derive(PartialEq)]
pub(crate) struct Definition {
    pub(crate) about: Option<String>,
    pub(crate) form: Form,
}

#[derive(PartialEq)]
pub(crate) enum Form {
    /// Another name for something.
    Alias(Type),
    /// One of these strings.
    Words(Vec<Word>),
    /// An object.
    Object(Vec<Field>),
    /// An object of one of several kinds, with these fields in all of them.
    OneOf { common: Vec<Field>, kinds: Kinds },
}

#[derive(PartialEq)]
pub(crate) enum Kinds {
    Own(Vec<Kind>),
    /// The kinds of another type, whose fields stand among our own.
    Of(String),
}

#[derive(PartialEq)]
pub(crate) struct Word {
    pub(crate) about: Option<String>,
    pub(crate) text: String,
}

#[derive(PartialEq)]
pub(crate) struct Kind {
    pub(crate) about: Option<String>,
    pub(crate) fields: Vec<Field>,
    /// A type whose fields this kind has as well.
    pub(crate) base: Option<String>,
}

#[derive(PartialEq)]
pub(crate) struct Field {
    pub(crate) about: Option<String>,
    pub(crate) name: String,
    pub(crate) optional: bool,
    pub(crate) of: Type,
}

#[derive(PartialEq, Clone)]
pub(crate) enum Type {
    Unknown,
    Text,
    Number,
    Flag,
    /// Exactly this string.
    Word(String),
    List(Box<Type>),
    Named(String),
}

impl Model {
    /// Reads generated definitions. Of a name that stands in several of them the last one counts.
    pub(crate) fn read<'d>(sources: impl IntoIterator<Item = &'d Map<String, Value>>) -> Self {
        let mut all = BTreeMap::new();
        for (name, schema) in sources.into_iter().flatten() {
            all.insert(name.clone(), definition(name, schema));
        }
        let unions: Vec<String> = all.iter().filter(|(_, definition)| definition.is_union()).map(|(name, _)| name.clone()).collect();
        for name in unions {
            let union = all.remove(&name).expect("it was there");
            all.values_mut().for_each(|other| other.refer_to(&name, &union));
            all.insert(name, union);
        }
        Self(all)
    }
}

impl Definition {
    /// Whether it is nothing but its kinds.
    fn is_union(&self) -> bool {
        matches!(&self.form, Form::OneOf { common, kinds: Kinds::Own(_) } if common.is_empty())
    }

    /// Says by name what it has in common with a union.
    fn refer_to(&mut self, name: &str, union: &Self) {
        if let (Form::OneOf { kinds, .. }, Form::OneOf { kinds: theirs, .. }) = (&mut self.form, &union.form)
            && kinds == theirs
        {
            *kinds = Kinds::Of(name.to_owned());
        }
    }
}

fn definition(name: &str, schema: &Value) -> Definition {
    let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    let form = match (alternatives, schema.get("properties")) {
        (Some(all), _) if all.iter().all(|one| one["type"] == "string") => Form::Words(all.iter().flat_map(words).collect()),
        (Some(all), _) => {
            let kinds = all.iter().map(|kind| Kind { about: about(kind), fields: fields(name, kind), base: base(kind) }).collect();
            Form::OneOf { common: fields(name, schema), kinds: Kinds::Own(kinds) }
        }
        (None, Some(_)) => Form::Object(fields(name, schema)),
        (None, None) if schema.get("enum").is_some() => Form::Words(words(schema)),
        (None, None) if schema["type"] == "object" => Form::Object(Vec::new()),
        (None, None) => Form::Alias(type_of(name, schema)),
    };
    Definition { about: about(schema), form }
}

/// The strings that a schema allows: one with its description, or a list without.
fn words(schema: &Value) -> Vec<Word> {
    let list = schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![schema["const"].clone()]);
    let about = about(schema).filter(|_| schema.get("const").is_some());
    list.iter().map(|word| Word { about: about.clone(), text: word.as_str().expect("a string").to_owned() }).collect()
}

fn fields(of: &str, schema: &Value) -> Vec<Field> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let field = |(name, schema): (&String, &Value)| Field {
        about: about(schema),
        name: name.clone(),
        optional: !required.contains(&name.as_str()),
        of: type_of(&format!("{of}.{name}"), schema),
    };
    properties.map(field).collect()
}

fn type_of(place: &str, schema: &Value) -> Type {
    if let Some(name) = base(schema) {
        return Type::Named(name);
    }
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return Type::Word(word.to_owned());
    }
    // A value that may be absent is written as one that may be null.
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let others: Vec<_> = any.iter().filter(|one| one["type"] != "null").collect();
        let [one] = others[..] else { panic!("{place}: several types at once: {schema}") };
        return type_of(place, one);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => Vec::new(),
    };
    match kinds[..] {
        ["string"] => Type::Text,
        ["integer" | "number"] => Type::Number,
        ["boolean"] => Type::Flag,
        ["array"] => Type::List(Box::new(type_of(place, &schema["items"]))),
        // Whatever stands there is the client's own business.
        [] => Type::Unknown,
        _ => panic!("{place}: this form of schema is not known: {schema}"),
    }
}

fn base(schema: &Value) -> Option<String> {
    schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix("#/$defs/")).map(str::to_owned)
}

fn about(schema: &Value) -> Option<String> {
    schema.get("description").and_then(Value::as_str).map(|text| text.replace('\n', " ").replace("[`", "`").replace("`]", "`"))
}
