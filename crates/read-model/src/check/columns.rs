//! The columns: their names, their types, and the one role that each has.

use std::{ops::Range, sync::Arc};

use super::Checker;
use crate::{
    Column, ColumnType, Derived, Model, Role, Scope,
    definition::{Entries, Formula, Text},
    suggest::did_you_mean,
};

/// The most columns of one read model.
pub(super) const COLUMNS_MAX: usize = 100;

const TYPES: [(&str, ColumnType); 6] = [
    ("uuid", ColumnType::Uuid),
    ("text", ColumnType::Text),
    ("bigint", ColumnType::Bigint),
    ("bool", ColumnType::Bool),
    ("time", ColumnType::Time),
    ("json", ColumnType::Json),
];

/// A column as the file declares it.
pub(super) struct Declared {
    pub(super) name: Text,
    pub(super) column_type: ColumnType,
    /// Whether the type was not understood, so that nothing is to be said about it again.
    pub(super) broken: bool,
    /// What happens to it, and where that is first said.
    pub(super) role: Option<(Role, Range<usize>)>,
}

impl Declared {
    /// Returns the column; one that nothing fills has been told of already.
    pub(super) fn column(&self) -> Column {
        Column {
            name: Arc::from(self.name.get_ref().as_str()),
            column_type: self.column_type,
            role: self.role.as_ref().map_or(Role::Set, |(role, _)| *role),
        }
    }
}

impl Checker<'_, '_> {
    /// Reads `[columns]`.
    pub(super) fn columns(&mut self) {
        for (name, type_name) in self.definition.columns.iter() {
            self.name(name, "a column");
            let text = type_name.get_ref().as_str();
            let known = TYPES.iter().find(|(known, _)| *known == text);
            if known.is_none() {
                let names = TYPES.map(|(name, _)| name);
                let help = did_you_mean(text, names)
                    .unwrap_or_else(|| format!("the types are {}", super::list(&names)));
                let trouble = format!("there is no type `{text}`");
                self.troubles.add(type_name.span(), trouble, help);
            }
            self.columns.push(Declared {
                name: name.clone(),
                column_type: known.map_or(ColumnType::Text, |(_, column_type)| *column_type),
                broken: known.is_none(),
                role: None,
            });
        }
        if let Some(beyond) = self.columns.get(COLUMNS_MAX) {
            let trouble = format!("a read model has at most {COLUMNS_MAX} columns");
            let help = "keep what belongs together in one column of type json";
            self.troubles.add(beyond.name.span(), trouble, help);
        }
    }

