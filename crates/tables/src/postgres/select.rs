//! From a selection to SQL: conditions, words, a total order, and where to continue.
//!
//! A page continues after a row with the values `(a, b, c)` of the order's terms. What follows it
//! is, in this order, `a = and b = and c after`, then `a = and b after`, then `a after`: one
//! *stretch* each, and each is a seek in an index whose first columns are held equal. One
//! condition with `or` between them would mean the same and read from the start every time.

use foldline_read_model::{Field, Model, OrderTerm, Value};
use sqlx::{Arguments, postgres::PgArguments};

use super::{
    schema::{self, may_be_null},
    value::Parameter,
    words,
};
use crate::{Condition, OrderValue, Select, Words};

/// One statement whose rows come in order; all rows of one stretch come before the next one's.
/// Its last parameter, the most rows to return, is left to the caller.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) sql: String,
    pub(crate) arguments: PgArguments,
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
    from: &str,
) -> Result<Vec<Stretch>, sqlx::Error> {
    let order = open_terms(select);
    let terms: Vec<_> = order.iter().map(|(term, _)| *term).collect();
    let statement = |bounds: &Bounds<'_>| statement(model, select, &terms, bounds, from);
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

fn statement(
    model: &Model,
    select: &Select,
    terms: &[OrderTerm],
    bounds: &Bounds<'_>,
    from: &str,
) -> Result<Stretch, sqlx::Error> {
    let mut sql = Conditions::of(model);
    for condition in &select.conditions {
        sql.condition(condition)?;
    }
    if let (true, Some(present)) = (select.present_only, model.present) {
        sql.text(format!("{} IS NOT NULL", schema::name(model, present)));
    }
    if let Some(words) = &select.words {
        sql.words(words)?;
    }
    for (term, value) in terms.iter().zip(bounds.equal) {
        sql.compare(term.field, "=", value)?;
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
                sql.compare(term.field, if term.descending { "<" } else { ">" }, value)?;
            }
        }
    }
    // What is held to one value is in order already.
    let held = bounds.equal.len() + usize::from(matches!(bounds.beyond, Some(Beyond::OnlyNull)));
    let order = &terms[held..];
    Ok(sql.finish(from, order))
}

/// Conditions that all have to hold, and their parameters.
struct Conditions<'m> {
    model: &'m Model,
    texts: Vec<String>,
    arguments: PgArguments,
}

impl<'m> Conditions<'m> {
    fn of(model: &'m Model) -> Self {
        Self {
            model,
            texts: Vec::new(),
            arguments: PgArguments::default(),
        }
    }

    fn text(&mut self, text: String) {
        self.texts.push(text);
    }

    /// Adds a parameter and returns what stands for it.
    fn parameter(&mut self, column: usize, value: &Value) -> Result<String, sqlx::Error> {
        let parameter = Parameter(value, self.model.columns[column].column_type);
        let added = self.arguments.add(parameter);
        added.map_err(sqlx::Error::Encode)?;
        Ok(format!("${}", self.arguments.len()))
    }

    fn condition(&mut self, condition: &Condition) -> Result<(), sqlx::Error> {
        let (column, operator, value) = match condition {
            Condition::Eq(column, value) => (*column, "=", value),
            Condition::AtLeast(column, value) => (*column, ">=", value),
            Condition::AtMost(column, value) => (*column, "<=", value),
        };
        let parameter = self.parameter(column, value)?;
        let name = schema::name(self.model, column);
        self.text(format!("{name} {operator} {parameter}"));
        Ok(())
    }

    fn compare(
        &mut self,
        field: Field,
        operator: &str,
        value: &OrderValue,
    ) -> Result<(), sqlx::Error> {
        let expression = schema::expression(self.model, field);
        let parameter = match (field, value) {
            _ if is_null(value) => {
                self.text(format!("{expression} IS NULL"));
                return Ok(());
            }
            (Field::Column(column), OrderValue::Column(value)) => self.parameter(column, value)?,
            (_, OrderValue::Derived(Some(number))) => {
                let added = self.arguments.add(*number);
                added.map_err(sqlx::Error::Encode)?;
                format!("${}", self.arguments.len())
            }
            _ => return Err(sqlx::Error::Encode("a value of another term".into())),
        };
        self.text(format!("{expression} {operator} {parameter}"));
        Ok(())
    }

    /// Every word is among the words of one of the columns.
    fn words(&mut self, words: &Words) -> Result<(), sqlx::Error> {
        for word in &words.words {
            let added = self
                .arguments
                .add(vec![words::shortened(word).into_owned()]);
            added.map_err(sqlx::Error::Encode)?;
            let parameter = self.arguments.len();
            let places = words.columns.iter().map(|column| {
                let column = schema::words_name(self.model, *column);
                format!("{column} @> ${parameter}")
            });
            let places: Vec<_> = places.collect();
            self.text(format!("({})", places.join(" OR ")));
        }
        Ok(())
    }

    fn finish(self, from: &str, order: &[OrderTerm]) -> Stretch {
        let mut sql = from.to_owned();
        if !self.texts.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.texts.join(" AND "));
        }
        let terms = order.iter();
        let terms: Vec<_> = terms
            .map(|term| schema::term(self.model, term.field, term.descending))
            .collect();
        if !terms.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&terms.join(", "));
        }
        sql.push_str(&format!(" LIMIT ${}", self.arguments.len() + 1));
        Stretch {
            sql,
            arguments: self.arguments,
        }
    }
}
