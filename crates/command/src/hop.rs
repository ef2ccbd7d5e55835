//! What is said of a command that one node passes on to another.

use std::{fmt, str::FromStr};

use foldline_kernel::Epoch;
use uuid::Uuid;

/// One attempt to have a command decided by the owner of its lane.
///
/// The node that passes a command on tries again when it has no answer, and the attempt before
/// may then still be on its way: in a connection that broke, at a process that was paused. An
/// owner that tells the later attempt that the command is refused must not accept the earlier one
/// afterwards. So each says for which writer it is meant and which of them it is, and no writer
/// takes one out of its turn (`lane/turns.rs` has the argument).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Names the submission whose attempts these are; another one with the same key has its own.
    pub trip: Uuid,
    /// Counts from 1, and goes up where the attempt before may still be on its way.
    pub attempt: u32,
    /// The writer it is meant for: the one that had announced itself last.
    pub epoch: Epoch,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.trip, self.attempt, self.epoch.0)
    }
}

/// What is no hop, as nodes write one to each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is written `<uuid>/<attempt>@<epoch>`, by nodes only")]
pub struct ParseHopError;

impl FromStr for Hop {
    type Err = ParseHopError;

    fn from_str(text: &str) -> Result<Self, ParseHopError> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(trip, rest)| Some((trip, rest.split_once('@')?)));
        let (trip, (attempt, epoch)) = parts.ok_or(ParseHopError)?;
        Ok(Self {
            trip: trip.parse().map_err(|_| ParseHopError)?,
            attempt: attempt.parse().map_err(|_| ParseHopError)?,
            epoch: Epoch(epoch.parse().map_err(|_| ParseHopError)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let hop = Hop {
            trip: Uuid::from_u128(7),
            attempt: 2,
            epoch: Epoch(31),
        };
        let text = "00000000-0000-0000-0000-000000000007/2@31";
        assert_eq!(hop.to_string(), text);
        assert_eq!(text.parse(), Ok(hop));
        for wrong in ["1", "", "7/2@31", "/@"] {
            assert_eq!(wrong.parse::<Hop>(), Err(ParseHopError), "{wrong}");
        }
    }
}
