//! Places in the log: lanes, the two gapless sequences, versions, epochs and positions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Context;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first: nothing has been counted yet.
            pub const ZERO: Self = Self(0);

            /// Returns the one that follows.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// The place of an event in its partition, gapless from 1.
    Sequence
}
counter! {
    /// The place of an event in its lane, over all contexts, gapless from 1.
    LaneSequence
}
counter! {
    /// The length of a stream: how many events one user has in one context.
    Version
}

/// The generation of a lane's writer; CloudEvents integers have 32 bits, so it stays below 2³¹.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One ordered log: partition `i` of every topic; the unit of ownership, writing and group commit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Lane(pub u16);

impl Lane {
    /// Returns the lane's number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event in the log, written `orders/3@1042`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// The context, that is the topic.
    pub context: Context,
    /// The partition: the lane's number.
    pub partition: Lane,
    /// The place in that partition.
    pub sequence: Sequence,
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no position: one looks like `orders/3@1042` (context, partition, sequence)")]
pub struct InvalidPosition(String);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.context, self.partition, self.sequence)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (context, rest) = text.split_once('/')?;
            let (partition, sequence) = rest.split_once('@')?;
            Some(Self {
                context: context.parse().ok()?,
                partition: Lane(digits(partition)?.parse().ok()?),
                sequence: Sequence(digits(sequence)?.parse().ok()?),
            })
        };
        parse().ok_or_else(|| InvalidPosition(text.into()))
    }
}

/// Rust's integers also parse `+7`, which no position is written as.
fn digits(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

impl TryFrom<String> for Position {
    type Error = InvalidPosition;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let text = "orders/3@1042";
        assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        for refused in [
            "",
            "orders",
            "orders/3",
            "orders/@1",
            "Orders/3@1",
            "orders/3@+1",
            "o/99999@1",
        ] {
            assert!(refused.parse::<Position>().is_err(), "{refused}");
        }
    }
}
