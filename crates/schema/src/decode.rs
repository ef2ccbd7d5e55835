//! From the bytes of a record to an event.

use std::{borrow::Cow, cell::RefCell, fmt, sync::Arc};

use bytes::Bytes;
use foldline_kernel::{Context, Epoch, LaneSequence, Sequence, Version};
use rustc_hash::FxHashSet;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use crate::{CommandHash, CommandPart, Event};

/// A record that is no event of Foldline: corrupt, so its partition stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record is no JSON object.
    #[error("the record is no JSON object: {0}")]
    Json(String),
    /// An attribute that every event has is absent.
    #[error("the attribute `{0}` is absent")]
    Absent(&'static str),
    /// An attribute has a value that it cannot have.
    #[error("the attribute `{attribute}` cannot be `{value}`")]
    Invalid {
        /// The attribute's name.
        attribute: &'static str,
        /// What it was.
        value: String,
    },
}

/// Decodes a record. `data` and the record share their bytes; nothing of the payload is copied.
///
/// # Errors
/// [`DecodeError`] when the envelope is not one; `data` is not looked into.
pub fn decode(record: Bytes) -> Result<Event, DecodeError> {
    let raw = read(&record)?;
    let (log_name, context) = source(&need(raw.source, "source")?)?;
    if raw.specversion.as_deref() != Some("1.0") {
        return Err(invalid(
            "specversion",
            raw.specversion.as_deref().unwrap_or(""),
        ));
    }
    let data = raw.data.ok_or(DecodeError::Absent("data"))?.get();
    let data = record.slice_ref(data.as_bytes());
    Ok(Event {
        id: parse("id", raw.id)?,
        type_name: shared(&need(raw.type_name, "type")?),
        log_name,
        context,
        subject: parse("subject", raw.subject)?,
        time: parse("time", raw.time)?,
        sequence: Sequence(sixteen_digits("sequence", raw.sequence)?),
        lane_sequence: LaneSequence(sixteen_digits("lanesequence", raw.lanesequence)?),
        epoch: Epoch(raw.epoch.ok_or(DecodeError::Absent("epoch"))?),
        stream_version: Version(
            raw.streamversion
                .ok_or(DecodeError::Absent("streamversion"))?,
        ),
        command_id: parse("commandid", raw.commandid)?,
        command_hash: with("commandhash", raw.commandhash, CommandHash::parse)?,
        command_part: with("commandpart", raw.commandpart, CommandPart::parse)?,
        actor: raw.actor.map(Cow::into_owned),
        causation_id: raw.causationid.map(Cow::into_owned),
        correlation_id: raw.correlationid.map(Cow::into_owned),
        extensions: raw.extensions,
        data,
        record,
    })
}

fn read(record: &[u8]) -> Result<RawEnvelope<'_>, DecodeError> {
    let json = |error: serde_json::Error| DecodeError::Json(error.to_string());
    // One quick look at all bytes spares one at each text.
    let text = std::str::from_utf8(record).map_err(|error| DecodeError::Json(error.to_string()))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let raw = reader.deserialize_map(EnvelopeVisitor).map_err(json)?;
    reader.end().map_err(json)?;
    Ok(raw)
}

/// The attributes as they stand, borrowed where they need no unescaping.
#[derive(Default)]
struct RawEnvelope<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    type_name: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    sequence: Option<Cow<'a, str>>,
    lanesequence: Option<Cow<'a, str>>,
    epoch: Option<u32>,
    streamversion: Option<u64>,
    commandid: Option<Cow<'a, str>>,
    commandhash: Option<Cow<'a, str>>,
    commandpart: Option<Cow<'a, str>>,
    actor: Option<Cow<'a, str>>,
    causationid: Option<Cow<'a, str>>,
    correlationid: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
    extensions: Map<String, Value>,
}

struct EnvelopeVisitor;

/// serde borrows a `Cow` only where a field attribute says so; this newtype says so once.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = RawEnvelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut raw = RawEnvelope::default();
        while let Some(Text(name)) = map.next_key()? {
            let text = match name.as_ref() {
                "specversion" => &mut raw.specversion,
                "id" => &mut raw.id,
                "type" => &mut raw.type_name,
                "source" => &mut raw.source,
                "subject" => &mut raw.subject,
                "time" => &mut raw.time,
                "sequence" => &mut raw.sequence,
                "lanesequence" => &mut raw.lanesequence,
                "commandid" => &mut raw.commandid,
                "commandhash" => &mut raw.commandhash,
                "commandpart" => &mut raw.commandpart,
                "actor" => &mut raw.actor,
                "causationid" => &mut raw.causationid,
                "correlationid" => &mut raw.correlationid,
                "epoch" => {
                    raw.epoch = Some(map.next_value()?);
                    continue;
                }
                "streamversion" => {
                    raw.streamversion = Some(map.next_value()?);
                    continue;
                }
                "data" => {
                    raw.data = Some(map.next_value()?);
                    continue;
                }
                // Both follow from the type and are written anew by the encoder.
                "datacontenttype" | "dataschema" => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                other => {
                    let other = other.to_owned();
                    raw.extensions.insert(other, map.next_value()?);
                    continue;
                }
            };
            *text = Some(map.next_value::<Text<'de>>()?.0);
        }
        Ok(raw)
    }
}

fn need<T>(value: Option<T>, attribute: &'static str) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Absent(attribute))
}

fn invalid(attribute: &'static str, value: &str) -> DecodeError {
    DecodeError::Invalid {
        attribute,
        value: value.chars().take(80).collect(),
    }
}

fn with<T>(
    attribute: &'static str,
    value: Option<Cow<'_, str>>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, DecodeError> {
    let value = need(value, attribute)?;
    parse(&value).ok_or_else(|| invalid(attribute, &value))
}

fn parse<T: std::str::FromStr>(
    attribute: &'static str,
    value: Option<Cow<'_, str>>,
) -> Result<T, DecodeError> {
    with(attribute, value, |text| text.parse().ok())
}

fn sixteen_digits(
    attribute: &'static str,
    value: Option<Cow<'_, str>>,
) -> Result<u64, DecodeError> {
    with(attribute, value, |text| {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    })
}

/// A log's name and a context's.
type Names = (Context, Context);

/// `/market/orders` to (`market`, `orders`), from a small cache: a log has few sources.
fn source(text: &str) -> Result<Names, DecodeError> {
    thread_local! {
        static KNOWN: RefCell<Vec<(Box<str>, Names)>> = const { RefCell::new(Vec::new()) };
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some((_, names)) = known.iter().find(|(source, _)| source.as_ref() == text) {
            return Ok(names.clone());
        }
        let names = text
            .strip_prefix('/')
            .and_then(|rest| rest.split_once('/'))
            .and_then(|(log, context)| Some((log.parse().ok()?, context.parse().ok()?)))
            .ok_or_else(|| invalid("source", text))?;
        if known.len() < NAMES_CACHED_MAX {
            known.push((text.into(), names.clone()));
        }
        Ok(names)
    })
}

/// How many names a decoding thread keeps; a damaged log must not grow it without end.
const NAMES_CACHED_MAX: usize = 256;

/// Type names are few and every event has one, so they are shared.
fn shared(text: &str) -> Arc<str> {
    thread_local! {
        static KNOWN: RefCell<FxHashSet<Arc<str>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some(name) = known.get(text) {
            return name.clone();
        }
        let name: Arc<str> = text.into();
        if known.len() < NAMES_CACHED_MAX {
            known.insert(name.clone());
        }
        name
    })
}
