//! The event that DESIGN's picture of a record shows.

use foldline_kernel::{
    CommandId, Context, Epoch, EventId, LaneSequence, Sequence, Timestamp, UserId, Version,
};
use foldline_schema::{CommandHash, CommandPart, NewEvent, Stamp};
use serde_json::Map;

pub(crate) const STAMP: Stamp = Stamp {
    sequence: Sequence(1042),
    lane_sequence: LaneSequence(5230),
    epoch: Epoch(7),
};

pub(crate) fn log_name() -> Context {
    "market".parse().unwrap()
}

/// An event with every attribute.
pub(crate) fn full() -> NewEvent {
    NewEvent {
        actor: Some("ana@support".into()),
        causation_id: Some("019a7f3e-5c1d-7b2a-8e4f-000000000001".into()),
        correlation_id: Some("checkout-7".into()),
        ..plain()
    }
}

/// An event with the attributes that every event has.
pub(crate) fn plain() -> NewEvent {
    let time: Timestamp = "2026-11-21T20:16:49.123456Z".parse().unwrap();
    let id: EventId = "019a7f3e-5c1d-7b2a-8e4f-0a1b2c3d4e5f".parse().unwrap();
    let subject: UserId = "861eff47-11a5-42e1-ba55-e3b7aac6c55e".parse().unwrap();
    let command_id: CommandId = "place-7".parse().unwrap();
    NewEvent {
        id,
        type_name: "order.placed.v1".into(),
        context: "orders".parse().unwrap(),
        subject,
        time,
        stream_version: Version(12),
        command_id,
        command_hash: CommandHash(
            *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
        ),
        command_part: CommandPart { part: 1, of: 2 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: Map::new(),
        data: r#"{"order_id":"7","lines":[{"quantity":2}]}"#.into(),
    }
}
