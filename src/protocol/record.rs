//! How a record is declared: every field stands beside the class that says what it may show.
//!
//! [`record!`] makes the struct, its [`Shape`] and its [`Texts`] in one place, so a field without a class does not compile. The
//! sanitized export is an allow-list walk over these shapes (`export::redact`); what no shape names is left out.

use serde_json::Value;

/// What a field may show in a sanitized export.
#[derive(Debug, Clone, Copy)]
pub enum Class {
    /// Names and flags that pillion itself chose: shown as they are.
    Structure,
    /// One value of a closed list of ours: shown as it is.
    Enum,
    /// A count, a size, a sequence number: shown.
    Number,
    /// A wall-clock or monotonic time: shown.
    Time,
    /// An identifier of ours, or one that must look like them: shown while it is short, plain and no secret.
    Id,
    /// What others call something: a client, its request, a model, an ending. Shown while it can be read out and is no secret.
    Name,
    /// `provider:model`: a name, or the file that a model lies in, which is a path.
    Model,
    /// What a model called a tool: shown if there is a tool of that name.
    Tool,
    /// A file path: its depth and extension survive.
    Path,
    /// Kept where it is a sentence of pillion's own (`said`), else a text.
    Said,
    /// Words of a person, a model or a tool: replaced by a numbered placeholder with its length.
    Text,
    /// Free-form data in which anything can stand: replaced as a whole.
    Secret,
    /// A record of its own, or a list of them.
    Record(fn() -> Shape),
}

/// One field of a record.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    Named(&'static str, Class),
    /// The fields of another shape stand in this record's own object.
    Flattened(Shape),
}

/// The fields of a record, in the order in which they are written.
pub type Shape = &'static [Field];

/// A type that is written as a record (or as a list of records).
pub trait Shaped {
    const SHAPE: Shape;
}

/// A value in which others than pillion may have chosen strings.
pub trait Texts {
    /// Shows every such string to `change`, which gives what is to stand in its place, if anything. Closed lists, counts
    /// and times are ours and are not shown.
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>);
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Shaped> Shaped for Box<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Texts> Texts for Option<T> {
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        self.iter_mut().for_each(|inner| inner.change_texts(change));
    }
}

impl<T: Texts> Texts for Vec<T> {
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        self.iter_mut().for_each(|inner| inner.change_texts(change));
    }
}

impl Texts for String {
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        if let Some(other) = change(self) {
            *self = other;
        }
    }
}

/// A flag is nobody's text.
impl Texts for bool {
    fn change_texts(&mut self, _: &mut dyn FnMut(&str) -> Option<String>) {}
}

/// Strings, names of fields, and numbers as they are written.
impl Texts for Value {
    fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        match self {
            Self::String(text) => text.change_texts(change),
            Self::Number(number) => {
                if let Some(other) = change(&number.to_string()) {
                    *self = Self::String(other);
                }
            }
            Self::Array(items) => items.iter_mut().for_each(|item| item.change_texts(change)),
            Self::Object(fields) => {
                for (name, mut inner) in std::mem::take(fields) {
                    inner.change_texts(change);
                    fields.insert(change(&name).unwrap_or(name), inner);
                }
            }
            Self::Null | Self::Bool(_) => {}
        }
    }
}

/// Declares a record: `required` fields are always written, `optional` ones only when there is something to say,
/// `flattened` ones share the record's own object.
macro_rules! record {
    (@class Record, $ty:ty) => { $crate::protocol::record::Class::Record(|| <$ty as $crate::protocol::record::Shaped>::SHAPE) };
    (@class $class:ident, $ty:ty) => { $crate::protocol::record::Class::$class };
    (@texts Enum, $field:expr, $change:expr) => {};
    (@texts Number, $field:expr, $change:expr) => {};
    (@texts Time, $field:expr, $change:expr) => {};
    (@texts $class:ident, $field:expr, $change:expr) => { $crate::protocol::record::Texts::change_texts(&mut $field, $change) };
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(flattened { $($(#[$fmeta:meta])* $ffield:ident: $fty:ty),* $(,)? })?
            required { $($(#[$rmeta:meta])* $rfield:ident: $rty:ty => $rclass:ident),* $(,)? }
            $(optional { $($(#[$ometa:meta])* $ofield:ident: $oty:ty => $oclass:ident),* $(,)? })?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub struct $name {
            $($(#[serde(flatten)] $(#[$fmeta])* pub $ffield: $fty,)*)?
            $($(#[$rmeta])* pub $rfield: $rty,)*
            $($(#[serde(default, skip_serializing_if = "Option::is_none")] $(#[$ometa])* pub $ofield: Option<$oty>,)*)?
        }

        impl $crate::protocol::record::Shaped for $name {
            const SHAPE: $crate::protocol::record::Shape = &[
                $($($crate::protocol::record::Field::Flattened(<$fty as $crate::protocol::record::Shaped>::SHAPE),)*)?
                $($crate::protocol::record::Field::Named(stringify!($rfield), record!(@class $rclass, $rty)),)*
                $($($crate::protocol::record::Field::Named(stringify!($ofield), record!(@class $oclass, $oty)),)*)?
            ];
        }

        impl $crate::protocol::record::Texts for $name {
            fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
                // A record of counts and times alone shows nothing.
                let _ = &change;
                $($($crate::protocol::record::Texts::change_texts(&mut self.$ffield, change);)*)?
                $(record!(@texts $rclass, self.$rfield, change);)*
                $($(record!(@texts $oclass, self.$ofield, change);)*)?
            }
        }
    };
}
pub(crate) use record;
