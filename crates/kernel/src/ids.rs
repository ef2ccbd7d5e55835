//! Identifiers: of users, events, logs and commands.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Serialize,
            Deserialize,
            schemars::JsonSchema,
        )]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

uuid_id! {
    /// The user whose streams an event belongs to; its text is the record key.
    UserId
}
uuid_id! {
    /// The identity of one event (a UUID v7 where Foldline made it).
    EventId
}
uuid_id! {
    /// The identity of one log; checkpoints and snapshots carry it.
    LogId
}

/// An idempotency key: 1 to 128 visible ASCII characters, kept verbatim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(Arc<str>);

/// A text that cannot be an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 128 visible ASCII characters, this one {0}")]
pub struct InvalidCommandId(String);

impl CommandId {
    /// The longest key, in characters.
    pub const LENGTH_MAX: usize = 128;

    /// Mints a key for a command that came without one.
    pub fn minted(id: Uuid) -> Self {
        let mut text = Uuid::encode_buffer();
        let text: &str = id.as_hyphenated().encode_lower(&mut text);
        Self(text.into())
    }

    /// Returns the key as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommandId {
    type Err = InvalidCommandId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(InvalidCommandId("is empty".into()));
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(InvalidCommandId(format!("has {}", text.len())));
        }
        if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(InvalidCommandId(format!(
                "has another one at place {}",
                at + 1
            )));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for CommandId {
    type Error = InvalidCommandId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CommandId> for String {
    fn from(id: CommandId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_id_is_visible_ascii_of_bounded_length() {
        assert_eq!("a\"b\\c".parse::<CommandId>().unwrap().as_str(), "a\"b\\c");
        assert!("x".repeat(128).parse::<CommandId>().is_ok());
        for refused in ["", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(refused.parse::<CommandId>().is_err(), "{refused:?}");
        }
    }
}
