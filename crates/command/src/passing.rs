//! Passing a command on to the node that owns its lane.
//!
//! ```text
//!   submit ─▶ is the lane ours? ── yes ─▶ decide here
//!                ▲      └── no ─▶ its owner, one hop ─▶ the answer, as the owner gave it
//!                └──── not taken, or no answer: look again who owns it, until the deadline
//! ```
//!
//! Trying again is safe because of the key: an attempt that did take effect is found by it, here
//! or there, and answered as it was the first time. One that is still on its way when a later one
//! is refused is not taken any more (`lane/turns.rs`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use foldline_kernel::{Epoch, Lane};
use uuid::Uuid;

use crate::{Answer, CommandError, CommandSide, Hop, LaneHealth, Request};

/// The longest pause before a command is tried again that found no owner, or the wrong one. A
/// change of owners ends it.
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(100);
/// The shortest.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(2);

/// The node that took a lane over last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The epoch of its writer.
    pub epoch: Epoch,
    /// Where it takes commands, such as `http://10.0.0.7:8080`.
    pub address: String,
}

/// Who owns which lane, as far as this node has heard.
///
/// What it says MAY be out of date: a node that is not the owner any more says so itself.
#[async_trait]
pub trait Owners: Send + Sync + 'static {
    /// Returns who took the lane over last; `None` where nobody has, or nobody can be reached.
    fn owner(&self, lane: Lane) -> Option<Owner>;

    /// Waits until the owner of the lane is another one than `seen`.
    async fn changed(&self, lane: Lane, seen: Option<&Owner>);
}

/// Brings commands to other nodes.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Brings a command to a node, which MUST decide it itself or refuse it, but not pass it on;
    /// it MUST be told the hop.
    ///
    /// # Errors
    /// [`Undelivered`]: there is no answer of the node that the caller could be given.
    async fn pass_on(
        &self,
        to: &Owner,
        request: &Request,
        hop: Hop,
        deadline: Instant,
    ) -> Result<Passed, Undelivered>;
}

/// The answer of the owning node, as it gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, Bytes)>,
    /// Its body.
    pub body: Bytes,
    /// Whether the stream was looked at: it was accepted, or refused by the rules, the version or
    /// the key.
    pub decided: bool,
}

/// Why a node gave no answer to a command that was passed on to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It certainly left nothing: the node was not reached, does not own the lane, or does not
    /// serve it now.
    #[error("the command was not taken: {0}")]
    NotTaken(String),
    /// It may have taken effect.
    #[error("the command may have been taken: {0}")]
    Unknown(String),
}

/// What a node knows of the others.
#[derive(Clone)]
pub struct Neighbours {
    /// Who owns which lane.
    pub owners: Arc<dyn Owners>,
    /// How commands reach them.
    pub courier: Arc<dyn Courier>,
    /// Where this node takes commands; what its writers announce.
    pub address: String,
}

/// The attempts of one submission.
struct Trip {
    /// `None` until the command is passed on: one that is decided here needs none.
    id: Option<Uuid>,
    /// How many attempts have ended without an answer, so that they may still be on their way.
    unanswered: u32,
}

impl Trip {
    /// Describes the next attempt to the owner it goes to.
    fn hop(&mut self, owner: &Owner) -> Hop {
        Hop {
            trip: *self.id.get_or_insert_with(Uuid::now_v7),
            attempt: self.unanswered + 1,
            epoch: owner.epoch,
        }
    }

    fn may_have_arrived(&self) -> bool {
        self.unanswered > 0
    }
}

/// How one attempt ended.
pub(crate) enum Attempt {
    Answered(Result<Answer, CommandError>),
    /// It certainly left nothing; why.
    NotTaken(String),
    /// It may have taken effect; why that is not known.
    Unknown(String),
}

