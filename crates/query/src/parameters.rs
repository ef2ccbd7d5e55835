//! From the parameters of a request to what is selected.

use std::collections::BTreeSet;

use foldline_kernel::{Caller, UserId};
use foldline_read_model::{
    Access, Field, Filter, FilterKind, Model, Order, PAGE_MAX, Query, Value, query_words,
};
use foldline_tables::{Condition, Words};

use crate::{
    QueryError,
    access::{self, Whose},
    rendering, value,
    value::Fnv,
};

/// What a request asks of one generation.
#[derive(Debug)]
pub(crate) struct Asked<'m> {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) words: Option<Words>,
    pub(crate) order: &'m Order,
    pub(crate) limit: u32,
    pub(crate) fields: Vec<Field>,
    /// The one user whose rows are asked for, where it is one.
    pub(crate) user: Option<UserId>,
    /// A hash of query, filters and order: what a cursor has to agree with.
    pub(crate) hash: String,
}

/// The parameters that no column has.
const LIMIT: &str = "limit";
const CURSOR: &str = "cursor";
const FIELDS: &str = "fields";
const ORDER: &str = "order";
const TEXT: &str = "text";

/// Returns the cursor of a request, before its generation is known.
pub(crate) fn cursor(parameters: &[(String, String)]) -> Option<&str> {
    let mut cursors = parameters.iter().filter(|(name, _)| name == CURSOR);
    cursors.next().map(|(_, value)| value.as_str())
}

/// Reads the parameters of a request.
pub(crate) fn read<'m>(
    model: &'m Model,
    query: &'m Query,
    parameters: &[(String, String)],
    caller: &Caller,
) -> Result<Asked<'m>, QueryError> {
    let whose = access::check(query, caller)?;
    let given = Given {
        model,
        query,
        parameters,
    };
    given.check_names()?;
    let mut conditions = Vec::new();
    for filter in &query.filters {
        given.filter(filter, &mut conditions)?;
    }
    given.user(whose, caller, &mut conditions)?;
    given.check_required(&conditions)?;
    let only = query.only.iter().cloned();
    conditions.extend(only.map(|(column, value)| Condition::Eq(column, value)));
    let words = given.words()?;
    let order = given.order()?;
    Ok(Asked {
        user: user_of(model, &conditions),
        hash: hash(query, &conditions, words.as_ref(), order),
        limit: given.limit()?,
        fields: given.fields()?,
        conditions,
        words,
        order,
    })
}

struct Given<'m, 'p> {
    model: &'m Model,
    query: &'m Query,
    parameters: &'p [(String, String)],
}

