//! The declared queries: what may be asked, and whether the table can answer it from an index.

mod filters;
mod orders;

use std::sync::Arc;

use super::Checker;
use crate::{
    Access, ColumnType, Field, Model, PAGE_MAX, Query, Scope, TableKind, Value,
    definition::{self, Text, Texts},
    suggest::{did_you_mean, nearest},
};

/// How many rows a page has where the file does not say.
const PAGE_DEFAULT: u32 = 100;

impl Checker<'_, '_> {
    /// Reads every `[[query]]`.
    pub(super) fn queries(&mut self, model: &Model) -> Vec<Query> {
        let definition = self.definition;
        let mut queries: Vec<Query> = Vec::new();
        for query in &definition.query {
            let checked = self.query(model, query.get_ref());
            if queries.iter().any(|known| known.name == checked.name) {
                let name = &query.get_ref().name;
                let trouble = format!("there are two queries `{}`", name.get_ref());
                self.troubles.add(name.span(), trouble, None);
            }
            queries.push(checked);
        }
        queries
    }

    fn query(&mut self, model: &Model, query: &definition::Query) -> Query {
        self.name(&query.name, "a query");
        let filters = self.filters(model, query);
        Query {
            name: Arc::from(query.name.get_ref().as_str()),
            filters,
            only: self.only(model, query),
            text: self.text(model, query),
            orders: self.orders(model, query),
            page: self.page(query),
            fields: self.fields(model, query),
            access: self.access(query),
        }
    }

    fn only(&mut self, model: &Model, query: &definition::Query) -> Vec<(usize, Value)> {
        let mut only = Vec::new();
        for (name, value) in query.only.iter() {
            let Some(column) = self.filtered(model, name) else {
                continue;
            };
            if self.table == TableKind::Wide {
                self.not_on_wide(name, "`only`");
            }
            let column_type = model.columns[column].column_type;
            match constant(column_type, value.get_ref()) {
                Some(value) => only.push((column, value)),
                None => {
                    let written = value.get_ref();
                    let trouble =
                        format!("{written} is no {column_type}, as `{}` is", name.get_ref());
                    self.troubles.add(value.span(), trouble, None);
                }
            }
        }
        only
    }

    fn text(&mut self, model: &Model, query: &definition::Query) -> Vec<usize> {
        let names = query.text.as_ref().map(Texts::all).unwrap_or_default();
        let mut columns = Vec::new();
        for name in &names {
            if self.table == TableKind::Wide {
                self.not_on_wide(name, "`text`");
            }
            let Some(column) = self.known_column(model, name) else {
                continue;
            };
            let column_type = model.columns[column].column_type;
            if column_type == ColumnType::Text {
                columns.push(column);
            } else {
                let trouble = format!(
                    "words are searched in texts, and `{}` is {column_type}",
                    name.get_ref()
                );
                self.troubles.add(name.span(), trouble, None);
            }
        }
        columns
    }

    fn not_on_wide(&mut self, at: &Text, what: &str) {
        let trouble = format!("a wide table has no index for {what}");
        let help = "use table = \"relational\", or a read model whose key says it";
        self.troubles.add(at.span(), trouble, help);
    }

    fn page(&mut self, query: &definition::Query) -> u32 {
        let Some(page) = &query.page else {
            return PAGE_DEFAULT;
        };
        match u32::try_from(*page.get_ref()) {
            Ok(rows) if (1..=PAGE_MAX).contains(&rows) => rows,
            _ => {
                let trouble = format!("a page has 1 to {PAGE_MAX} rows");
                self.troubles.add(page.span(), trouble, None);
                PAGE_DEFAULT
            }
        }
    }

    fn fields(&mut self, model: &Model, query: &definition::Query) -> Vec<Field> {
        let Some(fields) = &query.fields else {
            let columns = self.definition.columns.names();
            let columns = columns
                .filter_map(|name| model.column(name))
                .map(Field::Column);
            let derived = (0..model.derived.len()).map(Field::Derived);
            return columns.chain(derived).collect();
        };
        let mut found = Vec::new();
        for name in Texts::all(fields) {
            let Some(field) = self.field(model, &name, name.get_ref()) else {
                continue;
            };
            if found.contains(&field) {
                let trouble = format!("`{}` is named twice", name.get_ref());
                self.troubles.add(name.span(), trouble, None);
                continue;
            }
            found.push(field);
        }
        found
    }

    /// Finds a visible column or a derived value.
    fn field(&mut self, model: &Model, at: &Text, name: &str) -> Option<Field> {
        let mut derived = model.derived.iter();
        if let Some(derived) = derived.position(|derived| derived.name.as_ref() == name) {
            return Some(Field::Derived(derived));
        }
        match model.column(name).filter(|_| !name.starts_with('_')) {
            Some(column) => Some(Field::Column(column)),
            // One that was refused above is not missing here.
            None if self.definition.derived.get(name).is_some() => None,
            None => {
                self.no_column(name, at.span());
                None
            }
        }
    }

    fn access(&mut self, query: &definition::Query) -> Access {
        let words = ["owner", "staff", "public"];
        let Some(access) = &query.access else {
            let name = &query.name;
            let trouble = format!("nothing says who may ask `{}`", name.get_ref());
            let help = "add access = \"owner\" (the user whose rows they are), \"staff\", \
                        \"public\", or the name of a role";
            self.troubles.add(name.span(), trouble, help);
            return Access::Staff;
        };
        match access.get_ref().as_str() {
            "owner" if self.scope == Scope::Shared => {
                let help = "use \"staff\", \"public\" or a role, or scope = \"user\"";
                let trouble = "a shared row has no owner";
                self.troubles.add(access.span(), trouble, help);
                Access::Owner
            }
            "owner" => Access::Owner,
            "staff" => Access::Staff,
            "public" => Access::Public,
            role => {
                if nearest(role, words).is_some() {
                    let help = did_you_mean(role, words);
                    let trouble = format!("`{role}` looks like a slip, not like a role");
                    self.troubles.add(access.span(), trouble, help);
                } else {
                    self.name(access, "a role");
                }
                Access::Role(Arc::from(role))
            }
        }
    }
}

/// Reads a constant of the file as a column's value.
fn constant(column_type: ColumnType, value: &toml::Value) -> Option<Value> {
    match (column_type, value) {
        (ColumnType::Bool, toml::Value::Boolean(yes)) => Some(Value::Bool(*yes)),
        (ColumnType::Bigint, toml::Value::Integer(number)) => Some(Value::Bigint(*number)),
        (ColumnType::Text, toml::Value::String(text)) => Some(Value::Text(text.as_str().into())),
        (ColumnType::Uuid, toml::Value::String(text)) => {
            uuid::Uuid::try_parse(text).ok().map(Value::Uuid)
        }
        (ColumnType::Time, toml::Value::String(text)) => text.parse().ok().map(Value::Time),
        (ColumnType::Time, toml::Value::Datetime(time)) => {
            time.to_string().parse().ok().map(Value::Time)
        }
        _ => None,
    }
}
