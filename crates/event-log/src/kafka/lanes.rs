//! What writers say of themselves, in the topic of the lanes.
//!
//! Partition i is lane i's, written by its writers alone and read as committed, so the last
//! record of a partition is the writer that owns the lane, or the one that owned it last. A sign
//! of life says all that the announcement said: compaction keeps only the last record of a key.

use foldline_kernel::{Epoch, Lane};
use serde::{Deserialize, Serialize};

use super::probe::Found;
use crate::Announcement;

const FORMAT: u64 = 1;

/// One record of the topic of the lanes. These names are on disk: they stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    format: u64,
    kind: Kind,
    /// The writer's generation.
    pub(crate) epoch: Epoch,
    /// Where its node takes commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The writer's first transaction: it owns the lane from here on.
    Announced,
    /// It still did.
    Alive,
}

impl Owner {
    pub(crate) fn new(epoch: Epoch, announcement: Announcement) -> Self {
        Self {
            format: FORMAT,
            kind: Kind::Announced,
            epoch,
            address: announcement.address,
        }
    }

    pub(crate) fn announced(&self) -> Vec<u8> {
        self.with(Kind::Announced)
    }

    pub(crate) fn alive(&self) -> Vec<u8> {
        self.with(Kind::Alive)
    }

    fn with(&self, kind: Kind) -> Vec<u8> {
        let record = Self {
            kind,
            ..self.clone()
        };
        serde_json::to_vec(&record).expect("an owner is plain JSON")
    }

    /// # Errors
    /// What is wrong with the record, for people.
    pub(crate) fn read(record: &Found) -> Result<Self, String> {
        let owner: Self = serde_json::from_slice(&record.value)
            .map_err(|error| format!("the record at offset {}: {error}", record.offset))?;
        match owner.format {
            FORMAT => Ok(owner),
            newer => Err(format!(
                "it has format {newer}, this program knows {FORMAT}"
            )),
        }
    }
}

/// The key of a lane's records.
pub(crate) fn key(lane: Lane) -> String {
    lane.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_in_the_topic_are_these() {
        let announcement = Announcement {
            address: Some("http://10.0.0.7:8080".into()),
        };
        let owner = Owner::new(Epoch(7), announcement);
        let bytes = owner.alive();
        let text = r#"{"format":1,"kind":"alive","epoch":7,"address":"http://10.0.0.7:8080"}"#;
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
        let found = Found {
            offset: 3,
            value: owner.announced().into(),
        };
        assert_eq!(Owner::read(&found).unwrap(), owner);
    }
}
