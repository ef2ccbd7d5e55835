//! Records of every current type, byte for byte.

use bytes::Bytes;
use foldline::kernel::{CommandId, Epoch, EventId, LaneSequence, Sequence, UserId, Version};
use foldline::schema::{CommandPart, Event, NewEvent, Stamp, command_hash, decode, encode};
use market::contexts::{accounts, catalog, orders, payments, reviews};
use uuid::Uuid;

use crate::examples::{self, Example};
use crate::golden;

/// The full example of a type is what its golden shows; what may be left out is tested elsewhere.
fn full() -> Vec<Example> {
    let mut seen = Vec::new();
    let mut first = |example: &Example| {
        let new = !seen.contains(&example.type_name());
        seen.push(example.type_name());
        new
    };
    examples::all()
        .into_iter()
        .filter(|example| first(example))
        .collect()
}

#[test]
fn records_are_written_as_they_always_were_and_read_as_they_were_written() {
    for example in full() {
        let path = golden::events().join(format!("{}.json", example.type_name()));
        let record = record(&example).record;
        let made = String::from_utf8(record.to_vec()).expect("a record is text") + "\n";
        golden::check(&path, &made);
        let event = decode(Bytes::from(golden::read(&path))).expect("a record");
        assert_eq!(read(&event), example);
    }
}

#[test]
fn members_that_may_be_left_out_are_left_out() {
    for example in examples::all() {
        let event = decode(record(&example).record).expect("a record");
        assert_eq!(read(&event), example);
        if let Example::Review(_) | Example::Catalog(_) = example {
            assert!(
                !example
                    .data()
                    .as_object()
                    .expect("an object")
                    .values()
                    .any(|v| v.is_null())
            );
        }
    }
}

fn record(example: &Example) -> Event {
    let context = example.context().parse().expect("a context");
    let new = NewEvent {
        id: EventId(Uuid::from_u128(0x019a_7f3e_5c1d_7b2a_8e4f_0a1b_2c3d_4e5f)),
        type_name: example.type_name().into(),
        subject: UserId(Uuid::from_u128(0xB)),
        time: examples::tuesday(),
        stream_version: Version(12),
        command_id: CommandId::minted(Uuid::from_u128(0xC0)),
        command_hash: command_hash(&context, "command", b"{}"),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: serde_json::Map::new(),
        data: example.bytes().into(),
        context,
    };
    let stamp = Stamp {
        sequence: Sequence(1042),
        lane_sequence: LaneSequence(5230),
        epoch: Epoch(7),
    };
    encode(&market::LOG_NAME.parse().expect("a name"), new, stamp)
}

/// Reads an event with the catalog of the marketplace.
pub(crate) fn read(event: &Event) -> Example {
    let catalog = market::catalog();
    catalog.current_type(event).expect("a stored type");
    match event.context.as_str() {
        "accounts" => catalog
            .read::<accounts::AccountEvent>(event)
            .map(Example::Account),
        "catalog" => catalog
            .read::<catalog::CatalogEvent>(event)
            .map(Example::Catalog),
        "orders" => catalog
            .read::<orders::OrderEvent>(event)
            .map(Example::Order),
        "payments" => catalog
            .read::<payments::PaymentEvent>(event)
            .map(Example::Payment),
        "reviews" => catalog
            .read::<reviews::ReviewEvent>(event)
            .map(Example::Review),
        other => panic!("no context {other}"),
    }
    .expect("data of its type's shape")
}
