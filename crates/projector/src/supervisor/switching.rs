//! Making another generation the one that serves.

use std::{collections::BTreeSet, sync::Arc};

use foldline_tables::{
    Absorbed, Generation, GenerationNumber, GenerationState, SwitchError, TableError, TableWriter,
};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Duration, Instant, timeout},
};

use super::Supervisor;
use crate::{
    RollbackError,
    feeds::{self, Ends},
    live::Live,
    parts::Shared,
};

/// How often it is looked, during a switch, how far other processes have come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What came of a switch.
#[derive(Debug)]
pub(super) enum Switched {
    /// It serves.
    Done,
    /// It cannot yet.
    NotYet,
    /// Another process was first: this one serves now, and everything is to be seen anew.
    Overtaken(Option<GenerationNumber>),
}

/// What nobody needs once a generation serves: the previous ones, but for the one it is switched
/// from. Noted before the switch, whose answer may be lost, and kept until all of it is retired.
#[derive(Debug)]
pub(super) struct Surplus {
    once_serves: GenerationNumber,
    numbers: BTreeSet<GenerationNumber>,
}

/// Holds back the commits of the generation that is switched from, here and elsewhere.
#[derive(Default)]
struct Hold {
    _gate: Option<OwnedMutexGuard<()>>,
    _writer: Option<Box<dyn TableWriter>>,
}

impl Supervisor {
    /// Switches to a generation once none of its checkpoints is behind those of the one that
    /// serves, and only from that one.
    ///
    /// While the two are compared, commits of the one that serves are held back: else each could
    /// be ahead of the other in some lane for ever. The first generation has nothing to compare
    /// with, and serves once it is near the end of the log: queries work while it catches up, and
    /// it is simply behind, as it says.
    pub(super) async fn switch_to(
        &mut self,
        new: &Arc<Live>,
        ends: &Ends,
    ) -> Result<Switched, SwitchError> {
        let serving = self.view.serving();
        // An earlier try took effect though its answer was lost, or another process did the same.
        if serving.as_ref().is_some_and(|old| old.number == new.number) {
            return Ok(Switched::Done);
        }
        if new.behind(ends) > self.shared.settings.near_events {
            return Ok(Switched::NotYet);
        }
        let hold = match &serving {
            Some(old) => self.compare(new, old, ends).await?,
            None => Some(Hold::default()),
        };
        let Some(_hold) = hold else {
            return Ok(Switched::NotYet);
        };
        let from = serving.as_ref().map(|old| old.number);
        self.note_surplus(from, new.number);
        before_switch();
        let tables = &self.shared.tables;
        let switched_to = tables.switch(&self.view.name, from, new.number).await;
        if let Err(error) = switched_to {
            // The registry tells; where it does not, the next look does.
            self.look_at = Instant::now();
            match error {
                SwitchError::Unknown { .. } if self.serving_now().await == Some(new.number) => {}
                SwitchError::Unknown { .. } => return Err(error),
                SwitchError::Overtaken { serving, .. } => {
                    self.surplus = None;
                    return Ok(Switched::Overtaken(serving));
                }
                // Retired meanwhile, which somebody else must have done.
                SwitchError::Table(TableError::NoGeneration { .. }) => {
                    self.surplus = None;
                    return Ok(Switched::Overtaken(self.serving_now().await));
                }
                SwitchError::Table(_) => {
                    self.surplus = None;
                    return Err(error);
                }
            }
        }
        switched();
        new.set_state(GenerationState::Serving);
        if let Some(old) = &serving {
            old.set_state(GenerationState::Previous);
        }
        tracing::info!(view = %self.view.name, generation = %new.number, "switched");
        (self.shared.notice)(&self.view.name);
        Ok(Switched::Done)
    }

    /// Holds back the commits of the generation that serves until what is returned is dropped, if
    /// the new one then has what it has.
    async fn compare(
        &self,
        new: &Arc<Live>,
        old: &Arc<Live>,
        ends: &Ends,
    ) -> Result<Option<Hold>, TableError> {
        let within = self.shared.settings.hold_max;
        let Ok(gate) = timeout(within, Arc::clone(&old.gate).lock_owned()).await else {
            return Ok(None);
        };
        match self.hold(old).await {
            Ok(Some((writer, goal))) => {
                let reached = reaches(&self.shared, new, old, &goal).await;
                Ok(reached.then_some(Hold {
                    _gate: Some(gate),
                    _writer: Some(writer),
                }))
            }
            // Nobody here can say what it holds, so only the end of the log will do.
            Ok(None) | Err(TableError::Corrupt { .. } | TableError::NoGeneration { .. }) => {
                Ok((new.behind(ends) == 0).then(Hold::default))
            }
            Err(error) => Err(error),
        }
    }

