//! From a selection to SQL: conditions, words, a total order, and where to continue.
//!
//! A page continues after a row with the values `(a, b, c)` of the order's terms. What follows it
//! is, in this order, `a = and b = and c after`, then `a = and b after`, then `a after`: one
//! *stretch* each, and each is a seek in an index whose first columns are held equal. One
//! condition with `or` between them would mean the same and read from the start every time.

use foldline_read_model::{Field, Model, OrderTerm, Role, Value};
use sqlx::{Arguments, sqlite::SqliteArguments};

use super::{schema, value};
use crate::{Condition, OrderValue, Select, Words};

/// One statement whose rows come in order; all rows of one stretch come before the next one's.
/// Its last parameter, the most rows to return, is left to the caller.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) sql: String,
    pub(crate) arguments: SqliteArguments,
}

/// Where a stretch lies.
struct Bounds<'a> {
    /// The first terms are equal to these.
    equal: &'a [OrderValue],
    /// The next term is beyond this.
    beyond: Option<Beyond<'a>>,
}

#[derive(Clone, Copy)]
enum Beyond<'a> {
    Value(&'a OrderValue),
    OnlyNull,
}

/// Returns the statements that yield the rows of a selection, one after another.
pub(crate) fn stretches(
    model: &Model,
    select: &Select,
    columns: &str,
) -> Result<Vec<Stretch>, sqlx::Error> {
    let order = open_terms(select);
    let terms: Vec<_> = order.iter().map(|(term, _)| *term).collect();
    let statement = |bounds: &Bounds<'_>| statement(model, select, &terms, bounds, columns);
    if select.after.is_none() {
        let all = Bounds {
            equal: &[],
            beyond: None,
        };
        return Ok(vec![statement(&all)?]);
    }
    let after: Vec<_> = order.into_iter().filter_map(|(_, value)| value).collect();
    let mut stretches = Vec::new();
    for place in (0..terms.len()).rev() {
        for beyond in beyond(model, terms[place], &after[place]) {
            stretches.push(statement(&Bounds {
                equal: &after[..place],
                beyond: Some(beyond),
            })?);
        }
    }
    Ok(stretches)
}

/// The terms that the conditions leave open, with the values to continue after.
fn open_terms(select: &Select) -> Vec<(OrderTerm, Option<OrderValue>)> {
    let fixed = |term: &OrderTerm| {
        select.conditions.iter().any(|condition| {
            matches!(condition, Condition::Eq(column, _) if term.field == Field::Column(*column))
        })
    };
    let after = |place: usize| select.after.as_ref().map(|after| after[place].clone());
    let terms = select.order.iter().enumerate();
    terms
        .filter(|(_, term)| !fixed(term))
        .map(|(place, term)| (*term, after(place)))
        .collect()
}

/// What lies beyond a value in the direction of a term. Null is the least value, so in descending
/// order it comes last, in a stretch of its own: no range in an index has both.
fn beyond<'a>(model: &Model, term: OrderTerm, value: &'a OrderValue) -> Vec<Beyond<'a>> {
    match (term.descending, is_null(value)) {
        (true, true) => vec![],
        (true, false) if may_be_null(model, term.field) => {
            vec![Beyond::Value(value), Beyond::OnlyNull]
        }
        _ => vec![Beyond::Value(value)],
    }
}

fn is_null(value: &OrderValue) -> bool {
    matches!(
        value,
        OrderValue::Column(Value::Null) | OrderValue::Derived(None)
    )
}

fn may_be_null(model: &Model, field: Field) -> bool {
    match field {
        Field::Column(column) => {
            !matches!(model.columns[column].role, Role::Key { .. } | Role::Add)
        }
        Field::Derived(_) => true,
    }
}

fn statement(
    model: &Model,
    select: &Select,
    terms: &[OrderTerm],
    bounds: &Bounds<'_>,
    columns: &str,
) -> Result<Stretch, sqlx::Error> {
    let mut sql = Conditions::default();
    for condition in &select.conditions {
        sql.condition(model, condition)?;
    }
    if let (true, Some(present)) = (select.present_only, model.present) {
        sql.text(format!("{} IS NOT NULL", schema::name(model, present)));
    }
    if let Some(words) = &select.words {
        sql.words(model, words)?;
    }
    for (term, value) in terms.iter().zip(bounds.equal) {
        let expression = schema::expression(model, term.field);
        sql.compare(&expression, if is_null(value) { "IS" } else { "=" }, value)?;
    }
    if let Some(beyond) = bounds.beyond {
        let term = terms[bounds.equal.len()];
        let expression = schema::expression(model, term.field);
        match beyond {
            Beyond::OnlyNull => sql.text(format!("{expression} IS NULL")),
            Beyond::Value(value) if is_null(value) => {
                sql.text(format!("{expression} IS NOT NULL"));
            }
            Beyond::Value(value) => {
                sql.compare(&expression, if term.descending { "<" } else { ">" }, value)?;
            }
        }
    }
    // What is held to one value is in order already.
    let held = bounds.equal.len() + usize::from(matches!(bounds.beyond, Some(Beyond::OnlyNull)));
    let order = &terms[held..];
    Ok(sql.finish(model, columns, order))
}

/// Conditions that all have to hold, and their parameters.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    arguments: SqliteArguments,
}

impl Conditions {
    fn text(&mut self, text: String) {
        self.texts.push(text);
    }

    fn condition(&mut self, model: &Model, condition: &Condition) -> Result<(), sqlx::Error> {
        let (column, operator, value) = match condition {
            Condition::Eq(column, value) => (column, "=", value),
            Condition::AtLeast(column, value) => (column, ">=", value),
            Condition::AtMost(column, value) => (column, "<=", value),
        };
        self.text(format!("{} {operator} ?", schema::name(model, *column)));
        value::bind(&mut self.arguments, value)
    }

    fn compare(
        &mut self,
        expression: &str,
        operator: &str,
        value: &OrderValue,
    ) -> Result<(), sqlx::Error> {
        self.text(format!("{expression} {operator} ?"));
        match value {
            OrderValue::Column(value) => value::bind(&mut self.arguments, value),
            OrderValue::Derived(value) => self.arguments.add(*value).map_err(sqlx::Error::Encode),
        }
    }

    /// Every word stands between spaces in one of the columns' word lists.
    fn words(&mut self, model: &Model, words: &Words) -> Result<(), sqlx::Error> {
        for word in &words.words {
            let mut places = Vec::new();
            for column in &words.columns {
                places.push(format!("instr({}, ?)", schema::words_name(model, *column)));
                let between_spaces = format!(" {word} ");
                self.arguments
                    .add(between_spaces)
                    .map_err(sqlx::Error::Encode)?;
            }
            self.text(format!("({})", places.join(" OR ")));
        }
        Ok(())
    }

    fn finish(self, model: &Model, columns: &str, order: &[OrderTerm]) -> Stretch {
        let mut sql = format!("SELECT {columns} FROM rows");
        if !self.texts.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.texts.join(" AND "));
        }
        let term = |term: &OrderTerm| {
            let direction = if term.descending { " DESC" } else { "" };
            format!("{}{direction}", schema::expression(model, term.field))
        };
        let order: Vec<_> = order.iter().map(term).collect();
        if !order.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&order.join(", "));
        }
        sql.push_str(" LIMIT ?");
        Stretch {
            sql,
            arguments: self.arguments,
        }
    }
}
