//! From an event that was decided to the bytes of its record.

use std::{io::Write, sync::Arc};

use bytes::Bytes;
use foldline_kernel::{
    CommandId, Context, Epoch, EventId, LaneSequence, Sequence, Timestamp, UserId, Version,
};
use serde_json::{Map, Value};

use crate::{CommandHash, CommandPart, Event};

/// An event that was decided and has no place in the log yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `id`
    pub id: EventId,
    /// `type`, the current version.
    pub type_name: Arc<str>,
    /// The context it belongs to.
    pub context: Context,
    /// `subject`
    pub subject: UserId,
    /// `time`
    pub time: Timestamp,
    /// `streamversion`
    pub stream_version: Version,
    /// `commandid`
    pub command_id: CommandId,
    /// `commandhash`
    pub command_hash: CommandHash,
    /// `commandpart`
    pub command_part: CommandPart,
    /// `actor`
    pub actor: Option<String>,
    /// `causationid`
    pub causation_id: Option<String>,
    /// `correlationid`
    pub correlation_id: Option<String>,
    /// Further attributes.
    pub extensions: Map<String, Value>,
    /// `data`, one JSON value.
    pub data: Bytes,
}

/// The place that a writer gives an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its place in its partition.
    pub sequence: Sequence,
    /// Its place in its lane.
    pub lane_sequence: LaneSequence,
    /// The generation of the writer.
    pub epoch: Epoch,
}

/// Encodes an event at its place; the result is what readers of the log will see.
///
/// Attributes stand in one fixed order, so that equal events have equal bytes.
pub fn encode(log_name: &Context, new: NewEvent, stamp: Stamp) -> Event {
    let mut out = Vec::with_capacity(640 + new.data.len());
    let data_at = write_envelope(&mut out, log_name, &new, stamp);
    let record = Bytes::from(out);
    let data = record.slice(data_at..data_at + new.data.len());
    Event {
        id: new.id,
        type_name: new.type_name,
        log_name: log_name.clone(),
        context: new.context,
        subject: new.subject,
        time: new.time,
        sequence: stamp.sequence,
        lane_sequence: stamp.lane_sequence,
        epoch: stamp.epoch,
        stream_version: new.stream_version,
        command_id: new.command_id,
        command_hash: new.command_hash,
        command_part: new.command_part,
        actor: new.actor,
        causation_id: new.causation_id,
        correlation_id: new.correlation_id,
        extensions: new.extensions,
        data,
        record,
    }
}

/// Writes the envelope and returns where `data` begins.
///
/// Names of types and contexts, ids and numbers need no escapes in JSON; what a client chose
/// (key, actor, causes) is escaped.
fn write_envelope(out: &mut Vec<u8>, log_name: &Context, new: &NewEvent, stamp: Stamp) -> usize {
    put(
        out,
        format_args!(
            r#"{{"specversion":"1.0","id":"{}","type":"{}""#,
            new.id, new.type_name
        ),
    );
    put(
        out,
        format_args!(
            r#","source":"/{log_name}/{}","subject":"{}""#,
            new.context, new.subject
        ),
    );
    put(
        out,
        format_args!(
            r#","time":"{}","datacontenttype":"application/json""#,
            new.time
        ),
    );
    put(
        out,
        format_args!(r#","dataschema":"urn:{log_name}:schema:{}""#, new.type_name),
    );
    put(
        out,
        format_args!(r#","sequence":"{:016}""#, stamp.sequence.0),
    );
    put(
        out,
        format_args!(
            r#","lanesequence":"{:016}","epoch":{}"#,
            stamp.lane_sequence.0, stamp.epoch
        ),
    );
    put(
        out,
        format_args!(r#","streamversion":{}"#, new.stream_version),
    );
    text(out, "commandid", new.command_id.as_str());
    out.extend_from_slice(br#","commandhash":""#);
    out.extend_from_slice(&new.command_hash.hex());
    put(
        out,
        format_args!(r#"","commandpart":"{}""#, new.command_part),
    );
    for (name, value) in [
        ("actor", &new.actor),
        ("causationid", &new.causation_id),
        ("correlationid", &new.correlation_id),
    ] {
        if let Some(value) = value {
            text(out, name, value);
        }
    }
    for (name, value) in &new.extensions {
        put(out, format_args!(",{}:{value}", Value::from(name.as_str())));
    }
    out.extend_from_slice(br#","data":"#);
    let data_at = out.len();
    out.extend_from_slice(&new.data);
    out.push(b'}');
    data_at
}

fn put(out: &mut Vec<u8>, part: std::fmt::Arguments<'_>) {
    out.write_fmt(part)
        .expect("writing to memory does not fail");
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    put(out, format_args!(r#","{name}":"#));
    serde_json::to_writer(out, value).expect("a string is always JSON");
}
