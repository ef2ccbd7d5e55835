//! One user's streams in memory: states, versions, remembered commands.

use std::{any::Any, collections::VecDeque, sync::Arc};

use foldline_kernel::{CommandId, EventId, LaneSequence, OtherStates, Sequence, Version};
use foldline_schema::{Catalog, CommandHash, Event};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    Contexts,
    contexts::{Decided, State},
    growth::Size,
};

/// One user's streams. There are many users, and most have few streams with few commands to
/// remember: what is not there takes no room.
#[derive(Default)]
pub(crate) struct User {
    /// Those in which something has happened, each with the index of its context.
    pub(crate) streams: Vec<(usize, Stream)>,
    /// Why no command of this user can be decided.
    pub(crate) quarantine: Option<Box<Quarantine>>,
    /// The number of the last batch that holds an event of this user; it tells whether the state
    /// speaks of events that are not durable yet.
    pub(crate) last_batch: u64,
    /// Whether the next snapshot round is known to take this user.
    pub(crate) dirty: bool,
    /// Whether something has happened that the local store lacks.
    pub(crate) unsaved: bool,
}

/// Why a user's commands are not decided.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    pub(crate) reason: String,
    /// The position or the command at which it began.
    pub(crate) since: String,
    /// Where the state was spoilt: a lane sequence after which the user has no event, since it
    /// takes no more commands. `None` where the state is as good as ever and only a decision over
    /// it has failed.
    pub(crate) spoilt: Option<LaneSequence>,
}

/// One user's events in one context, folded.
pub(crate) struct Stream {
    pub(crate) state: State,
    pub(crate) version: Version,
    pub(crate) remembered: VecDeque<Remembered>,
    size: Size,
}

/// An idempotency key as a stream remembers it: a UUID as it is, anything else as the first 16
/// bytes of its SHA-256.
///
/// Minted keys are UUIDs, and most that clients choose. Two other keys that are taken for one
/// another have the same 128 bits: nobody meets such a pair by chance, and who computes one (2^64
/// hashes) has two keys of his own stream that refuse each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 16]);

/// An accepted command, and what is needed to give its answer again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) key: Key,
    pub(crate) hash: CommandHash,
    pub(crate) events: SmallVec<[(EventId, Arc<str>); 1]>,
    pub(crate) version: Version,
    /// The sequence of its last event.
    pub(crate) sequence: Sequence,
}

/// A fresh state per context, for what has not happened yet.
pub(crate) struct DefaultStates(Vec<State>);

impl DefaultStates {
    pub(crate) fn new(contexts: &Contexts) -> Self {
        Self(
            (0..contexts.len())
                .map(|index| contexts.rules(index).default_state())
                .collect(),
        )
    }
}

/// A user's states as a decision sees them.
pub(crate) struct StatesOf<'a> {
    pub(crate) user: Option<&'a User>,
    pub(crate) defaults: &'a DefaultStates,
    pub(crate) contexts: &'a Contexts,
}

impl StatesOf<'_> {
    pub(crate) fn state(&self, context: usize) -> &dyn Any {
        let stream = self.user.and_then(|user| user.stream(context));
        stream.map_or(self.defaults.0[context].as_ref(), |stream| {
            stream.state.as_ref()
        })
    }
}

impl OtherStates for StatesOf<'_> {
    fn state_of(&self, context: &str) -> Option<&dyn Any> {
        let index = (0..self.contexts.len())
            .find(|index| self.contexts.rules(*index).context().as_str() == context)?;
        Some(self.state(index))
    }
}

impl Key {
    pub(crate) fn of(id: &CommandId) -> Self {
        let text = id.as_str();
        if let Ok(uuid) = Uuid::try_parse(text)
            && *uuid
                .as_hyphenated()
                .encode_lower(&mut Uuid::encode_buffer())
                == *text
        {
            return Self(uuid.into_bytes());
        }
        let digest: [u8; 32] = Sha256::digest(text).into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }
}

impl User {
    pub(crate) fn stream(&self, context: usize) -> Option<&Stream> {
        let mut streams = self.streams.iter();
        streams.find_map(|(known, stream)| (*known == context).then_some(stream))
    }

    pub(crate) fn stream_mut(&mut self, context: usize, contexts: &Contexts) -> &mut Stream {
        let known = self.streams.iter().position(|(known, _)| *known == context);
        let place = known.unwrap_or_else(|| {
            self.streams.reserve_exact(1);
            let state = contexts.rules(context).default_state();
            self.streams
                .push((context, Stream::new(state, Version::ZERO, Size::default())));
            self.streams.len() - 1
        });
        &mut self.streams[place].1
    }

    pub(crate) fn version(&self, context: usize) -> Version {
        self.stream(context)
            .map_or(Version::ZERO, |stream| stream.version)
    }

