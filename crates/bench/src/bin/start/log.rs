//! Logs of the marketplace in which every user has the same number of events, made up once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use foldline_event_log::{
    Announcement, Embedded, EventLog, LaneWriter, SnapshotStore, embedded::Settings,
};
use foldline_kernel::{CommandId, EventId, LaneSequence, LogId, Timestamp, Version};
use foldline_schema::{CommandPart, NewEvent, StoredEvents, command_hash};
use market::{
    Currency, OrderId, PaymentId, ProductId,
    contexts::{
        orders::{Approved, Delivered, OrderEvent, Placed, PlacedLine, Shipped},
        payments::{Captured, PaymentEvent},
    },
};
use uuid::Uuid;

use crate::load::{id, mix, user};

/// Changes when the history does, so that a log of an older one is not taken for it.
const HISTORY: u32 = 1;
/// How many events of a lane are appended at a time.
const BATCH: usize = 2_000;
/// The marketplace's contexts, in its order.
const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];
/// An order is placed, paid, approved, sent and received.
const STEPS: u64 = 5;
/// 2025-01-01, in microseconds.
const BEGIN_MICROS: i64 = 1_735_689_600_000_000;

/// Returns the directory of a log, which is made where it is not there in full.
pub(crate) fn made(directory: &Path, users: u64, events_per_user: u64) -> Result<PathBuf> {
    let path = directory.join(format!("log-{HISTORY}-{users}-{events_per_user}"));
    let done = path.join("made");
    if done.exists() {
        return Ok(path);
    }
    let events = users * events_per_user;
    eprintln!("making up a log of {events} events in {}", path.display());
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    std::fs::create_dir_all(&path)?;
    runtime()?.block_on(append(&open(&path)?, users, events_per_user))?;
    std::fs::write(done, "")?;
    Ok(path)
}

/// Makes the snapshots beside a log worthless, as if they had been removed: their markers say that
/// they are another log's.
pub(crate) fn forget_snapshots(data: &Path) -> Result<()> {
    let log = open(&data.join("log"))?;
    runtime()?.block_on(async {
        for lane in log.topology().all_lanes() {
            let another = LogId(Uuid::nil());
            log.end_round(lane, another, LaneSequence::ZERO).await?;
        }
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Runtime::new()?)
}

fn open(path: &Path) -> Result<Embedded> {
    let settings = Settings {
        name: market::LOG_NAME.parse()?,
        lanes: Settings::LANES,
        contexts: CONTEXTS
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
    };
    Embedded::open(path, settings).with_context(|| format!("cannot open {}", path.display()))
}

async fn append(log: &Embedded, users: u64, events_per_user: u64) -> Result<()> {
    let mut writers: Vec<(Box<dyn LaneWriter>, Vec<NewEvent>)> = Vec::new();
    for lane in log.topology().all_lanes() {
        let writer = log.open_writer(lane, Announcement::default()).await?;
        writers.push((writer, Vec::new()));
    }
    for step in 0..events_per_user {
        for number in 0..users {
            let event = event(number, step)?;
            let lane = log.topology().lane_of(event.subject);
            let (writer, batch) = &mut writers[lane.index()];
            batch.push(event);
            if batch.len() == BATCH {
                writer.append(std::mem::take(batch)).await?;
            }
        }
        eprintln!("step {} of {events_per_user}", step + 1);
    }
    for (writer, batch) in &mut writers {
        writer.append(std::mem::take(batch)).await?;
    }
    Ok(())
}

/// The event of a user at a step of its history.
fn event(number: u64, step: u64) -> Result<NewEvent> {
    let dice = mix(mix(number) ^ step);
    let (order, part) = (step / STEPS, step % STEPS);
    let order_id = OrderId(id(mix(mix(number) ^ (order << 32))));
    let placed_at = time(order * STEPS)?;
    let mut data = Vec::new();
    let (context, type_name) = match part {
        0 => (
            "orders",
            written(&placed(order_id, placed_at, dice), &mut data)?,
        ),
        1 => {
            let captured = captured(order_id, placed_at, time(step)?, dice);
            (
                "payments",
                written(&PaymentEvent::from(captured), &mut data)?,
            )
        }
        part => {
            let event: OrderEvent = match part {
                2 => Approved {
                    order_id,
                    placed_at,
                }
                .into(),
                3 => Shipped {
                    order_id,
                    placed_at,
                }
                .into(),
                _ => Delivered {
                    order_id,
                    placed_at,
                }
                .into(),
            };
            ("orders", written(&event, &mut data)?)
        }
    };
    let version = match context {
        "payments" => order + 1,
        // The payment is the second of the five, and no order's event.
        _ => order * (STEPS - 1) + part.max(1),
    };
    let context = context.parse()?;
    Ok(NewEvent {
        id: EventId(id(dice)),
        type_name: type_name.into(),
        subject: user(number),
        time: time(step)?,
        stream_version: Version(version),
        command_id: CommandId::minted(id(mix(dice))),
        command_hash: command_hash(&context, type_name, &data),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: Default::default(),
        data: Bytes::from(data),
        context,
    })
}

fn time(step: u64) -> Result<Timestamp> {
    let micros = BEGIN_MICROS + i64::try_from(step)? * 3_600_000_000;
    Timestamp::from_micros(micros).context("a time beyond all times")
}

fn placed(order_id: OrderId, placed_at: Timestamp, dice: u64) -> OrderEvent {
    let line = PlacedLine {
        product_id: ProductId(id(dice % 30_000)),
        seller_id: user(dice % 3_000),
        quantity: 1,
        unit_price_cents: 990 + (dice >> 24) as i64 % 50_000,
        freight_cents: 500 + (dice >> 40) as i64 % 4_000,
    };
    let (items_cents, freight_cents) = (line.unit_price_cents, line.freight_cents);
    Placed {
        order_id,
        placed_at,
        currency: Currency::BRL,
        items_cents,
        freight_cents,
        total_cents: items_cents + freight_cents,
        lines: vec![line],
    }
    .into()
}

fn captured(
    order_id: OrderId,
    placed_at: Timestamp,
    captured_at: Timestamp,
    dice: u64,
) -> Captured {
    Captured {
        payment_id: PaymentId(id(mix(dice ^ 1))),
        order_id,
        method: "credit_card".to_owned(),
        installments: 1 + (dice % 10) as u32,
        amount_cents: 990 + (dice >> 24) as i64 % 50_000,
        currency: Currency::BRL,
        captured_at,
        placed_at,
    }
}

fn written<E: StoredEvents>(event: &E, data: &mut Vec<u8>) -> Result<&'static str> {
    event.write_data(data)?;
    Ok(event.type_name())
}