    /// Holds a generation in the store, where another process may be the one that moves it; none
    /// where it cannot be followed.
    async fn hold(
        &self,
        live: &Live,
    ) -> Result<Option<(Box<dyn TableWriter>, Absorbed)>, TableError> {
        let Some((model, _)) = &live.follows else {
            return Ok(None);
        };
        let mut writer = self.shared.tables.writer(model, live.number).await?;
        let absorbed = writer.hold().await?;
        Ok(Some((writer, absorbed)))
    }

    /// Returns the generation that serves as the registry says, if it says anything.
    async fn serving_now(&self) -> Option<GenerationNumber> {
        let listed = self.shared.tables.generations(&self.view.name).await.ok()?;
        let mut listed = listed.into_iter();
        let serving = listed.find(|listed| listed.state == GenerationState::Serving);
        serving.map(|serving| serving.number)
    }

    fn note_surplus(&mut self, from: Option<GenerationNumber>, to: GenerationNumber) {
        let generations = self.view.generations().into_iter();
        let previous = generations.filter(|live| live.state() == GenerationState::Previous);
        let numbers = previous.map(|live| live.number);
        self.surplus = Some(Surplus {
            once_serves: to,
            numbers: numbers
                .filter(|number| *number != to && Some(*number) != from)
                .collect(),
        });
    }

    /// Returns what the last switch left over and is still there, once that switch has happened.
    pub(super) fn surplus_of(&mut self, listed: &[Generation]) -> Vec<GenerationNumber> {
        let Some(surplus) = &self.surplus else {
            return Vec::new();
        };
        let in_state = |state| listed.iter().filter(move |listed| listed.state == state);
        let serving = in_state(GenerationState::Serving).next();
        if serving.is_none_or(|serving| serving.number != surplus.once_serves) {
            return Vec::new();
        }
        let left = in_state(GenerationState::Previous).map(|previous| previous.number);
        let left: Vec<_> = left.filter(|left| surplus.numbers.contains(left)).collect();
        if left.is_empty() {
            self.surplus = None;
        }
        left
    }

    /// Switches back to the generation that served before.
    pub(super) async fn roll_back(&mut self) -> Result<GenerationNumber, RollbackError> {
        let model = self.view.name.to_string();
        let tables = |source| RollbackError::Tables {
            model: model.clone(),
            source,
        };
        self.settle().await.map_err(|error| tables(error.into()))?;
        let mut generations = self.view.generations().into_iter().rev();
        let previous = generations.find(|live| live.state() == GenerationState::Previous);
        let Some(previous) = previous else {
            return Err(RollbackError::NoPrevious(model.clone()));
        };
        let behind = |events_behind| RollbackError::Behind {
            model: model.clone(),
            generation: previous.number,
            events_behind,
        };
        let ends = feeds::ends(self.shared.log.as_ref()).await;
        let ends = ends.map_err(|_| behind(u64::MAX))?;
        match self.switch_to(&previous, &ends).await.map_err(tables)? {
            Switched::Done => {}
            Switched::NotYet => return Err(behind(previous.behind(&ends))),
            Switched::Overtaken(serving) => {
                return Err(RollbackError::Overtaken {
                    model: model.clone(),
                    serving,
                });
            }
        }
        // It serves; what is left to do is done with the next look where it cannot be now.
        if let Err(error) = self.settle().await {
            self.look_at = Instant::now();
            tracing::warn!(view = %self.view.name, error = &error as &dyn std::error::Error,
                "the registry cannot be read after a switch");
        }
        Ok(previous.number)
    }
}

/// Waits, within a bound, until a generation has absorbed what another has, whoever follows it.
async fn reaches(shared: &Shared, new: &Live, old: &Live, goal: &Absorbed) -> bool {
    let source = old
        .follows
        .as_ref()
        .map(|(model, _)| model.source.as_slice());
    let reached = async {
        let mut moves = new.moves();
        while !new.not_behind(goal, source.unwrap_or_default()) {
            if timeout(LOOK_EVERY, moves.changed()).await.is_err()
                && let Ok(absorbed) = new.read(shared.tables.as_ref()).await
            {
                new.others_absorbed(&absorbed);
            }
        }
    };
    timeout(shared.settings.hold_max, reached).await.is_ok()
}

/// Where a test ends the process: the registry still names the old generation.
fn before_switch() {
    fail::fail_point!("replay::before_switch", |_| std::process::abort());
}

/// Where a test ends the process: the registry names the new generation, nobody was told.
fn switched() {
    fail::fail_point!("replay::switched", |_| std::process::abort());
}
