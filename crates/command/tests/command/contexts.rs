//! Two contexts that are small and can go wrong in every way.
//!
//! `REVISION` is that of the rules: from 2 on, the value counts tenfold, so that a test can tell
//! which rules have folded a state.

use foldline_kernel::{Decider, Situation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The value of a counter stays from 0 to this.
pub(crate) const LIMIT: i64 = 10;

foldline_schema::stored_events! {
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum CounterEvent {
        "counter.added.v1" => Added(Added),
        "counter.poisoned.v1" => Poisoned(Poisoned),
        "counter.noted.v1" => Noted(Noted),
    }
}

/// The value has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Added {
    pub(crate) by: i64,
}

/// Folding it panics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Poisoned {}

/// Takes room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Noted {
    pub(crate) text: String,
}

foldline_kernel::commands! {
    #[derive(Clone, Debug)]
    pub(crate) enum CounterCommand {
        "add" => Add(Add),
        "add-each" => AddEach(AddEach),
        "note" => Note(Note),
        "panic" => Panic(Panic),
        "poison" => Poison(Poison),
    }
}

/// Changes the value, in one event; by 0 nothing changes.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Add {
    by: i64,
}

/// Changes the value in as many events of 1.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AddEach {
    by: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Note {
    bytes: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Panic {}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Poison {}

foldline_kernel::rejections! {
    #[derive(PartialEq)]
    pub(crate) enum CounterRejection {
        Conflict "out-of-range" => OutOfRange { version: u64, value: i64, by: i64 }
            "{version} {value} {by}",
        Impossible "beyond-every-range" => BeyondEveryRange "no counter takes so much",
    }
}

/// A counter, and how many events made it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) value: i64,
    pub(crate) version: u64,
}

pub(crate) struct Counters<const REVISION: u32>;

impl<const REVISION: u32> Decider for Counters<REVISION> {
    const CONTEXT: &'static str = "counters";
    const STATE_REVISION: u32 = REVISION;

    type State = Counter;
    type Command = CounterCommand;
    type Event = CounterEvent;
    type Rejection = CounterRejection;

    fn decide(
        state: &Counter,
        command: CounterCommand,
        _: &Situation<'_>,
    ) -> Result<Vec<CounterEvent>, CounterRejection> {
        match command {
            CounterCommand::Add(Add { by: 0 }) => Ok(vec![]),
            CounterCommand::Add(Add { by }) => {
                state.check(by)?;
                Ok(vec![Added { by }.into()])
            }
            CounterCommand::AddEach(AddEach { by }) => {
                state.check(by)?;
                Ok((0..by).map(|_| Added { by: 1 }.into()).collect())
            }
            CounterCommand::Note(Note { bytes }) => Ok(vec![
                Noted {
                    text: "x".repeat(bytes),
                }
                .into(),
            ]),
            CounterCommand::Panic(Panic {}) => panic!("a rule nobody thought of"),
            CounterCommand::Poison(Poison {}) => Ok(vec![Poisoned {}.into()]),
        }
    }

    fn evolve(state: &mut Counter, event: &CounterEvent) {
        state.version += 1;
        match event {
            CounterEvent::Added(Added { by }) => {
                state.value += if REVISION > 1 { 10 * by } else { *by };
            }
            CounterEvent::Poisoned(Poisoned {}) => panic!("a fact nobody thought of"),
            CounterEvent::Noted(_) => {}
        }
    }
}

impl Counter {
    fn check(&self, by: i64) -> Result<(), CounterRejection> {
        if by.abs() > LIMIT {
            return Err(CounterRejection::BeyondEveryRange);
        }
        let Self { value, version } = *self;
        let within = (0..=LIMIT).contains(&(value + by));
        within
            .then_some(())
            .ok_or(CounterRejection::OutOfRange { version, value, by })
    }
}

foldline_schema::stored_events! {
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum MirrorEvent {
        "mirror.copied.v1" => Copied(Copied),
    }
}

/// What the user's counter was at that instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Copied {
    pub(crate) value: i64,
    pub(crate) version: u64,
}

foldline_kernel::commands! {
    pub(crate) enum MirrorCommand {
        "copy" => Copy(Copy),
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Copy {}

foldline_kernel::rejections! {
    pub(crate) enum MirrorRejection {
        Conflict "nothing-to-copy" => NothingToCopy "the user has no counter",
    }
}

/// Decides over the user's counter, in another context.
pub(crate) struct Mirrors<const REVISION: u32>;

impl<const REVISION: u32> Decider for Mirrors<REVISION> {
    const CONTEXT: &'static str = "mirrors";
    const STATE_REVISION: u32 = 1;

    type State = ();
    type Command = MirrorCommand;
    type Event = MirrorEvent;
    type Rejection = MirrorRejection;

    fn decide(
        (): &(),
        MirrorCommand::Copy(Copy {}): MirrorCommand,
        situation: &Situation<'_>,
    ) -> Result<Vec<MirrorEvent>, MirrorRejection> {
        match *situation.state_of::<Counters<REVISION>>() {
            Counter { version: 0, .. } => Err(MirrorRejection::NothingToCopy),
            Counter { value, version } => Ok(vec![Copied { value, version }.into()]),
        }
    }

    fn evolve((): &mut (), _: &MirrorEvent) {}
}