    /// Estimates what all of it takes in memory, itself not counted.
    pub(crate) fn bytes(&self) -> usize {
        let streams = self.streams.capacity() * size_of::<(usize, Stream)>();
        let held = self.streams.iter().map(|(_, stream)| stream.bytes());
        let quarantine = self.quarantine.as_ref().map_or(0, |quarantine| {
            size_of::<Quarantine>() + quarantine.reason.len() + quarantine.since.len()
        });
        streams + held.sum::<usize>() + quarantine
    }

    /// Whether the state was spoilt, so that nothing but that is known of the user.
    pub(crate) fn is_spoilt(&self) -> bool {
        let quarantine = self.quarantine.as_ref();
        quarantine.is_some_and(|quarantine| quarantine.spoilt.is_some())
    }

    /// Folds an event that is in the log. What the state holds already is skipped: it may come of
    /// a snapshot or of the local store, and be newer than the marker from which the log is read.
    pub(crate) fn fold(
        &mut self,
        context: usize,
        event: &Event,
        contexts: &Contexts,
        catalog: &Catalog,
        remembered_max: usize,
    ) {
        (self.dirty, self.unsaved) = (true, true);
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.spoilt = quarantine.spoilt.max(Some(event.lane_sequence));
            return;
        }
        if event.stream_version <= self.version(context) {
            return;
        }
        let stream = self.stream_mut(context, contexts);
        let rules = contexts.rules(context);
        let folded = if event.stream_version == stream.version.next() {
            rules
                .evolve_recorded(stream.state.as_mut(), event, catalog)
                .map_err(|error| error.to_string())
        } else {
            Err(format!(
                "version {} follows {}",
                event.stream_version, stream.version
            ))
        };
        stream.version = event.stream_version;
        stream.size.told(event.data.len(), contexts.growth(context));
        stream.remember_recorded(event, contexts, remembered_max);
        if let Err(reason) = folded {
            let since = format!("{}@{}", event.context, event.sequence);
            tracing::error!(user = %event.subject, %since, %reason, "user quarantined");
            self.quarantine = Some(Box::new(Quarantine {
                reason,
                since,
                spoilt: Some(event.lane_sequence),
            }));
        }
    }
}

/// What a state takes beside as many bytes as its JSON has. That is an estimate and no bound: ids
/// and numbers take less than their text, maps with room to spare more.
const STATE_BYTES: usize = 64;

impl Stream {
    pub(crate) fn new(state: State, version: Version, size: Size) -> Self {
        Self {
            state,
            version,
            remembered: VecDeque::new(),
            size,
        }
    }

    /// Makes the state into JSON.
    ///
    /// # Errors
    /// When it has no such form, with the reason.
    pub(crate) fn save(
        &mut self,
        context: usize,
        contexts: &Contexts,
    ) -> Result<Box<RawValue>, String> {
        let json = contexts.rules(context).save(self.state.as_ref())?;
        self.size.saw(json.get().len(), contexts.growth(context));
        Ok(json)
    }

    fn bytes(&self) -> usize {
        STATE_BYTES + self.size.json_bytes() + self.remembered.capacity() * size_of::<Remembered>()
    }

    pub(crate) fn find(&self, key: Key) -> Option<&Remembered> {
        let mut newest_first = self.remembered.iter().rev();
        newest_first.find(|remembered| remembered.key == key)
    }

    /// At most one is forgotten for each that comes. After a batch with an unknown outcome more
    /// than the usual number is remembered, and the keys of commands that have yet to be looked
    /// for must not go when the first of them is decided anew.
    pub(crate) fn remember(&mut self, remembered: Remembered, remembered_max: usize) {
        if self.remembered.len() >= remembered_max {
            self.remembered.pop_front();
        }
        if self.remembered.len() == self.remembered.capacity() {
            // Not doubled: there are many users, and half of it would lie idle.
            self.remembered
                .reserve_exact((self.remembered.len() / 4).max(1));
        }
        self.remembered.push_back(remembered);
    }

    fn remember_recorded(&mut self, event: &Event, contexts: &Contexts, remembered_max: usize) {
        let recorded = (event.id, contexts.type_name(&event.type_name));
        let key = Key::of(&event.command_id);
        if let Some(last) = self.remembered.back_mut()
            && event.command_part.part > 1
            && last.key == key
        {
            last.events.push(recorded);
            last.version = event.stream_version;
            last.sequence = event.sequence;
            return;
        }
        let remembered = Remembered {
            key,
            hash: event.command_hash,
            events: SmallVec::from_elem(recorded, 1),
            version: event.stream_version,
            sequence: event.sequence,
        };
        self.remember(remembered, remembered_max);
    }

    pub(crate) fn evolve(
        &mut self,
        decided: &[Decided],
        context: usize,
        contexts: &Contexts,
    ) -> Result<(), String> {
        let told = decided.iter().map(|event| event.data.len()).sum();
        self.size.told(told, contexts.growth(context));
        contexts.rules(context).evolve(self.state.as_mut(), decided)
    }
}
