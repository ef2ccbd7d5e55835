//! From a command's name and JSON body to its type, and what to say when that fails.

use serde::de::DeserializeOwned;

use crate::strict::Strict;

/// The commands of one context, known by name; made by [`commands!`](crate::commands!).
pub trait Commands: Sized + Send + 'static {
    /// Every command's name, as it stands in URLs.
    const NAMES: &'static [&'static str];

    /// Reads a command from its JSON body; `None` where no command has that name.
    ///
    /// # Errors
    /// [`Malformed`], which points at the member that is wrong.
    fn decode(name: &str, body: &[u8]) -> Option<Result<Self, Malformed>>;
}

/// A body that is not what its command takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{trouble} at `{pointer}`")]
pub struct Malformed {
    /// Where: a JSON pointer (RFC 6901) into the body, empty for the whole.
    pub pointer: String,
    /// What is wrong, as a clause.
    pub trouble: String,
}

/// Reads a JSON body and, where it fails, tells which member is wrong. An object is written as an
/// object: a list of its members' values is malformed.
///
/// # Errors
/// [`Malformed`] with a pointer and the trouble.
pub fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    // The plain reader is twice as fast as the one that keeps track of the path, and one look at
    // the whole text quicker than one at each of its strings.
    if let Ok(text) = std::str::from_utf8(body) {
        let mut reader = serde_json::Deserializer::from_str(text);
        if let Ok(value) = T::deserialize(Strict(&mut reader))
            && reader.end().is_ok()
        {
            return Ok(value);
        }
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(Strict(&mut reader));
    let value = read.map_err(|error| Malformed {
        pointer: pointer(error.path()),
        trouble: error.inner().to_string(),
    })?;
    reader.end().map_err(|error| Malformed {
        pointer: String::new(),
        trouble: error.to_string(),
    })?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            // The variant of an enum is the one member of an object.
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Declares the commands of a context, each with the name it has in URLs.
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// pub struct Rename { name: String }
///
/// foldline_kernel::commands! {
///     /// What a boat can be asked to do.
///     #[derive(Debug)]
///     pub enum BoatCommand {
///         "rename" => Rename(Rename),
///     }
/// }
///
/// use foldline_kernel::Commands;
/// let wrong = BoatCommand::decode("rename", br#"{"name": 7}"#).unwrap().unwrap_err();
/// assert_eq!(wrong.pointer, "/name");
/// ```
#[macro_export]
macro_rules! commands {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $($text:literal => $variant:ident($body:ty)),+ $(,)? }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $(#[doc = concat!("The command `", $text, "`.")] $variant($body)),+
        }

        impl $crate::Commands for $name {
            const NAMES: &'static [&'static str] = &[$($text),+];

            fn decode(name: &str, body: &[u8]) -> Option<Result<Self, $crate::Malformed>> {
                match name {
                    $($text => Some($crate::commands::read_body(body).map(Self::$variant)),)+
                    _ => None,
                }
            }
        }

        $(
            impl From<$body> for $name {
                fn from(body: $body) -> Self {
                    Self::$variant(body)
                }
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Line {
        quantity: u32,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Place {
        lines: Vec<Line>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Amount {
        cents: i64,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Means {
        Cash,
        Card { number: String },
        Split(Vec<(u8, Means)>),
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Pay {
        amount: Option<Amount>,
        means: Means,
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let well = |line: &str| format!(r#"{{"lines":[{line}]}}"#);
        read_body::<Place>(well(r#"{"quantity":1}"#).as_bytes()).unwrap();
        for (body, pointer) in [
            ("[[]]".to_owned(), ""),
            (well("[1]"), "/lines/0"),
            (well(r#"{"quantity":1},[2]"#), "/lines/1"),
        ] {
            let wrong = read_body::<Place>(body.as_bytes()).unwrap_err();
            assert_eq!(wrong.pointer, pointer, "{body}: {wrong}");
            assert!(wrong.trouble.contains("sequence"), "{wrong}");
        }
    }

    #[test]
    fn whatever_is_no_struct_is_read_as_it_always_was() {
        for (amount, means) in [
            ("null", r#""cash""#),
            (r#"{"cents":-1}"#, r#"{"card":{"number":"4\u00e4"}}"#),
            (
                r#"{"cents":1,"more":[{}]}"#,
                r#"{"split":[[1,"cash"],[2,{"card":{"number":"5"}}]]}"#,
            ),
        ] {
            let body = format!(r#" {{"means":{means},"amount":{amount}}} "#);
            let read: Pay = read_body(body.as_bytes()).unwrap();
            assert_eq!(read, serde_json::from_str(&body).unwrap(), "{body}");
        }
        for (amount, means, pointer) in [
            ("[1]", r#""cash""#, "/amount"),
            ("null", r#"{"card":["4"]}"#, "/means/card"),
            (
                "null",
                r#"{"split":[[1,{"card":["4"]}]]}"#,
                "/means/split/0/1/card",
            ),
        ] {
            let body = format!(r#"{{"means":{means},"amount":{amount}}}"#);
            serde_json::from_str::<Pay>(&body).expect("what serde takes by itself");
            let wrong = read_body::<Pay>(body.as_bytes()).unwrap_err();
            assert_eq!(wrong.pointer, pointer, "{body}: {wrong}");
        }
    }

    #[test]
    fn a_malformed_body_is_pointed_at() {
        for (body, pointer) in [
            (
                r#"{"lines":[{"quantity":1},{"quantity":"two"}]}"#,
                "/lines/1/quantity",
            ),
            (
                r#"{"lines":[{"quantity":99999999999}]}"#,
                "/lines/0/quantity",
            ),
            (r#"{"lines":[{"quantity":-1}]}"#, "/lines/0/quantity"),
            (r#"{"lines":[{"quantity":1,"qty":2}]}"#, "/lines/0/qty"),
            (r#"{"lines":"#, "/lines"),
            ("[]x", ""),
        ] {
            let wrong = read_body::<Place>(body.as_bytes()).unwrap_err();
            assert_eq!(wrong.pointer, pointer, "{body}: {wrong}");
        }
    }
}
