//! The event types of a context: stored names, schemas and how to read them.

use crate::{DataError, Upcast};

/// The event enum of one context, made by [`stored_events!`](crate::stored_events!).
pub trait StoredEvents: Sized + Send + Sync + 'static {
    /// Every current type, and its JSON Schema.
    fn types() -> Vec<TypeDescription>;

    /// The older shapes that are still in logs, and how each is read as the one that follows it.
    fn upcasts() -> Vec<Upcast> {
        Vec::new()
    }

    /// Returns the stored name of this event's type.
    fn type_name(&self) -> &'static str;

    /// Writes `data` as JSON.
    ///
    /// # Errors
    /// When the value has no JSON form: a fault of its type, not of its content.
    fn write_data(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;

    /// Reads an event of a current type; `None` where the type is not of this context.
    ///
    /// # Errors
    /// When `data` does not have the type's shape.
    fn read_data(type_name: &str, data: &[u8]) -> Option<Result<Self, DataError>>;
}

/// A stored type and the JSON Schema (2020-12) of its `data`.
#[derive(Clone, Debug)]
pub struct TypeDescription {
    /// The stored name, such as `order.placed.v1`.
    pub name: &'static str,
    /// The JSON Schema of `data`.
    pub schema: serde_json::Value,
}

/// Declares the stored events of a context.
///
/// The names are on disk for ever: they are written out here and never derived from Rust names.
/// `from old => new` names a shape that is still in old logs, with its type (for the schema) and
/// the function that turns its `data` into the one of the newer name.
///
/// ```
/// use foldline_schema::StoredEvents;
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// pub struct Renamed { name: String }
///
/// foldline_schema::stored_events! {
///     /// What happens to a boat.
///     #[derive(Debug, PartialEq)]
///     pub enum BoatEvent {
///         "boat.renamed.v1" => Renamed(Renamed),
///     }
/// }
///
/// let event = BoatEvent::read_data("boat.renamed.v1", br#"{"name":"Ida"}"#).unwrap().unwrap();
/// assert_eq!(event, BoatEvent::Renamed(Renamed { name: "Ida".into() }));
/// ```
#[macro_export]
macro_rules! stored_events {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $($text:literal => $variant:ident($data:ty)),+ $(,)? }
        $(from $old:literal($old_data:ty) => $new:literal by $upcast:expr;)*
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $(#[doc = concat!("Stored as `", $text, "`.")] $variant($data)),+
        }

        impl $crate::StoredEvents for $name {
            fn types() -> Vec<$crate::TypeDescription> {
                vec![$($crate::TypeDescription {
                    name: $text,
                    schema: $crate::private::schemars::schema_for!($data).to_value(),
                }),+]
            }

            fn upcasts() -> Vec<$crate::Upcast> {
                vec![$($crate::Upcast {
                    from: $crate::TypeDescription {
                        name: $old,
                        schema: $crate::private::schemars::schema_for!($old_data).to_value(),
                    },
                    to: $new,
                    convert: $upcast,
                }),*]
            }

            fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $text),+ }
            }

            fn write_data(&self, out: &mut Vec<u8>) -> $crate::private::serde_json::Result<()> {
                match self {
                    $(Self::$variant(data) => $crate::private::serde_json::to_writer(out, data)),+
                }
            }

            fn read_data(type_name: &str, data: &[u8]) -> Option<Result<Self, $crate::DataError>> {
                match type_name {
                    $($text => Some(
                        $crate::private::serde_json::from_slice(data)
                            .map(Self::$variant)
                            .map_err(|error| $crate::DataError(error.to_string())),
                    ),)+
                    _ => None,
                }
            }
        }

        $(
            impl From<$data> for $name {
                fn from(data: $data) -> Self {
                    Self::$variant(data)
                }
            }
        )+
    };
}