    pub(super) fn declared(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.get_ref() == name)
    }

    /// Gives every column the role that the operations on it say.
    pub(super) fn roles(&mut self) {
        let definition = self.definition;
        for (_, on) in definition.on.iter() {
            for (role, entries) in [
                (Role::Set, &on.set),
                (Role::Add, &on.add),
                (Role::Max, &on.max),
                (Role::Min, &on.min),
            ] {
                self.operation(role, entries);
            }
            if let Some(delete) = &on.delete
                && self.scope == Scope::Shared
                && *delete.get_ref()
            {
                self.troubles.add(
                    delete.span(),
                    "a shared row cannot be deleted exactly: one user may write it before or \
                     after another deletes it",
                    "keep the row and count it down with `add`, or use scope = \"user\"",
                );
            }
        }
    }

    fn operation(&mut self, role: Role, entries: &Entries<Formula>) {
        for (name, _) in entries.iter() {
            match self.declared(name.get_ref()) {
                Some(column) => self.assign(role, column, name),
                None => self.no_column(name.get_ref(), name.span()),
            }
        }
        if role == Role::Set && self.scope == Scope::Shared && !entries.is_empty() {
            let (name, _) = entries.iter().next().expect("it is not empty");
            self.troubles.add(
                name.span(),
                "a shared row cannot be `set` exactly: two users may write the same row in \
                 either order",
                "use `max`, `min` or `add`, or scope = \"user\"",
            );
        }
    }

    fn assign(&mut self, role: Role, column: usize, name: &Text) {
        let declared = &mut self.columns[column];
        match &declared.role {
            None => declared.role = Some((role, name.span())),
            Some((known, _)) if *known == role => return,
            Some((known, first)) => {
                let (known, is_key) = (*known, matches!(known, Role::Key { .. }));
                let text = name.get_ref();
                let (trouble, help) = if is_key {
                    (
                        format!("`{text}` is part of the key, which `row` alone fills"),
                        "remove it here".to_owned(),
                    )
                } else {
                    let line = self.troubles.line(first.start);
                    (
                        format!(
                            "`{text}` has two roles, `{}` in line {line} and `{}` here: their \
                             order would depend on how events are batched",
                            word(known),
                            word(role),
                        ),
                        "use a column for each".to_owned(),
                    )
                };
                self.troubles.add(name.span(), trouble, help);
                return;
            }
        }
        self.role_fits(role, column, name);
    }

    fn role_fits(&mut self, role: Role, column: usize, name: &Text) {
        let Declared {
            column_type,
            broken,
            ..
        } = self.columns[column];
        let (fits, help) = match role {
            Role::Add => (column_type == ColumnType::Bigint, "sums are of type bigint"),
            Role::Max | Role::Min => (
                !matches!(column_type, ColumnType::Uuid | ColumnType::Json),
                "the greatest and the least are of type bigint, time, text or bool",
            ),
            Role::Set | Role::Key { .. } => (true, ""),
        };
        if !fits && !broken {
            let trouble = format!(
                "`{}` cannot go to `{}`, which is {column_type}",
                word(role),
                name.get_ref()
            );
            self.troubles.add(name.span(), trouble, help);
        }
    }

    /// Tells of columns that would be null for ever.
    pub(super) fn unfilled(&mut self) {
        let definition = self.definition;
        for column in &self.columns {
            let name = column.name.get_ref();
            let in_row = || {
                definition
                    .on
                    .iter()
                    .any(|(_, on)| on.row.get(name).is_some())
            };
            let excused = !self.key_is_sound && (definition.row.get(name).is_some() || in_row());
            if column.role.is_none() && !excused {
                let trouble = format!("nothing fills the column `{name}`");
                let help = format!("set it in some [on.…], as in set = {{ {name} = … }}");
                self.troubles.add(column.name.span(), trouble, help);
            }
        }
    }

    /// Reads `[derived]`: one bigint divided by another.
    pub(super) fn derived(&mut self, model: &Model) -> Vec<Derived> {
        let mut derived = Vec::new();
        for (name, quotient) in self.definition.derived.iter() {
            if !self.name(name, "a derived value") {
                continue;
            }
            if self.declared(name.get_ref()).is_some() {
                let trouble = format!("`{}` is a column already", name.get_ref());
                self.troubles.add(name.span(), trouble, None);
                continue;
            }
            let sides = quotient.get_ref().split_once('/');
            let Some((dividend, divisor)) = sides else {
                let help = "write it as in mean = \"score_sum / reviews\"";
                let trouble = "a derived value is one column divided by another";
                self.troubles.add(quotient.span(), trouble, help);
                continue;
            };
            let dividend = self.bigint(model, dividend.trim(), quotient);
            let divisor = self.bigint(model, divisor.trim(), quotient);
            if let (Some(dividend), Some(divisor)) = (dividend, divisor) {
                derived.push(Derived {
                    name: Arc::from(name.get_ref().as_str()),
                    dividend,
                    divisor,
                });
            }
        }
        derived
    }

    fn bigint(&mut self, model: &Model, name: &str, at: &Text) -> Option<usize> {
        let Some(declared) = self.declared(name) else {
            self.no_column(name, at.span());
            return None;
        };
        let Declared {
            column_type,
            broken,
            ..
        } = self.columns[declared];
        if column_type != ColumnType::Bigint && !broken {
            let trouble = format!("`{name}` is {column_type}, and only bigints are divided");
            self.troubles.add(at.span(), trouble, None);
        }
        model.column(name)
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Key { .. } => "row",
        Role::Set => "set",
        Role::Add => "add",
        Role::Max => "max",
        Role::Min => "min",
    }
}
