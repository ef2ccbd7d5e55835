//! The contexts of an application, with their types erased so that one lane can serve them all.

use std::{any::Any, fmt, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use foldline_kernel::{Commands, Context, Decider, Malformed, Rejection, RejectionKind, Situation};
use foldline_schema::{Catalog, DataError, Event, StoredEvents};
use rustc_hash::FxHashMap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use crate::growth::Growth;

/// The state of one stream.
pub(crate) type State = Box<dyn Any + Send>;

/// Every context of an application, in the order they were added.
#[derive(Default)]
pub struct Contexts {
    rules: Vec<Box<dyn Rules>>,
    /// How states grow, for each of `rules`.
    growth: Vec<Growth>,
    catalog: Catalog,
    /// Every stored name once, for all who remember events by it.
    type_names: FxHashMap<&'static str, Arc<str>>,
}

impl Contexts {
    /// Adds a context.
    ///
    /// # Panics
    /// When its name is not one, or is taken: faults of the wiring that the first start shows.
    #[must_use]
    pub fn with<D>(mut self) -> Self
    where
        D: Decider,
        D::Event: StoredEvents,
        D::State: Serialize + DeserializeOwned,
    {
        let context: Context = D::CONTEXT.parse().unwrap_or_else(|error| panic!("{error}"));
        assert!(
            self.find(&context).is_none(),
            "the context `{context}` is there twice"
        );
        self.catalog = self.catalog.with::<D::Event>(&context);
        let names = D::Event::types().into_iter().map(|known| known.name);
        self.type_names
            .extend(names.map(|name| (name, Arc::from(name))));
        self.rules.push(Box::new(TypedRules::<D> {
            context,
            decider: std::marker::PhantomData,
        }));
        self.growth.push(Growth::default());
        self
    }

    /// Returns every stored type of every context.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the names, in the order they were added.
    pub fn names(&self) -> Vec<Context> {
        self.rules
            .iter()
            .map(|rules| rules.context().clone())
            .collect()
    }

    /// Returns the names of a context's commands.
    pub fn commands_of(&self, context: &Context) -> Option<&'static [&'static str]> {
        self.find(context).map(|index| self.rules[index].commands())
    }

    pub(crate) fn find(&self, context: &Context) -> Option<usize> {
        self.rules
            .iter()
            .position(|rules| rules.context() == context)
    }

    pub(crate) fn find_named(&self, name: &[u8]) -> Option<usize> {
        let mut rules = self.rules.iter();
        rules.position(|rules| rules.context().as_str().as_bytes() == name)
    }

    /// Returns a stored name as one allocation that all share. Names of older shapes, and of
    /// events that another program wrote, are rare and get one of their own.
    pub(crate) fn type_name(&self, name: &str) -> Arc<str> {
        let known = self.type_names.get(name);
        known.map_or_else(|| name.into(), Arc::clone)
    }

    pub(crate) fn rules(&self, index: usize) -> &dyn Rules {
        self.rules[index].as_ref()
    }

    pub(crate) fn growth(&self, index: usize) -> &Growth {
        &self.growth[index]
    }

    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.rules.iter().map(|rules| rules.context()))
            .finish()
    }
}

/// Why a body is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// No command has that name.
    UnknownCommand,
    /// The body is not what it takes.
    Malformed(Malformed),
}

/// An event that was decided, in its type and in its bytes.
pub(crate) struct Decided {
    pub(crate) type_name: &'static str,
    pub(crate) data: Bytes,
    event: Box<dyn Any + Send>,
}

/// What came of deciding.
pub(crate) enum Refused {
    /// The rules say no.
    Rejected {
        code: &'static str,
        kind: RejectionKind,
        message: String,
    },
    /// The decider panicked, or decided what has no JSON form.
    Failed(String),
}

/// A decider with its types erased.
pub(crate) trait Rules: Send + Sync {
    fn context(&self) -> &Context;
    fn commands(&self) -> &'static [&'static str];
    fn parse(&self, name: &str, body: &[u8]) -> Result<Box<dyn Any + Send>, ParseError>;
    fn default_state(&self) -> State;
    fn decide(
        &self,
        state: &dyn Any,
        command: Box<dyn Any + Send>,
        situation: &Situation<'_>,
    ) -> Result<Vec<Decided>, Refused>;
    /// Folds decided events; an error is a panic, after which the state is spoilt.
    fn evolve(&self, state: &mut dyn Any, decided: &[Decided]) -> Result<(), String>;
    /// Folds a recorded event; after an error the state is spoilt.
    fn evolve_recorded(
        &self,
        state: &mut dyn Any,
        event: &Event,
        catalog: &Catalog,
    ) -> Result<(), DataError>;
    fn revision(&self) -> u32;
    fn save(&self, state: &dyn Any) -> Result<Box<RawValue>, String>;
    fn load(&self, saved: &[u8]) -> Result<State, String>;
}

