//! The fixed shape of a log: its id, its lanes and every context it ever had.

use serde::{Deserialize, Serialize};

use crate::{Context, Lane, LogId, UserId, murmur2};

/// What a log says of itself; written once and checked whenever a binary opens the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The log's identity; checkpoints and snapshots of another log are refused.
    pub log_id: LogId,
    /// The log's name, as in the envelope's `source`: `/{name}/{context}`.
    pub name: Context,
    /// The number of lanes, a power of two, fixed for the life of the log.
    pub lanes: u16,
    /// Every context the log ever had, in the order they came.
    ///
    /// A binary that lacks one of them must not open a lane: it would reissue lane sequences.
    pub contexts: Vec<Context>,
}

/// A shape no log can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a log has a power of two of lanes, at most {max}, not {lanes}", max = Topology::LANES_MAX)]
pub struct InvalidTopology {
    lanes: u16,
}

impl Topology {
    /// The most lanes a log can have.
    pub const LANES_MAX: u16 = 1024;

    /// Describes a new log.
    ///
    /// # Errors
    /// When `lanes` is not a power of two, or above [`Self::LANES_MAX`].
    pub fn new(
        log_id: LogId,
        name: Context,
        lanes: u16,
        contexts: Vec<Context>,
    ) -> Result<Self, InvalidTopology> {
        if !lanes.is_power_of_two() || lanes > Self::LANES_MAX {
            return Err(InvalidTopology { lanes });
        }
        Ok(Self {
            log_id,
            name,
            lanes,
            contexts,
        })
    }

    /// Returns the lane of a user: murmur2 of the id's text modulo the number of lanes.
    pub fn lane_of(&self, user: UserId) -> Lane {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let key = user.0.as_hyphenated().encode_lower(&mut text);
        Lane(((murmur2(key.as_bytes()) & 0x7fff_ffff) % u32::from(self.lanes)) as u16)
    }

    /// Returns every lane in ascending order.
    pub fn all_lanes(&self) -> impl ExactSizeIterator<Item = Lane> + use<> {
        (0..self.lanes).map(Lane)
    }

    /// Returns the index of a context in [`Self::contexts`].
    pub fn index_of(&self, context: &Context) -> Option<usize> {
        self.contexts.iter().position(|known| known == context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(lanes: u16) -> Result<Topology, InvalidTopology> {
        Topology::new(
            LogId(uuid::Uuid::nil()),
            "market".parse().unwrap(),
            lanes,
            vec![],
        )
    }

    #[test]
    fn lanes_are_a_power_of_two() {
        assert!(topology(1).is_ok() && topology(8).is_ok());
        assert!(topology(0).is_err() && topology(6).is_err() && topology(2048).is_err());
    }

    /// Partitions as `org.apache.kafka:kafka-clients:4.1.0` chooses them for these keys.
    #[test]
    fn a_user_has_the_lane_that_a_java_client_would_choose() {
        let (eight, sixty_four) = (topology(8).unwrap(), topology(64).unwrap());
        for (user, of_eight, of_sixty_four) in [
            ("00000000-0000-0000-0000-000000000000", 5, 61),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", 2, 50),
            ("861eff47-11a5-42e1-ba55-e3b7aac6c55e", 4, 44),
            ("b49fbf55-9b40-4b27-aeb2-2d81e3c25f60", 7, 63),
            ("9ef432eb-6251-2973-04e7-6186b10a928d", 4, 28),
            ("019a7f3e-5c1d-7b2a-8e4f-0a1b2c3d4e5f", 0, 16),
        ] {
            let user = user.parse().unwrap();
            assert_eq!(eight.lane_of(user), Lane(of_eight), "{user}");
            assert_eq!(sixty_four.lane_of(user), Lane(of_sixty_four), "{user}");
        }
    }

    #[test]
    fn doubling_the_lanes_splits_each_into_two() {
        let (eight, sixteen) = (topology(8).unwrap(), topology(16).unwrap());
        for n in 0..1000 {
            let user = UserId(uuid::Uuid::from_u128(n));
            assert_eq!(sixteen.lane_of(user).0 % 8, eight.lane_of(user).0);
        }
    }
}
