//! Values that identify a person and must one day be erasable.

use serde::{Deserialize, Serialize};

/// A personal value as it stands on disk: plain now, sealed once values are encrypted per user.
///
/// Readers know both forms from the start, so that sealing needs no new event version.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Personal<T> {
    /// `{"plain": …}`
    Plain {
        /// The value itself.
        plain: T,
    },
    /// `{"sealed": "…", "key": "…"}`
    Sealed {
        /// The encrypted value, in base64.
        sealed: String,
        /// The name of the user's key that opens it.
        key: String,
    },
}

impl<T> Personal<T> {
    /// Wraps a value that is not encrypted.
    pub fn plain(value: T) -> Self {
        Self::Plain { plain: value }
    }

    /// Returns the value where it can be read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Plain { plain } => Some(plain),
            Self::Sealed { .. } => None,
        }
    }
}

/// Personal values stay out of logs and panics.
impl<T> std::fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain { .. } => "Personal(plain)",
            Self::Sealed { .. } => "Personal(sealed)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_survive_a_round_trip_and_neither_is_printed() {
        for json in [r#"{"plain":"Ana"}"#, r#"{"sealed":"AAEC","key":"k1"}"#] {
            let value: Personal<String> = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert!(!format!("{value:?}").contains("Ana"));
        }
    }
}
