//! One user's streams in memory: states, versions, remembered commands.

use std::{any::Any, collections::VecDeque, sync::Arc};

use foldline_kernel::{CommandId, EventId, LaneSequence, OtherStates, Sequence, UserId, Version};
use foldline_schema::{Catalog, CommandHash, Event};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{
    Contexts,
    contexts::{Decided, State},
};

/// All users of a lane that have a state.
#[derive(Default)]
pub(crate) struct Users {
    pub(crate) by_id: FxHashMap<UserId, User>,
}

/// One user's streams. There are many users, and most have few streams with few commands to
/// remember: what is not there takes no room.
#[derive(Default)]
pub(crate) struct User {
    /// Those in which something has happened, each with the index of its context.
    streams: Vec<(usize, Stream)>,
    /// Why no command of this user can be decided.
    pub(crate) quarantine: Option<Box<Quarantine>>,
    /// The number of the last batch that holds an event of this user; it tells whether the state
    /// speaks of events that are not durable yet.
    pub(crate) last_batch: u64,
    /// Whether something has happened since the last snapshot.
    pub(crate) dirty: bool,
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
}

/// An accepted command, and what is needed to give its answer again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) key: CommandId,
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

impl User {
    pub(crate) fn stream(&self, context: usize) -> Option<&Stream> {
        let mut streams = self.streams.iter();
        streams.find_map(|(known, stream)| (*known == context).then_some(stream))
    }

    pub(crate) fn stream_mut(&mut self, context: usize, contexts: &Contexts) -> &mut Stream {
        let known = self.streams.iter().position(|(known, _)| *known == context);
        let place = known.unwrap_or_else(|| {
            self.streams.reserve_exact(1);
            self.streams.push((
                context,
                Stream {
                    state: contexts.rules(context).default_state(),
                    version: Version::ZERO,
                    remembered: VecDeque::new(),
                },
            ));
            self.streams.len() - 1
        });
        &mut self.streams[place].1
    }

    pub(crate) fn version(&self, context: usize) -> Version {
        self.stream(context)
            .map_or(Version::ZERO, |stream| stream.version)
    }

    /// Folds an event that is in the log. What a snapshot holds already is skipped.
    pub(crate) fn fold(
        &mut self,
        context: usize,
        event: &Event,
        contexts: &Contexts,
        catalog: &Catalog,
        remembered_max: usize,
    ) {
        self.dirty = true;
        if self.quarantine.is_some() || event.stream_version <= self.version(context) {
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
        stream.remember_recorded(event, remembered_max);
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

impl Stream {
    pub(crate) fn find(&self, key: &CommandId) -> Option<&Remembered> {
        self.remembered
            .iter()
            .rev()
            .find(|remembered| remembered.key == *key)
    }

    /// At most one is forgotten for each that comes. After a batch with an unknown outcome more
    /// than the usual number is remembered, and the keys of commands that have yet to be looked
    /// for must not go when the first of them is decided anew.
    pub(crate) fn remember(&mut self, remembered: Remembered, remembered_max: usize) {
        if self.remembered.len() >= remembered_max {
            self.remembered.pop_front();
        }
        if self.remembered.is_empty() {
            self.remembered.reserve_exact(1);
        }
        self.remembered.push_back(remembered);
    }

    fn remember_recorded(&mut self, event: &Event, remembered_max: usize) {
        let recorded = (event.id, event.type_name.clone());
        if let Some(last) = self.remembered.back_mut()
            && event.command_part.part > 1
            && last.key == event.command_id
        {
            last.events.push(recorded);
            last.version = event.stream_version;
            last.sequence = event.sequence;
            return;
        }
        let remembered = Remembered {
            key: event.command_id.clone(),
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
        contexts.rules(context).evolve(self.state.as_mut(), decided)
    }
}

/// A user as a snapshot holds it, in JSON: either its streams, or that they could not be saved.
#[derive(Default, Serialize, Deserialize)]
struct SavedUser {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    streams: Option<Vec<SavedStream>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spoilt: Option<SavedQuarantine>,
}

#[derive(Serialize, Deserialize)]
struct SavedQuarantine {
    reason: String,
    since: String,
    /// All of the user's events are up to here.
    end: LaneSequence,
}

#[derive(Serialize, Deserialize)]
struct SavedStream {
    context: String,
    revision: u32,
    version: Version,
    state: Box<serde_json::value::RawValue>,
    remembered: Vec<SavedCommand>,
}

/// Key, hash, events, version, sequence.
#[derive(Serialize, Deserialize)]
struct SavedCommand(CommandId, u128, Vec<(EventId, Arc<str>)>, Version, Sequence);

/// Encodes a user for a snapshot. The caller sees to it that it is not written before everything
/// in it is durable.
///
/// Of a spoilt state only its quarantine is saved, and where to read again: so one user does not
/// keep the marker of a whole lane where it is.
pub(crate) fn save(user: &User, contexts: &Contexts) -> Result<Vec<u8>, String> {
    if let Some(Quarantine {
        reason,
        since,
        spoilt: Some(end),
    }) = user.quarantine.as_deref()
    {
        let spoilt = SavedQuarantine {
            reason: reason.clone(),
            since: since.clone(),
            end: *end,
        };
        return encoded(&SavedUser {
            spoilt: Some(spoilt),
            ..SavedUser::default()
        });
    }
    let mut streams = Vec::new();
    for (index, stream) in &user.streams {
        let rules = contexts.rules(*index);
        streams.push(SavedStream {
            context: rules.context().to_string(),
            revision: rules.revision(),
            version: stream.version,
            state: rules.save(stream.state.as_ref())?,
            remembered: stream.remembered.iter().map(saved_command).collect(),
        });
    }
    encoded(&SavedUser {
        streams: Some(streams),
        ..SavedUser::default()
    })
}

fn encoded(user: &SavedUser) -> Result<Vec<u8>, String> {
    serde_json::to_vec(user).map_err(|error| error.to_string())
}

fn saved_command(command: &Remembered) -> SavedCommand {
    SavedCommand(
        command.key.clone(),
        u128::from_be_bytes(command.hash.0),
        command.events.to_vec(),
        command.version,
        command.sequence,
    )
}

/// Reads a user from a snapshot; `None` when it is of other rules and has to be folded anew.
pub(crate) fn load(saved: &[u8], contexts: &Contexts) -> Option<User> {
    let saved: SavedUser = serde_json::from_slice(saved).ok()?;
    let mut user = User::default();
    if let Some(SavedQuarantine { reason, since, end }) = saved.spoilt {
        user.quarantine = Some(Box::new(Quarantine {
            reason,
            since,
            spoilt: Some(end),
        }));
        return Some(user);
    }
    for stream in saved.streams? {
        let index = contexts.find(&stream.context.parse().ok()?)?;
        let rules = contexts.rules(index);
        if rules.revision() != stream.revision {
            return None;
        }
        let stream = Stream {
            state: rules.load(&stream.state).ok()?,
            version: stream.version,
            remembered: stream.remembered.into_iter().map(loaded_command).collect(),
        };
        user.streams.push((index, stream));
    }
    Some(user)
}

fn loaded_command(saved: SavedCommand) -> Remembered {
    Remembered {
        key: saved.0,
        hash: CommandHash(saved.1.to_be_bytes()),
        events: saved.2.into(),
        version: saved.3,
        sequence: saved.4,
    }
}
