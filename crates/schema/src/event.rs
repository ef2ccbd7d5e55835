//! One recorded event, read from or about to be read from the log.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use foldline_kernel::{
    CommandId, Context, Epoch, EventId, LaneSequence, Sequence, Timestamp, UserId, Version,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// An event as it is recorded: its attributes, its `data` as JSON bytes, and the record itself.
#[derive(Debug)]
pub struct Event {
    /// `id`
    pub id: EventId,
    /// `type`, such as `order.placed.v1`: as stored, not upcast.
    pub type_name: Arc<str>,
    /// The log's name: the first part of `source`.
    pub log_name: Context,
    /// The context: the second part of `source`.
    pub context: Context,
    /// `subject`: the user whose stream it belongs to.
    pub subject: UserId,
    /// `time`: when it happened.
    pub time: Timestamp,
    /// `sequence`: its place in its partition.
    pub sequence: Sequence,
    /// `lanesequence`: its place in its lane.
    pub lane_sequence: LaneSequence,
    /// `epoch`: the generation of the writer that appended it.
    pub epoch: Epoch,
    /// `streamversion`: the length of the stream with it.
    pub stream_version: Version,
    /// `commandid`: the idempotency key of the command it came of.
    pub command_id: CommandId,
    /// `commandhash`: what that command was.
    pub command_hash: CommandHash,
    /// `commandpart`: which of the command's events it is.
    pub command_part: CommandPart,
    /// `actor`: who acted, where it was not the user.
    pub actor: Option<String>,
    /// `causationid`: the event or command that caused the command.
    pub causation_id: Option<String>,
    /// `correlationid`: what the command belongs to.
    pub correlation_id: Option<String>,
    /// Attributes this version does not know; they survive a round trip.
    pub extensions: Map<String, Value>,
    /// `data`, as JSON bytes within `record`.
    pub data: Bytes,
    /// The whole record, byte for byte.
    pub record: Bytes,
}

/// `data` that is no JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data is unreadable: {0}")]
pub struct DataError(pub String);

impl Event {
    /// Parses `data` to a JSON value.
    ///
    /// # Errors
    /// When it is no JSON; that concerns this user alone, not the partition.
    pub fn json(&self) -> Result<Value, DataError> {
        serde_json::from_slice(&self.data).map_err(|error| DataError(error.to_string()))
    }
}

/// Which of a command's events one is, written `1/2`; an incomplete command is corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandPart {
    /// Its number, from 1.
    pub part: u16,
    /// How many events the command yielded.
    pub of: u16,
}

impl fmt::Display for CommandPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl CommandPart {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (part, of) = text.split_once('/')?;
        // Rust's integers also parse `+1`, which no part is written as.
        let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
        let (part, of) = (number(part)?, number(of)?);
        (1..=of).contains(&part).then_some(Self { part, of })
    }
}

/// The first 16 bytes of the SHA-256 of context, command and body, in hex on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandHash(pub [u8; 16]);

/// Hashes what a command asks for, so that a key reused for something else is noticed.
///
/// The three parts are separated by a zero byte, which neither name can contain.
pub fn command_hash(context: &Context, command: &str, body: &[u8]) -> CommandHash {
    let mut hash = Sha256::new();
    hash.update(context.as_str());
    hash.update([0]);
    hash.update(command);
    hash.update([0]);
    hash.update(body);
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    CommandHash(first)
}

impl CommandHash {
    pub(crate) fn hex(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (i, byte) in self.0.iter().enumerate() {
            text[2 * i] = DIGITS[usize::from(byte >> 4)];
            text[2 * i + 1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok()?;
        (text.len() == 32 && !text.starts_with('+')).then_some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for CommandHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for CommandHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandHash({self})")
    }
}
