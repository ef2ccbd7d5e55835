//! Deciding one command against the state, the batch in the making included.

use std::sync::Arc;

use fail::fail_point;
use foldline_kernel::{
    EventId, LaneSequence, Position, Sequence, Situation, Timestamp, UserId, Version,
};
use foldline_schema::{CommandPart, NewEvent};
use smallvec::SmallVec;
use uuid::Uuid;

use super::{Submission, Submitted, serving::Serving};
use crate::{
    Accepted, Answer, CommandError, Request,
    contexts::{Decided, ParseError, Refused},
    user::{Key, Quarantine, Remembered, StatesOf},
};

/// One in so many events has its state looked at for its size.
const LOOKED_AT_EVENTS: u64 = 128;

impl Serving<'_> {
    /// Decides a command and puts its answer into the batch, whose append it waits for.
    pub(super) fn decide(&mut self, mut submission: Submitted) {
        if submission.is_abandoned() {
            return;
        }
        let answer = self.answer(&mut submission);
        let answer = self.in_turn(&submission, answer);
        fail_point!("command::decided", |_| std::process::abort());
        self.batch.decided.push((submission, answer));
    }

    fn answer(&mut self, submission: &mut Submission) -> Result<Answer, CommandError> {
        self.check_quarantine(submission.request.user)?;
        // The key first, then `If-Match`, then the rules: a repeat is answered as it was, though
        // the version has moved on since.
        let key = Key::of(&submission.request.key);
        if let Some(accepted) = self.repeated(submission, key)? {
            return Ok(Answer::Accepted(accepted));
        }
        self.check_turn(submission)?;
        let (request, context) = (&submission.request, submission.context);
        let current = self.version(request.user, context);
        if let Some(expected) = request.if_match.filter(|expected| *expected != current) {
            return Err(CommandError::StaleVersion { expected, current });
        }
        let decided = self.decide_by_rules(submission)?;
        if decided.is_empty() {
            return Ok(Answer::Unchanged { version: current });
        }
        self.check_size(&decided)?;
        self.evolve(&submission.request, context, &decided)?;
        let accepted = self.accept(submission, key, decided, current);
        Ok(Answer::Accepted(accepted))
    }

    fn check_quarantine(&self, user: UserId) -> Result<(), CommandError> {
        let known = self.users.get(user);
        let quarantine = known.and_then(|known| known.quarantine.as_ref());
        let Some(Quarantine { reason, since, .. }) = quarantine.map(Box::as_ref) else {
            return Ok(());
        };
        let (reason, since) = (reason.clone(), since.clone());
        Err(CommandError::Quarantined {
            user,
            since,
            reason,
        })
    }

    fn repeated(
        &self,
        submission: &Submission,
        key: Key,
    ) -> Result<Option<Accepted>, CommandError> {
        let stream = self.users.get(submission.request.user);
        let stream = stream.and_then(|user| user.stream(submission.context));
        let Some(remembered) = stream.and_then(|stream| stream.find(key)) else {
            return Ok(None);
        };
        if remembered.hash != submission.hash {
            let key = submission.request.key.clone();
            return Err(CommandError::KeyReused { key });
        }
        Ok(Some(Accepted {
            events: remembered.events.to_vec(),
            version: remembered.version,
            position: self.position(submission.context, remembered.sequence),
            replayed: !submission.accepted_before,
        }))
    }

    fn version(&self, user: UserId, context: usize) -> Version {
        let known = self.users.get(user);
        known.map_or(Version::ZERO, |user| user.version(context))
    }

    fn position(&self, context: usize, sequence: Sequence) -> Position {
        let context = self.task.contexts.rules(context).context().clone();
        Position {
            context,
            partition: self.task.lane,
            sequence,
        }
    }

    fn decide_by_rules(
        &mut self,
        submission: &mut Submission,
    ) -> Result<Vec<Decided>, CommandError> {
        let rules = self.task.contexts.rules(submission.context);
        let parsed = submission.command.take().map_or_else(
            || rules.parse(&submission.request.command, &submission.request.body),
            Ok,
        );
        let command =
            parsed.map_err(|error| parse_error(&submission.request, error, rules.commands()))?;
        let request = &submission.request;
        let states = StatesOf {
            user: self.users.get(request.user),
            defaults: &self.defaults,
            contexts: &self.task.contexts,
        };
        let time = request
            .time
            .unwrap_or_else(|| std::time::SystemTime::now().into());
        submission.time = Some(time);
        let situation = Situation::new(request.user, time, &request.caller, &Uuid::now_v7, &states);
        match rules.decide(states.state(submission.context), command, &situation) {
            Ok(decided) => Ok(decided),
            Err(Refused::Rejected {
                code,
                kind,
                message,
            }) => Err(CommandError::Rejected {
                code,
                kind,
                message,
            }),
            Err(Refused::Failed(reason)) => Err(self.quarantine(&submission.request, reason, None)),
        }
    }

    fn check_size(&self, decided: &[Decided]) -> Result<(), CommandError> {
        let settings = &self.task.settings;
        let bytes_max = settings.command_bytes_max;
        // The envelope numbers a command's events with 16 bits.
        let events_max = settings.batch_events_max.min(usize::from(u16::MAX));
        let (events, bytes) = (
            decided.len(),
            decided.iter().map(|event| event.data.len()).sum(),
        );
        if events > events_max || bytes > bytes_max {
            return Err(CommandError::TooLarge {
                events,
                events_max,
                bytes,
                bytes_max,
            });
        }
        Ok(())
    }

    fn evolve(
        &mut self,
        request: &Request,
        context: usize,
        decided: &[Decided],
    ) -> Result<(), CommandError> {
        let contexts = &self.task.contexts;
        let is_looked_at = self.ahead.lane_sequence.0.is_multiple_of(LOOKED_AT_EVENTS);
        let evolved = self.users.change(request.user, |user| {
            let stream = user.stream_mut(context, contexts);
            stream.evolve(decided, context, contexts)?;
            if is_looked_at {
                // One without a JSON form is told of by the first round.
                let _ = stream.save(context, contexts);
            }
            Ok(())
        });
        let spoilt = Some(self.ahead.lane_sequence);
        evolved.map_err(|reason| self.quarantine(request, reason, spoilt))
    }

    fn quarantine(
        &mut self,
        request: &Request,
        reason: String,
        spoilt: Option<LaneSequence>,
    ) -> CommandError {
        let since = format!("the command `{}` of `{}`", request.command, request.context);
        tracing::error!(user = %request.user, %since, %reason, "user quarantined");
        let quarantine = Quarantine {
            reason: reason.clone(),
            since: since.clone(),
            spoilt,
        };
        self.users.change(request.user, |user| {
            user.quarantine = Some(Box::new(quarantine));
        });
        if spoilt.is_some() {
            self.spoilt(request.user);
        }
        self.quarantined.add(1);
        CommandError::Quarantined {
            user: request.user,
            since,
            reason,
        }
    }

    /// Puts the events into the batch and remembers the command.
    fn accept(
        &mut self,
        submission: &Submission,
        key: Key,
        decided: Vec<Decided>,
        before: Version,
    ) -> Accepted {
        let (request, context) = (&submission.request, submission.context);
        let of = u16::try_from(decided.len()).expect("`check_size` bounds the number of events");
        let mut events = SmallVec::new();
        let mut version = before;
        let index = self.task.topology_index[context];
        for (part, decided) in (1..=of).zip(decided) {
            version = version.next();
            self.ahead.sequences[index] = self.ahead.sequences[index].next();
            self.ahead.lane_sequence = LaneSequence(self.ahead.lane_sequence.0 + 1);
            let type_name = self.type_name(decided.type_name);
            let id = EventId(Uuid::now_v7());
            events.push((id, type_name.clone()));
            self.batch.bytes += decided.data.len();
            let part = CommandPart { part, of };
            self.batch
                .events
                .push(self.new_event(submission, id, type_name, version, part, decided));
        }
        let sequence = self.ahead.sequences[index];
        let accepted = Accepted {
            events: events.to_vec(),
            version,
            position: self.position(context, sequence),
            replayed: false,
        };
        let hash = submission.hash;
        self.remember(
            request.user,
            context,
            Remembered {
                key,
                hash,
                events,
                version,
                sequence,
            },
        );
        accepted
    }

    fn new_event(
        &self,
        submission: &Submission,
        id: EventId,
        type_name: Arc<str>,
        stream_version: Version,
        command_part: CommandPart,
        decided: Decided,
    ) -> NewEvent {
        let request = &submission.request;
        NewEvent {
            id,
            type_name,
            context: request.context.clone(),
            subject: request.user,
            time: submission
                .time
                .unwrap_or_else(|| Timestamp::from(std::time::SystemTime::now())),
            stream_version,
            command_id: request.key.clone(),
            command_hash: submission.hash,
            command_part,
            actor: actor(request),
            causation_id: request.causation_id.clone(),
            correlation_id: request.correlation_id.clone(),
            extensions: serde_json::Map::new(),
            data: decided.data,
        }
    }

    fn type_name(&mut self, name: &'static str) -> Arc<str> {
        self.type_names
            .entry(name)
            .or_insert_with(|| name.into())
            .clone()
    }

    fn remember(&mut self, id: UserId, context: usize, remembered: Remembered) {
        let (contexts, settings) = (&self.task.contexts, &self.task.settings);
        let batch = self.batch_number;
        let (is_new_to_round, is_saved) = self.users.change(id, |user| {
            user.last_batch = batch;
            let stream = user.stream_mut(context, contexts);
            stream.version = remembered.version;
            stream.remember(remembered, settings.remembered_commands);
            let was = (user.dirty, user.unsaved);
            (user.dirty, user.unsaved) = (true, true);
            (!was.0, !was.1)
        });
        if is_new_to_round {
            self.rounds.dirty(id);
        }
        if is_saved && let Some(keeping) = &mut self.keeping {
            keeping.unsaved(id);
        }
    }
}

/// Who acted, where it was somebody else than the user.
fn actor(request: &Request) -> Option<String> {
    let caller = &request.caller;
    if caller.name.is_some() {
        return caller.name.clone();
    }
    caller
        .user
        .filter(|user| *user != request.user)
        .map(|user| user.to_string())
}

pub(crate) fn parse_error(
    request: &Request,
    error: ParseError,
    known: &'static [&'static str],
) -> CommandError {
    let command = request.command.clone();
    match error {
        ParseError::Malformed(malformed) => CommandError::Malformed { command, malformed },
        ParseError::UnknownCommand => CommandError::UnknownCommand {
            context: request.context.clone(),
            command,
            known: known.to_vec(),
        },
    }
}
