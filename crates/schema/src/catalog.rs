//! Every stored type that a binary knows, and what its current form is.

use std::collections::BTreeMap;

use foldline_kernel::Context;
use serde_json::Value;

use crate::{DataError, Event, StoredEvents, TypeDescription};

/// How an older shape is read as a newer one.
#[derive(Clone)]
pub struct Upcast {
    /// The older type.
    pub from: TypeDescription,
    /// The name of the newer type, which may itself be upcast further.
    pub to: &'static str,
    /// Turns the older `data` into the newer. It MUST be pure; an error holds back that user.
    pub convert: fn(Value) -> Result<Value, String>,
}

impl std::fmt::Debug for Upcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upcast({} => {})", self.from.name, self.to)
    }
}

/// A stored type: where it belongs, its schema, and whether it is an older shape.
#[derive(Clone, Debug)]
pub struct StoredType {
    /// The stored name.
    pub name: &'static str,
    /// The context whose events have it.
    pub context: Context,
    /// The JSON Schema of its `data`.
    pub schema: Value,
    upcast: Option<Upcast>,
}

impl StoredType {
    /// Tells whether events of this type are still appended (an older shape is only read).
    pub fn is_current(&self) -> bool {
        self.upcast.is_none()
    }
}

/// A type that this binary does not know: a newer writer is at work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the type `{type_name}` in context `{context}` is unknown to this version of the program")]
pub struct UnknownType {
    /// The context of the event.
    pub context: Context,
    /// Its stored type.
    pub type_name: String,
}

/// The current form of an event: the type's name and its `data`.
#[derive(Debug)]
pub struct CurrentData {
    /// The name of the current type.
    pub type_name: &'static str,
    /// `data` in the current shape.
    pub data: Value,
}

/// Every stored type of an application, current and older.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    types: BTreeMap<&'static str, StoredType>,
}

impl Catalog {
    /// Adds the types of one context.
    ///
    /// # Panics
    /// When a name is taken already, or an upcast leads nowhere: faults of the application's
    /// wiring that its first start shows.
    #[must_use]
    pub fn with<E: StoredEvents>(mut self, context: &Context) -> Self {
        for TypeDescription { name, schema } in E::types() {
            self.add(StoredType {
                name,
                context: context.clone(),
                schema,
                upcast: None,
            });
        }
        for upcast in E::upcasts() {
            let TypeDescription { name, schema } = upcast.from.clone();
            let upcast = Some(upcast);
            self.add(StoredType {
                name,
                context: context.clone(),
                schema,
                upcast,
            });
        }
        for upcast in E::upcasts() {
            assert!(
                self.types.contains_key(upcast.to),
                "`{}` is no stored type",
                upcast.to
            );
        }
        self
    }

    fn add(&mut self, stored: StoredType) {
        let name = stored.name;
        assert!(
            self.types.insert(name, stored).is_none(),
            "`{name}` is declared twice"
        );
    }

    /// Returns every type, by name.
    pub fn types(&self) -> impl Iterator<Item = &StoredType> {
        self.types.values()
    }

    /// Returns a type by its stored name.
    pub fn get(&self, name: &str) -> Option<&StoredType> {
        self.types.get(name)
    }

    /// Returns the name of the current type that a stored type is read as.
    ///
    /// # Errors
    /// When the binary does not know the type, or knows it in another context.
    pub fn current_type(&self, event: &Event) -> Result<&'static str, UnknownType> {
        self.types
            .get(event.type_name.as_ref())
            .filter(|stored| stored.context == event.context)
            .map(|stored| self.current_of(stored).name)
            .ok_or_else(|| UnknownType {
                context: event.context.clone(),
                type_name: event.type_name.to_string(),
            })
    }

    /// Returns the name of the current type that a stored type is read as, itself where it is
    /// current; `None` where the type is not known.
    pub fn current_name(&self, name: &str) -> Option<&'static str> {
        self.types
            .get(name)
            .map(|stored| self.current_of(stored).name)
    }

    fn current_of<'a>(&'a self, mut stored: &'a StoredType) -> &'a StoredType {
        while let Some(upcast) = &stored.upcast {
            stored = &self.types[upcast.to];
        }
        stored
    }

    /// Returns an event's data in its current form, upcast where it is older.
    ///
    /// # Errors
    /// When `data` is unreadable or cannot be upcast: that concerns its user alone. A type that
    /// is not known is an error of [`Self::current_type`], which comes first.
    pub fn current(&self, event: &Event) -> Result<CurrentData, DataError> {
        let mut stored = self
            .types
            .get(event.type_name.as_ref())
            .ok_or_else(|| DataError(format!("the type `{}` is unknown", event.type_name)))?;
        let mut data = event.json()?;
        while let Some(upcast) = &stored.upcast {
            data = (upcast.convert)(data).map_err(|trouble| {
                DataError(format!(
                    "no `{}` from `{}`: {trouble}",
                    upcast.to, stored.name
                ))
            })?;
            stored = &self.types[upcast.to];
        }
        Ok(CurrentData {
            type_name: stored.name,
            data,
        })
    }

    /// Reads an event as its context's enum, upcast where it is older.
    ///
    /// # Errors
    /// When `data` does not have its type's shape.
    pub fn read<E: StoredEvents>(&self, event: &Event) -> Result<E, DataError> {
        if self
            .get(&event.type_name)
            .is_none_or(StoredType::is_current)
        {
            return E::read_data(&event.type_name, &event.data).unwrap_or_else(|| {
                Err(DataError(format!(
                    "the type `{}` is unknown",
                    event.type_name
                )))
            });
        }
        let current = self.current(event)?;
        let data = current.data.to_string();
        E::read_data(current.type_name, data.as_bytes()).unwrap_or_else(|| {
            Err(DataError(format!(
                "the type `{}` is of another context",
                current.type_name
            )))
        })
    }
}