struct TypedRules<D> {
    context: Context,
    decider: std::marker::PhantomData<fn() -> D>,
}

impl<D> TypedRules<D>
where
    D: Decider,
{
    fn state(state: &dyn Any) -> &D::State {
        state
            .downcast_ref()
            .expect("a stream's state is of its own context's type")
    }

    fn state_mut(state: &mut dyn Any) -> &mut D::State {
        state
            .downcast_mut()
            .expect("a stream's state is of its own context's type")
    }
}

impl<D> Rules for TypedRules<D>
where
    D: Decider,
    D::Event: StoredEvents,
    D::State: Serialize + DeserializeOwned,
{
    fn context(&self) -> &Context {
        &self.context
    }

    fn commands(&self) -> &'static [&'static str] {
        D::Command::NAMES
    }

    fn parse(&self, name: &str, body: &[u8]) -> Result<Box<dyn Any + Send>, ParseError> {
        match D::Command::decode(name, body) {
            None => Err(ParseError::UnknownCommand),
            Some(Err(malformed)) => Err(ParseError::Malformed(malformed)),
            Some(Ok(command)) => Ok(Box::new(command)),
        }
    }

    fn default_state(&self) -> State {
        Box::new(D::State::default())
    }

    fn decide(
        &self,
        state: &dyn Any,
        command: Box<dyn Any + Send>,
        situation: &Situation<'_>,
    ) -> Result<Vec<Decided>, Refused> {
        let command = *command
            .downcast::<D::Command>()
            .expect("parsed by the same rules");
        caught(|| {
            let events = D::decide(Self::state(state), command, situation).map_err(rejected)?;
            events
                .into_iter()
                .map(encoded)
                .collect::<Result<_, _>>()
                .map_err(|error| Refused::Failed(format!("an event has no JSON form: {error}")))
        })
        .unwrap_or_else(|panicked| Err(Refused::Failed(panicked)))
    }

    fn evolve(&self, state: &mut dyn Any, decided: &[Decided]) -> Result<(), String> {
        let state = Self::state_mut(state);
        caught(|| {
            for decided in decided {
                let event = decided
                    .event
                    .downcast_ref()
                    .expect("decided by the same rules");
                D::evolve(state, event);
            }
        })
    }

    fn evolve_recorded(
        &self,
        state: &mut dyn Any,
        event: &Event,
        catalog: &Catalog,
    ) -> Result<(), DataError> {
        let state = Self::state_mut(state);
        caught(|| {
            let event = catalog.read::<D::Event>(event)?;
            D::evolve(state, &event);
            Ok(())
        })
        .unwrap_or_else(|panicked| Err(DataError(panicked)))
    }

    fn revision(&self) -> u32 {
        D::STATE_REVISION
    }

    fn save(&self, state: &dyn Any) -> Result<Box<RawValue>, String> {
        caught(|| to_raw_value(Self::state(state)))?.map_err(|error| error.to_string())
    }

    fn load(&self, saved: &[u8]) -> Result<State, String> {
        let state = caught(|| serde_json::from_slice::<D::State>(saved))?;
        Ok(Box::new(state.map_err(|error| error.to_string())?))
    }
}

fn rejected(rejection: impl Rejection) -> Refused {
    Refused::Rejected {
        code: rejection.code(),
        kind: rejection.kind(),
        message: rejection.to_string(),
    }
}

fn encoded<E: StoredEvents>(event: E) -> serde_json::Result<Decided> {
    let mut data = Vec::with_capacity(512);
    event.write_data(&mut data)?;
    Ok(Decided {
        type_name: event.type_name(),
        data: data.into(),
        event: Box::new(event),
    })
}

/// A panic of the application's code, in whatever it implements, concerns one user; it must not
/// take the lane with it.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        format!(
            "panicked: {}",
            text.as_deref().unwrap_or("without a message")
        )
    })
}
