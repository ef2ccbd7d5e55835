//! What every follower checks before it yields: that an event follows the one before.

use foldline_kernel::{CommandId, LaneSequence, Sequence};
use foldline_schema::{CommandPart, Event};

use crate::{Corruption, Heads};

/// The checks of one follower, and what it has seen so far.
///
/// A follower of a lane sees every lane sequence; one of a partition sees them rise, and its own
/// sequence without a gap.
#[derive(Debug)]
pub(crate) struct Continuity {
    whole_lane: bool,
    lane_sequence: LaneSequence,
    /// Per context the sequence that must come; `None` where the start left it open.
    next: Vec<Option<Sequence>>,
    parts: Parts,
}

impl Continuity {
    /// Starts after a place: `next` per context of the log, `None` where any may come.
    pub(crate) fn after(
        lane_sequence: LaneSequence,
        next: Vec<Option<Sequence>>,
        whole_lane: bool,
    ) -> Self {
        // A reader may have stopped within a command, so only the very beginning is strict.
        let parts = if lane_sequence == LaneSequence::ZERO {
            Parts::default()
        } else {
            Parts::anywhere()
        };
        Self {
            whole_lane,
            lane_sequence,
            next,
            parts,
        }
    }

    /// Checks the next event of a context and moves on to it.
    pub(crate) fn admit(&mut self, context: usize, event: &Event) -> Result<(), Corruption> {
        let follows = event.lane_sequence == self.lane_sequence.next();
        if !follows && (self.whole_lane || event.lane_sequence <= self.lane_sequence) {
            return Err(Corruption::Sequence {
                kind: "lanesequence",
                expected: self.lane_sequence.next().0,
                found: event.lane_sequence.0,
            });
        }
        if let Some(expected) = self.next[context]
            && expected != event.sequence
        {
            return Err(Corruption::Sequence {
                kind: "sequence",
                expected: expected.0,
                found: event.sequence.0,
            });
        }
        // The events of a command lie side by side in their lane, since one append brought them.
        self.parts
            .admit(&event.command_id, event.command_part, follows)?;
        self.lane_sequence = event.lane_sequence;
        self.next[context] = Some(event.sequence.next());
        Ok(())
    }

    /// Returns the lane sequence of the last event.
    pub(crate) fn lane_sequence(&self) -> LaneSequence {
        self.lane_sequence
    }

    /// Tells whether a context's last event has come, if this is its last sequence.
    pub(crate) fn ends_at(&self, context: usize, last: Sequence) -> bool {
        self.next[context].is_none_or(|next| next == last.next())
    }

    /// Tells whether a command has begun whose last part has not come yet.
    pub(crate) fn is_within_command(&self) -> bool {
        self.parts.within.is_some()
    }

    /// Checks that all that was to come up to the end of the lane has come.
    pub(crate) fn at_end(&self, heads: &Heads) -> Result<(), Corruption> {
        for (next, last) in self.next.iter().zip(&heads.sequences) {
            if let Some(next) = next
                && *next != last.next()
            {
                return Err(Corruption::Sequence {
                    kind: "sequence",
                    expected: next.0,
                    found: last.next().0,
                });
            }
        }
        self.parts.at_end()
    }
}

/// The parts of the command that is being read.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    within: Option<(CommandId, CommandPart)>,
    anywhere: bool,
}

impl Parts {
    /// Starts at any part of a command.
    fn anywhere() -> Self {
        Self {
            within: None,
            anywhere: true,
        }
    }

    /// Takes the next event; `adjacent` tells whether it lies right after the one before.
    pub(crate) fn admit(
        &mut self,
        id: &CommandId,
        part: CommandPart,
        adjacent: bool,
    ) -> Result<(), Corruption> {
        let torn = |torn: &CommandId, expected: CommandPart, found: String| {
            Err(Corruption::TornCommand {
                command_id: torn.as_str().to_owned(),
                expected: expected.to_string(),
                found,
            })
        };
        match &self.within {
            Some((open, expected)) => {
                if open != id {
                    return torn(open, *expected, format!("{part} of command {id}"));
                }
                if *expected != part || !adjacent {
                    return torn(open, *expected, part.to_string());
                }
            }
            None if part.part != 1 && !self.anywhere => {
                return torn(id, CommandPart { part: 1, ..part }, part.to_string());
            }
            None => {}
        }
        self.anywhere = false;
        self.within = (part.part < part.of).then(|| {
            let next = CommandPart {
                part: part.part + 1,
                ..part
            };
            (id.clone(), next)
        });
        Ok(())
    }

    /// Tells whether a command is still open where nothing more can come.
    pub(crate) fn at_end(&self) -> Result<(), Corruption> {
        match &self.within {
            None => Ok(()),
            Some((id, expected)) => Err(Corruption::TornCommand {
                command_id: id.as_str().to_owned(),
                expected: expected.to_string(),
                found: "the end of the lane".into(),
            }),
        }
    }
}
