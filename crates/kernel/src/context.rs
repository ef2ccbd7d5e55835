//! Names of bounded contexts.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a bounded context: one topic, one decider.
///
/// Lower-case letters, digits and `-`, starting with a letter, at most 48 characters, so that it
/// serves as a topic name, a path segment and a metric label alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Context(Arc<str>);

/// A text that cannot name a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a context: it takes lower-case letters, digits and `-`, starting with a \
     letter, at most 48"
)]
pub struct InvalidContext(String);

impl Context {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Context {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !starts_well || text.len() > 48 || !text.bytes().all(allowed) {
            return Err(InvalidContext(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Context {
    type Error = InvalidContext;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Context> for String {
    fn from(context: Context) -> Self {
        context.0.as_ref().to_owned()
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.0)
    }
}
