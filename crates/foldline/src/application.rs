//! What an application is made of.

use std::{collections::BTreeMap, sync::Arc};

use foldline_command::Contexts;
use foldline_kernel::{Context, Decider};
use foldline_schema::StoredEvents;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::definitions::Definitions;

/// An application: a name, its contexts, its read models.
///
/// ```
/// # use foldline::kernel::{Decider, Situation};
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// pub struct Rename { name: String }
/// #[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// pub struct Renamed { name: String }
///
/// foldline::kernel::commands! { pub enum BoatCommand { "rename" => Rename(Rename) } }
/// foldline::schema::stored_events! { pub enum BoatEvent { "boat.renamed.v1" => Renamed(Renamed) } }
/// foldline::kernel::rejections! {
///     pub enum BoatRejection { Impossible "name-empty" => NameEmpty "a boat needs a name" }
/// }
///
/// struct Boats;
/// impl Decider for Boats {
///     const CONTEXT: &'static str = "boats";
///     const STATE_REVISION: u32 = 1;
///     type State = ();
///     type Command = BoatCommand;
///     type Event = BoatEvent;
///     type Rejection = BoatRejection;
///
///     fn decide((): &(), command: BoatCommand, _: &Situation<'_>) -> Result<Vec<BoatEvent>, BoatRejection> {
///         let BoatCommand::Rename(Rename { name }) = command;
///         if name.is_empty() { return Err(BoatRejection::NameEmpty) }
///         Ok(vec![Renamed { name }.into()])
///     }
///     fn evolve((): &mut (), _: &BoatEvent) {}
/// }
///
/// let application = foldline::Application::new("harbour").context::<Boats>();
/// assert_eq!(application.schemas().len(), 1);
/// ```
pub struct Application {
    name: &'static str,
    contexts: Contexts,
    read_models: Vec<(String, String)>,
    try_next: &'static str,
}

impl Application {
    /// Names an application; the name is that of its log and the first part of every `source`.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            contexts: Contexts::default(),
            read_models: Vec::new(),
            try_next: "",
        }
    }

    /// Adds a bounded context.
    ///
    /// # Panics
    /// When its name or one of its stored types is taken: a fault that the first start shows.
    #[must_use]
    pub fn context<D>(mut self) -> Self
    where
        D: Decider,
        D::Event: StoredEvents,
        D::State: Serialize + DeserializeOwned,
    {
        self.contexts = self.contexts.with::<D>();
        self
    }

    /// Adds a read model: the name of its file and its text.
    #[must_use]
    pub fn read_model(mut self, file: impl Into<String>, text: impl Into<String>) -> Self {
        self.read_models.push((file.into(), text.into()));
        self
    }

    /// Says what a newcomer can paste into a terminal; `{url}` becomes the node's address.
    #[must_use]
    pub fn try_next(mut self, text: &'static str) -> Self {
        self.try_next = text;
        self
    }

    /// Returns the application's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the JSON Schema of every stored type, by name.
    pub fn schemas(&self) -> BTreeMap<String, Value> {
        let types = self.contexts.catalog().types();
        types
            .map(|stored| (stored.name.to_owned(), stored.schema.clone()))
            .collect()
    }

    pub(crate) fn try_next_text(&self) -> &'static str {
        self.try_next
    }

    pub(crate) fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    pub(crate) fn log_name(&self) -> anyhow::Result<Context> {
        Ok(self.name.parse()?)
    }

    pub(crate) fn into_parts(self) -> (Arc<Contexts>, Definitions) {
        let contexts = Arc::new(self.contexts);
        let catalog = Arc::new(contexts.catalog().clone());
        (contexts, Definitions::new(self.read_models, catalog))
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application")
            .field("name", &self.name)
            .field("contexts", &self.contexts)
            .finish_non_exhaustive()
    }
}
