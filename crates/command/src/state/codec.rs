//! How a user's state is written: to snapshots and to the local store, byte for byte the same.
//!
//! ```text
//!   1 │ 0 │ streams: name, revision, version, state (JSON) │ type names │ remembered, per stream
//!   1 │ 1 │ why and since when the user is quarantined, and the end of its events
//! ```
//!
//! Numbers are LEB128, texts and states have their length before them, ids and hashes are 16 bytes.
//! What a stream remembers is most of a user who has been here for a while, and would take three
//! times the room as JSON.

use std::sync::Arc;

use foldline_kernel::{EventId, LaneSequence, Sequence, Version};
use foldline_schema::CommandHash;
use uuid::Uuid;

use crate::{
    Contexts,
    growth::Size,
    user::{Key, Quarantine, Remembered, Stream, User},
};

/// The first byte; the text of an older form began with `{`.
const FORMAT: u8 = 1;
const STREAMS: u8 = 0;
const SPOILT: u8 = 1;

/// What a written state turns out to be, without reading the states themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of the rules that this program has.
    Known,
    /// Of a user whose state was spoilt.
    Spoilt,
    /// Of other rules or another form: it has to be folded anew.
    Foreign,
}

/// Writes a user. The caller sees to it that it is not kept before everything in it is durable.
///
/// Of a spoilt state only its quarantine is written, and where to read again: so one user does not
/// keep the marker of a whole lane where it is.
pub(crate) fn write(user: &mut User, contexts: &Contexts) -> Result<Vec<u8>, String> {
    if let Some(Quarantine {
        reason,
        since,
        spoilt: Some(end),
    }) = user.quarantine.as_deref()
    {
        let mut out = vec![FORMAT, SPOILT];
        text(&mut out, reason.as_bytes());
        text(&mut out, since.as_bytes());
        number(&mut out, end.0);
        return Ok(out);
    }
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(&[FORMAT, STREAMS]);
    number(&mut out, user.streams.len() as u64);
    for (index, stream) in &mut user.streams {
        let rules = contexts.rules(*index);
        let state = stream.save(*index, contexts)?;
        text(&mut out, rules.context().as_str().as_bytes());
        number(&mut out, u64::from(rules.revision()));
        number(&mut out, stream.version.0);
        text(&mut out, state.get().as_bytes());
    }
    let types = write_types(&mut out, user);
    for (_, stream) in &user.streams {
        number(&mut out, stream.remembered.len() as u64);
        for command in &stream.remembered {
            write_command(&mut out, command, &types);
        }
    }
    Ok(out)
}

/// Each type name once.
fn write_types(out: &mut Vec<u8>, user: &User) -> Vec<Arc<str>> {
    let mut types: Vec<Arc<str>> = Vec::new();
    let commands = user
        .streams
        .iter()
        .flat_map(|(_, stream)| &stream.remembered);
    for (_, name) in commands.flat_map(|command| &command.events) {
        if !types.contains(name) {
            types.push(Arc::clone(name));
        }
    }
    number(out, types.len() as u64);
    for name in &types {
        text(out, name.as_bytes());
    }
    types
}

fn write_command(out: &mut Vec<u8>, command: &Remembered, types: &[Arc<str>]) {
    out.extend_from_slice(&command.key.0);
    out.extend_from_slice(&command.hash.0);
    number(out, command.events.len() as u64);
    for (id, name) in &command.events {
        out.extend_from_slice(id.0.as_bytes());
        let place = types.iter().position(|known| known == name);
        number(out, place.expect("every type was written before") as u64);
    }
    number(out, command.version.0);
    number(out, command.sequence.0);
}

/// Tells what a written state is.
pub(crate) fn kind(written: &[u8], contexts: &Contexts) -> Kind {
    let mut input = Input(written);
    match (input.byte(), input.byte()) {
        (Some(FORMAT), Some(SPOILT)) => Kind::Spoilt,
        (Some(FORMAT), Some(STREAMS)) if input.has_known_rules(contexts).is_some() => Kind::Known,
        _ => Kind::Foreign,
    }
}

/// Reads a user; `None` when it is of other rules and has to be folded anew.
pub(crate) fn read(written: &[u8], contexts: &Contexts) -> Option<User> {
    let mut input = Input(written);
    let mut user = User::default();
    if input.byte()? != FORMAT {
        return None;
    }
    if input.byte()? == SPOILT {
        user.quarantine = Some(Box::new(Quarantine {
            reason: input.string()?,
            since: input.string()?,
            spoilt: Some(LaneSequence(input.number()?)),
        }));
        return Some(user);
    }
    let streams = input.count()?;
    user.streams.reserve_exact(streams);
    for _ in 0..streams {
        let index = input.context(contexts)?;
        let version = Version(input.number()?);
        let state = input.text()?;
        let loaded = contexts.rules(index).load(state).ok()?;
        let stream = Stream::new(loaded, version, Size::of(state.len()));
        user.streams.push((index, stream));
    }
    let types = input.types(contexts)?;
    for (_, stream) in &mut user.streams {
        let commands = input.count()?;
        stream.remembered.reserve_exact(commands);
        for _ in 0..commands {
            stream.remembered.push_back(input.command(&types)?);
        }
    }
    input.0.is_empty().then_some(user)
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// What is left to read; every step is `None` where it is cut off.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// How many of something follow; each takes at least a byte, so that nothing is reserved for
    /// more than can be there.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.0.split_off(..length)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.to_vec()).ok()
    }

    fn sixteen(&mut self) -> Option<[u8; 16]> {
        self.0.split_off(..16)?.try_into().ok()
    }

    /// The context that follows, if the program has it, with this revision.
    fn context(&mut self, contexts: &Contexts) -> Option<usize> {
        let index = contexts.find_named(self.text()?)?;
        (self.number()? == u64::from(contexts.rules(index).revision())).then_some(index)
    }

    fn has_known_rules(&mut self, contexts: &Contexts) -> Option<()> {
        for _ in 0..self.count()? {
            self.context(contexts)?;
            self.number()?;
            self.text()?;
        }
        Some(())
    }

    fn types(&mut self, contexts: &Contexts) -> Option<Vec<Arc<str>>> {
        let count = self.count()?;
        let mut types = Vec::with_capacity(count);
        for _ in 0..count {
            let name = std::str::from_utf8(self.text()?).ok()?;
            types.push(contexts.type_name(name));
        }
        Some(types)
    }

    fn command(&mut self, types: &[Arc<str>]) -> Option<Remembered> {
        let (key, hash) = (Key(self.sixteen()?), CommandHash(self.sixteen()?));
        let events = (0..self.count()?).map(|_| {
            let id = EventId(Uuid::from_bytes(self.sixteen()?));
            let place = usize::try_from(self.number()?).ok()?;
            Some((id, Arc::clone(types.get(place)?)))
        });
        Some(Remembered {
            key,
            hash,
            events: events.collect::<Option<_>>()?,
            version: Version(self.number()?),
            sequence: Sequence(self.number()?),
        })
    }
}
