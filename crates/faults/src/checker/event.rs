//! An event as it stands in its topic, read with nothing but a JSON parser.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

/// What the checker needs of an event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// Its type, such as `order.placed.v1`.
    pub kind: Arc<str>,
    /// The context, which is the topic's name without the prefix.
    pub context: Arc<str>,
    /// The partition that it was found in.
    pub partition: u16,
    /// Whose it is.
    pub user: Uuid,
    /// Its place in the partition.
    pub sequence: u64,
    /// Its place in the lane.
    pub lane_sequence: u64,
    /// The generation of its writer.
    pub epoch: u64,
    /// The length of its stream with it.
    pub stream_version: u64,
    /// The key of its command.
    pub key: String,
    /// Which of how many events of its command it is.
    pub part: (u32, u32),
    /// When it happened, as it says.
    pub time: String,
    /// What happened, as far as rules and rows need it.
    pub facts: Facts,
}

/// What `data` says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The order.
    pub order_id: Uuid,
    /// The payment.
    pub payment_id: Uuid,
    /// When the order was placed.
    pub placed_at: String,
    /// The currency.
    pub currency: String,
    /// The amount of a payment.
    pub amount_cents: i64,
    /// Of a placed order: the sum of its items.
    pub items_cents: i64,
    /// The sum of its freight.
    pub freight_cents: i64,
    /// Both.
    pub total_cents: i64,
    /// Its lines.
    pub lines: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Envelope {
    specversion: String,
    id: Uuid,
    r#type: Arc<str>,
    subject: Uuid,
    time: String,
    sequence: String,
    lanesequence: String,
    epoch: u64,
    streamversion: u64,
    commandid: String,
    commandpart: String,
    data: Facts,
}

impl Event {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(
        context: &Arc<str>,
        partition: u16,
        key: &[u8],
        value: &[u8],
    ) -> Result<Self, String> {
        let envelope: Envelope =
            serde_json::from_slice(value).map_err(|error| format!("it is no event: {error}"))?;
        if key != envelope.subject.to_string().as_bytes() {
            return Err("its key is not its subject".to_owned());
        }
        if envelope.specversion != "1.0" {
            return Err(format!("its specversion is {}", envelope.specversion));
        }
        let (part, of) = envelope
            .commandpart
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)))
            .ok_or("its commandpart is not of the form 1/2")?;
        Ok(Self {
            id: envelope.id,
            kind: envelope.r#type,
            context: Arc::clone(context),
            partition,
            user: envelope.subject,
            sequence: digits(&envelope.sequence)?,
            lane_sequence: digits(&envelope.lanesequence)?,
            epoch: envelope.epoch,
            stream_version: envelope.streamversion,
            key: envelope.commandid,
            part: (part, of),
            time: envelope.time,
            facts: envelope.data,
        })
    }

    /// Its position, as answers write it.
    pub fn position(&self) -> String {
        format!("{}/{}@{}", self.context, self.partition, self.sequence)
    }
}

fn digits(text: &str) -> Result<u64, String> {
    if text.len() != 16 {
        return Err(format!("`{text}` does not have 16 digits"));
    }
    text.parse().map_err(|_| format!("`{text}` is no sequence"))
}
