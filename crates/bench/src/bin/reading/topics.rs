//! A log on Kafka that is made up once and kept for the next time.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use foldline_event_log::{
    Announcement, EventLog,
    kafka::{KafkaLog, Settings},
};
use foldline_kernel::{
    CommandId, Context, Epoch, EventId, Lane, LaneSequence, Sequence, Timestamp, UserId, Version,
};
use foldline_schema::{CommandPart, NewEvent, Stamp, command_hash};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How many lanes the log has.
pub(crate) const LANES: u16 = 8;
/// As in the marketplace: an order, its payment, its delivery, its review.
const CONTEXTS: [&str; 4] = ["orders", "payments", "deliveries", "reviews"];
/// Changes when the events do, so that older ones are not taken for them.
const EVENTS: u32 = 1;
/// How many events are appended at a time.
const BATCH: u64 = 500;
/// How many users each lane has.
const USERS: u64 = 1_000;

/// Returns the names of the topics.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let prefix = prefix();
    CONTEXTS.iter().map(move |name| format!("{prefix}{name}"))
}

fn prefix() -> String {
    format!("bench-reading-{EVENTS}.")
}

/// Opens the log, and appends what it lacks; also returns how large its events are.
pub(crate) async fn log(kafka: &str, events: u64) -> Result<(Arc<KafkaLog>, f64)> {
    let contexts: Vec<Context> = CONTEXTS
        .map(|name| name.parse())
        .into_iter()
        .collect::<Result<_, _>>()?;
    let settings = Settings {
        topic_prefix: prefix(),
        lanes: LANES,
        ..Settings::new("market".parse()?, kafka.to_owned())
    };
    let log = KafkaLog::open(settings, contexts.clone())
        .await
        .with_context(|| format!("cannot open the log on Kafka at {kafka}"))?;
    let mut filling = JoinSet::new();
    for lane in log.topology().all_lanes() {
        filling.spawn(fill(
            Arc::clone(&log),
            lane,
            events / u64::from(LANES),
            contexts.clone(),
        ));
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    let contexts = &contexts;
    let sizes = (0..1_000).map(|number| encoded(&log, contexts, number));
    let bytes: usize = sizes.sum();
    Ok((log, bytes as f64 / 1_000.0))
}

async fn fill(log: Arc<KafkaLog>, lane: Lane, events: u64, contexts: Vec<Context>) -> Result<()> {
    let there = log.heads(lane).await?.lane_sequence.0;
    ensure!(
        there <= events,
        "lane {lane} has {there} events already; ask for as many at least"
    );
    if there == events {
        return Ok(());
    }
    eprintln!("lane {lane}: {} events are appended", events - there);
    let mut writer = log.open_writer(lane, Announcement::default()).await?;
    let user = users(&log, lane);
    let mut next = there;
    while next < events {
        let until = events.min(next + BATCH);
        let batch = (next..until).map(|number| event(&contexts, &user, number));
        writer.append(batch.collect()).await?;
        next = until;
    }
    Ok(())
}

/// Users of one lane.
fn users(log: &KafkaLog, lane: Lane) -> Vec<UserId> {
    let users =
        (0..).map(|number: u64| UserId(Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_le_bytes())));
    let of_lane = users.filter(|user| log.topology().lane_of(*user) == lane);
    of_lane.take(USERS as usize).collect()
}

fn event(contexts: &[Context], users: &[UserId], number: u64) -> NewEvent {
    let index = (number % contexts.len() as u64) as usize;
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, &number.to_le_bytes());
    let data = data(index, id, number);
    NewEvent {
        id: EventId(id),
        type_name: [
            "order.placed.v1",
            "payment.captured.v1",
            "delivery.made.v1",
            "review.given.v1",
        ][index]
            .into(),
        subject: users[(number % USERS) as usize % users.len()],
        time: Timestamp::from_micros(1_500_000_000_000_000 + number as i64 * 1_000)
            .expect("a time of this age"),
        stream_version: Version(number / USERS + 1),
        command_id: CommandId::minted(id),
        command_hash: command_hash(&contexts[index], "bench", data.as_bytes()),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: Default::default(),
        data: data.into(),
        context: contexts[index].clone(),
    }
}

/// An order has lines, the others are small: about the sizes of the marketplace.
fn data(context: usize, id: Uuid, number: u64) -> String {
    let cents = 100 + number % 9_000;
    match context {
        0 => {
            let line = |item: u64| {
                format!(
                    r#"{{"item":{item},"product_id":"{id}","seller_id":"{id}","quantity":1,"unit_price_cents":{cents},"freight_cents":{}}}"#,
                    cents / 10
                )
            };
            let lines: Vec<String> = (1..=1 + number / 4 % 3).map(line).collect();
            format!(
                r#"{{"order_id":"{id}","currency":"BRL","total_cents":{cents},"placed_at":"2018-01-02T03:04:05Z","lines":[{}]}}"#,
                lines.join(",")
            )
        }
        1 => format!(
            r#"{{"order_id":"{id}","amount_cents":{cents},"currency":"BRL","method":"credit_card","installments":3}}"#
        ),
        2 => format!(r#"{{"order_id":"{id}","delivered_at":"2018-01-09T03:04:05Z"}}"#),
        _ => format!(
            r#"{{"order_id":"{id}","score":5,"title":"muito bom","text":"chegou antes do prazo, recomendo"}}"#
        ),
    }
}

fn encoded(log: &KafkaLog, contexts: &[Context], number: u64) -> usize {
    let event = event(contexts, &[UserId(Uuid::nil())], number);
    let stamp = Stamp {
        sequence: Sequence(number),
        lane_sequence: LaneSequence(number),
        epoch: Epoch(1),
    };
    foldline_schema::encode(&log.topology().name, event, stamp)
        .record
        .len()
}
