//! A made-up log of the marketplace, appended once and kept for the next time.

mod history;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use foldline_event_log::{Announcement, Embedded, EventLog, LaneWriter, embedded::Settings};
use foldline_kernel::{CommandId, EventId, Version};
use foldline_schema::{CommandPart, NewEvent, StoredEvents, command_hash};

use history::{Happening, What, uuid};

/// Changes when the history does, so that a log of an older one is not taken for it.
const HISTORY: u32 = 1;
/// How many events of a lane are appended at a time.
const BATCH: usize = 2_000;
/// The marketplace's contexts, in its order.
const CONTEXTS: [&str; 5] = ["accounts", "catalog", "orders", "payments", "reviews"];

/// Opens the log, and makes it where it is not there in full.
pub(crate) async fn log(directory: &Path, events: u64) -> Result<Embedded> {
    let path = directory.join(format!("log-{HISTORY}-{events}"));
    if let Ok(log) = open(&path)
        && count(&log).await? == events
    {
        return Ok(log);
    }
    eprintln!("making up a log of {events} events in {}", path.display());
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    std::fs::create_dir_all(&path)?;
    let log = open(&path)?;
    append(&log, events).await?;
    ensure!(
        count(&log).await? == events,
        "the log has not {events} events"
    );
    Ok(log)
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

async fn count(log: &Embedded) -> Result<u64> {
    let mut events = 0;
    for lane in log.topology().all_lanes() {
        events += log.heads(lane).await?.lane_sequence.0;
    }
    Ok(events)
}

async fn append(log: &Embedded, events: u64) -> Result<()> {
    let mut writers: Vec<(Box<dyn LaneWriter>, Vec<NewEvent>)> = Vec::new();
    for lane in log.topology().all_lanes() {
        writers.push((
            log.open_writer(lane, Announcement::default()).await?,
            Vec::new(),
        ));
    }
    let mut versions = Versions::default();
    for (number, happening) in (0..events).zip(history::history(events)) {
        let event = event(number, happening, &mut versions)?;
        let lane = log.topology().lane_of(event.subject);
        let (writer, batch) = &mut writers[lane.index()];
        batch.push(event);
        if batch.len() == BATCH {
            writer.append(std::mem::take(batch)).await?;
        }
    }
    for (writer, batch) in &mut writers {
        writer.append(std::mem::take(batch)).await?;
    }
    Ok(())
}

/// The length of every stream so far.
type Versions = std::collections::HashMap<(u64, &'static str), Version>;

fn event(number: u64, happening: Happening, versions: &mut Versions) -> Result<NewEvent> {
    let mut data = Vec::new();
    let (context, type_name) = match &happening.what {
        What::Order(event) => ("orders", written(event, &mut data)?),
        What::Payment(event) => ("payments", written(event, &mut data)?),
        What::Review(event) => ("reviews", written(event, &mut data)?),
    };
    let version = versions.entry((happening.user, context)).or_default();
    *version = version.next();
    let context = context.parse()?;
    Ok(NewEvent {
        id: EventId(uuid("event", number)),
        type_name: type_name.into(),
        subject: history::user(happening.user),
        time: happening.time,
        stream_version: *version,
        command_id: CommandId::minted(uuid("command", number)),
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

fn written<E: StoredEvents>(event: &E, data: &mut Vec<u8>) -> Result<&'static str> {
    event.write_data(data)?;
    Ok(event.type_name())
}