impl<'m> Given<'m, '_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        let found = all.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every name is known and comes once.
    fn check_names(&self) -> Result<(), QueryError> {
        let known = self.known();
        let mut seen = BTreeSet::new();
        for (name, _) in self.parameters {
            if !known.contains(name) {
                return Err(QueryError::UnknownParameter {
                    name: name.clone(),
                    known,
                });
            }
            if !seen.insert(name) {
                return Err(QueryError::DuplicateParameter { name: name.clone() });
            }
        }
        Ok(())
    }

    fn known(&self) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for filter in &self.query.filters {
            known.extend(self.names(filter));
        }
        if let Some((name, _)) = access::user_parameter(self.model, self.query)
            && !known.iter().any(|known| known == name)
        {
            known.push(name.to_owned());
        }
        if !self.query.text.is_empty() {
            known.push(TEXT.to_owned());
        }
        known.extend([ORDER, LIMIT, CURSOR, FIELDS].map(str::to_owned));
        known
    }

    fn names(&self, filter: &Filter) -> Vec<String> {
        let name = &self.model.columns[filter.column].name;
        match filter.kind {
            FilterKind::Eq => vec![name.to_string()],
            FilterKind::Range => vec![format!("{name}_from"), format!("{name}_to")],
        }
    }

    fn filter(&self, filter: &Filter, into: &mut Vec<Condition>) -> Result<(), QueryError> {
        let conditions: &[fn(usize, Value) -> Condition] = match filter.kind {
            FilterKind::Eq => &[Condition::Eq],
            FilterKind::Range => &[Condition::AtLeast, Condition::AtMost],
        };
        for (name, condition) in self.names(filter).iter().zip(conditions) {
            if let Some(value) = self.value(name, filter.column)? {
                into.push(condition(filter.column, value));
            }
        }
        Ok(())
    }

    fn value(&self, name: &str, column: usize) -> Result<Option<Value>, QueryError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let parsed = value::parse(self.model.columns[column].column_type, text);
        parsed
            .map(Some)
            .map_err(|trouble| QueryError::MalformedParameter {
                name: name.to_owned(),
                value: text.to_owned(),
                trouble,
            })
    }

    /// Holds an owner query to the user it may be about.
    fn user(
        &self,
        whose: Whose,
        caller: &Caller,
        conditions: &mut Vec<Condition>,
    ) -> Result<(), QueryError> {
        let Some((name, column)) = access::user_parameter(self.model, self.query) else {
            return Ok(());
        };
        let declared = self
            .query
            .filters
            .iter()
            .any(|filter| filter.column == column);
        let named = self.value(name, column)?;
        let user = match (whose, &named) {
            (Whose::Only(user), Some(named)) if *named != Value::Uuid(user.0) => {
                return Err(QueryError::NotAllowed {
                    query: self.query.name.to_string(),
                    of_another: true,
                });
            }
            (Whose::Only(user), _) => Value::Uuid(user.0),
            (Whose::Everybody, Some(named)) => named.clone(),
            // Staff that is a user, too, and asks for its own list without naming anybody.
            (Whose::Everybody, None) => match caller.user.filter(|_| declared) {
                Some(user) => Value::Uuid(user.0),
                None => return Ok(()),
            },
        };
        if !(declared && named.is_some()) {
            conditions.push(Condition::Eq(column, user));
        }
        Ok(())
    }

    fn check_required(&self, conditions: &[Condition]) -> Result<(), QueryError> {
        for filter in self.query.filters.iter().filter(|filter| !filter.optional) {
            let held = conditions
                .iter()
                .any(|condition| matches!(condition, Condition::Eq(column, _) if *column == filter.column));
            let missing = self
                .names(filter)
                .into_iter()
                .find(|name| self.get(name).is_none());
            if let (false, Some(name)) = (held, missing) {
                return Err(QueryError::MissingParameter { name });
            }
        }
        Ok(())
    }

    fn words(&self) -> Result<Option<Words>, QueryError> {
        let text = self.get(TEXT).unwrap_or_default();
        if text.trim().is_empty() {
            return Ok(None);
        }
        let words = query_words(text);
        if words.is_empty() {
            return Err(QueryError::MalformedParameter {
                name: TEXT.to_owned(),
                value: text.to_owned(),
                trouble: "it has no word".into(),
            });
        }
        Ok(Some(Words {
            columns: self.query.text.clone(),
            words,
        }))
    }

    fn order(&self) -> Result<&'m Order, QueryError> {
        let orders = &self.query.orders;
        let Some(name) = self.get(ORDER) else {
            return Ok(orders.first().expect("a checked query has an order"));
        };
        let found = orders.iter().find(|order| order.name.as_ref() == name);
        found.ok_or_else(|| QueryError::UnknownOrder {
            name: name.to_owned(),
            known: orders.iter().map(|order| order.name.to_string()).collect(),
        })
    }

    fn limit(&self) -> Result<u32, QueryError> {
        let Some(text) = self.get(LIMIT) else {
            return Ok(self.query.page);
        };
        let limit = text
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_MAX).contains(limit));
        limit.ok_or_else(|| QueryError::LimitOutOfRange {
            value: text.to_owned(),
            max: PAGE_MAX,
        })
    }

    /// The fields asked for, in the order in which the query declares them.
    fn fields(&self) -> Result<Vec<Field>, QueryError> {
        let Some(list) = self.get(FIELDS) else {
            return Ok(self.query.fields.clone());
        };
        let name = |field: &Field| rendering::name(self.model, *field);
        let asked: Vec<_> = list.split(',').map(str::trim).collect();
        for asked in &asked {
            if !self.query.fields.iter().any(|field| name(field) == *asked) {
                return Err(QueryError::UnknownField {
                    name: (*asked).to_owned(),
                    known: self
                        .query
                        .fields
                        .iter()
                        .map(|f| name(f).to_owned())
                        .collect(),
                });
            }
        }
        let fields = self.query.fields.iter().copied();
        Ok(fields
            .filter(|field| asked.contains(&name(field)))
            .collect())
    }
}

fn user_of(model: &Model, conditions: &[Condition]) -> Option<UserId> {
    conditions.iter().find_map(|condition| match condition {
        Condition::Eq(column, Value::Uuid(user)) if Some(*column) == model.user_column => {
            Some(UserId(*user))
        }
        _ => None,
    })
}

/// Hashes what makes two requests pages of one list; `limit` and `fields` may differ.
fn hash(query: &Query, conditions: &[Condition], words: Option<&Words>, order: &Order) -> String {
    let mut hash = Fnv::new();
    let mut add = |text: &str| {
        hash.add(&(text.len() as u64).to_le_bytes());
        hash.add(text.as_bytes());
    };
    add(&query.name);
    add(&order.name);
    for condition in conditions {
        let (sign, column, value) = match condition {
            Condition::Eq(column, value) => ("=", column, value),
            Condition::AtLeast(column, value) => (">", column, value),
            Condition::AtMost(column, value) => ("<", column, value),
        };
        add(sign);
        add(&column.to_string());
        add(&value.to_string());
    }
    for word in words.iter().flat_map(|words| &words.words) {
        add(word);
    }
    // Who may see the rows is among the conditions, so one user's cursor is no other's.
    add(if query.access == Access::Public {
        "public"
    } else {
        "held"
    });
    hash.hex()
}