impl CommandSide {
    /// Has a command decided by whoever owns its lane.
    ///
    /// Once an attempt may have taken effect, only a decision ends it: whoever decides has the key
    /// of an attempt that did, since it has read the lane to its end. That there is no room, or
    /// nobody, says nothing about the attempt before, so nobody may be told then that nothing
    /// happened.
    pub(crate) async fn submit_to_owner(
        &self,
        neighbours: &Neighbours,
        request: Request,
        begun: Instant,
    ) -> Result<Answer, CommandError> {
        self.check_names(&request)?;
        let lane = self.lane_of(&request);
        if request.passed_on.is_some() {
            return self.submit_as_owner(lane, request, begun).await;
        }
        let deadline = self.deadline(&request, begun);
        let mut pause = RETRY_PAUSE_MIN;
        let mut trip = Trip {
            id: None,
            unanswered: 0,
        };
        loop {
            let owner = neighbours.owners.owner(lane);
            let attempt = self.attempt(neighbours, &request, owner.as_ref(), &mut trip, begun);
            let attempt = attempt.await;
            self.meters().attempt(&attempt);
            let reason = match attempt {
                Attempt::Answered(answer) if !trip.may_have_arrived() || is_decision(&answer) => {
                    return answer;
                }
                Attempt::Answered(_) => "the owner decides nothing now".to_owned(),
                Attempt::NotTaken(reason) => reason,
                Attempt::Unknown(reason) => {
                    trip.unanswered += 1;
                    reason
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(%lane, reason, "a command found no owner of its lane in time");
                return Err(match trip.may_have_arrived() {
                    true => CommandError::OutcomeUnknown { key: request.key },
                    false => CommandError::Unavailable { lane, reason },
                });
            }
            let changed = neighbours.owners.changed(lane, owner.as_ref());
            // Elapsed or changed, the next attempt comes.
            let _ = tokio::time::timeout(pause.min(left), changed).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Decides what another node has passed on, or says that it is not for this node to decide.
    /// One hop: a node that passes on what was passed on to it could go on for ever.
    async fn submit_as_owner(
        &self,
        lane: Lane,
        request: Request,
        begun: Instant,
    ) -> Result<Answer, CommandError> {
        let attempt = match self.owns(lane) {
            true => self.attempt_here(lane, &request, begun).await,
            false => Attempt::NotTaken("it is not ours".to_owned()),
        };
        match attempt {
            Attempt::Answered(answer) => answer,
            Attempt::NotTaken(_) => Err(CommandError::Elsewhere {
                lane,
                maybe_taken: false,
            }),
            Attempt::Unknown(_) => Err(CommandError::OutcomeUnknown { key: request.key }),
        }
    }

    /// Refuses what no node knows, before it travels.
    fn check_names(&self, request: &Request) -> Result<(), CommandError> {
        let Some(context) = self.contexts().find(&request.context) else {
            return Err(self.unknown_context(request));
        };
        let known = self.contexts().rules(context).commands();
        if known.contains(&request.command.as_str()) {
            return Ok(());
        }
        Err(CommandError::UnknownCommand {
            context: request.context.clone(),
            command: request.command.clone(),
            known: known.to_vec(),
        })
    }

    /// Tries once, here or at the owner.
    async fn attempt(
        &self,
        neighbours: &Neighbours,
        request: &Request,
        owner: Option<&Owner>,
        trip: &mut Trip,
        begun: Instant,
    ) -> Attempt {
        let lane = self.lane_of(request);
        if self.owns(lane) {
            return self.attempt_here(lane, request, begun).await;
        }
        if let LaneHealth::Closed(reason) = self.health_of(lane) {
            return Attempt::Answered(Err(CommandError::Unavailable { lane, reason }));
        }
        let Some(owner) = owner.filter(|owner| owner.address != neighbours.address) else {
            return Attempt::NotTaken("no node has announced itself as its owner".to_owned());
        };
        let (hop, deadline) = (trip.hop(owner), self.deadline(request, begun));
        let passed_on = neighbours.courier.pass_on(owner, request, hop, deadline);
        match passed_on.await {
            Ok(passed) => Attempt::Answered(Ok(Answer::Passed(passed))),
            Err(Undelivered::NotTaken(reason)) => Attempt::NotTaken(reason),
            Err(Undelivered::Unknown(reason)) => Attempt::Unknown(reason),
        }
    }

    /// Tries once here. What a lane says that is being let go concerns its next owner.
    async fn attempt_here(&self, lane: Lane, request: &Request, begun: Instant) -> Attempt {
        let answer = self.submit_here(request.clone(), begun).await;
        let is_let_go = || !self.owns(lane) && self.health_of(lane) == LaneHealth::Elsewhere;
        match answer {
            Err(CommandError::Elsewhere { maybe_taken, .. }) if maybe_taken => {
                Attempt::Unknown("the lane was taken over".to_owned())
            }
            Err(CommandError::Elsewhere { .. }) => {
                Attempt::NotTaken("the lane was taken over".to_owned())
            }
            Err(CommandError::Unavailable { reason, .. }) if is_let_go() => {
                Attempt::NotTaken(reason)
            }
            Err(CommandError::OutcomeUnknown { .. }) if is_let_go() => {
                Attempt::Unknown("the lane was let go".to_owned())
            }
            answer => Attempt::Answered(answer),
        }
    }
}

/// Tells whether an answer comes of looking at the stream, where the key of every command that
/// took effect is.
fn is_decision(answer: &Result<Answer, CommandError>) -> bool {
    match answer {
        Ok(Answer::Accepted(_) | Answer::Unchanged { .. }) => true,
        Ok(Answer::Passed(passed)) => passed.decided,
        Err(error) => matches!(
            error,
            CommandError::KeyReused { .. }
                | CommandError::StaleVersion { .. }
                | CommandError::Rejected { .. }
        ),
    }
}
