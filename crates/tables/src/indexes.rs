//! Which orders a model's queries ask for, whatever a store makes of them.

use foldline_read_model::{Field, FilterKind, Model, Order, OrderTerm, Query, Role};

/// Returns what rows have to be sorted by so that every query seeks where its rows begin, each
/// order once: first what always has one value in a query, then the query's own order.
///
/// What the key itself serves is not among them.
pub(crate) fn wanted(model: &Model) -> Vec<Vec<OrderTerm>> {
    let mut wanted: Vec<Vec<OrderTerm>> = Vec::new();
    for query in &model.queries {
        for order in &query.orders {
            let terms = terms(query, order);
            if !wanted.contains(&terms) && !is_the_key(model, query, order) {
                wanted.push(terms);
            }
        }
    }
    wanted
}

fn terms(query: &Query, order: &Order) -> Vec<OrderTerm> {
    let fixed = fixed_columns(query);
    let held = |column: &usize| OrderTerm {
        field: Field::Column(*column),
        descending: false,
    };
    let mut terms: Vec<_> = fixed.iter().map(held).collect();
    let is_open =
        |term: &&OrderTerm| !matches!(term.field, Field::Column(column) if fixed.contains(&column));
    terms.extend(order.terms.iter().filter(is_open));
    terms
}

/// The columns that every asking of a query holds to one value.
fn fixed_columns(query: &Query) -> Vec<usize> {
    let required =
        |filter: &&foldline_read_model::Filter| filter.kind == FilterKind::Eq && !filter.optional;
    let filters = query.filters.iter().filter(required).map(|f| f.column);
    let mut columns: Vec<_> = filters.chain(query.only.iter().map(|(c, _)| *c)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Tells whether the primary key itself serves a query: it fixes the first columns of the key and
/// wants the rest in the key's own order, or the whole key is fixed.
fn is_the_key(model: &Model, query: &Query, order: &Order) -> bool {
    let fixed = fixed_columns(query);
    let prefix = (0..model.key_length)
        .take_while(|column| fixed.contains(column))
        .count();
    if prefix == model.key_length {
        return true;
    }
    let mut terms = order
        .terms
        .iter()
        .filter(|term| !matches!(term.field, Field::Column(column) if fixed.contains(&column)));
    fixed.iter().all(|column| *column < prefix)
        && (prefix..model.key_length).all(|column| {
            terms.next().is_some_and(|term| {
                term.field == Field::Column(column)
                    && term.descending == is_descending(model, column)
            })
        })
}

/// Tells whether a key column clusters in descending order.
pub(crate) fn is_descending(model: &Model, column: usize) -> bool {
    model.columns[column].role == Role::Key { descending: true }
}
