//! `order`: the orders to choose from, each made total by the key.
//!
//! `order = "price_cents"`, or a list to choose from. One order is one or several terms with
//! commas between them, `revenue_cents desc, units desc`. A caller chooses it by the text of its
//! first term, or by the name that stands before a colon: `newest: listed_at desc`.

use std::sync::Arc;

use crate::{
    ColumnType, Field, Model, Order, OrderTerm, Role, TableKind,
    check::{Checker, is_name},
    definition::{self, Text, Texts},
};

impl Checker<'_, '_> {
    pub(super) fn orders(&mut self, model: &Model, query: &definition::Query) -> Vec<Order> {
        let texts = query.order.as_ref().map(Texts::all).unwrap_or_default();
        let mut orders: Vec<Order> = Vec::new();
        for text in &texts {
            let Some(order) = self.order(model, text) else {
                continue;
            };
            if orders.iter().any(|known| known.name == order.name) {
                let trouble = format!("two orders would be chosen as `{}`", order.name);
                let help = "name one of them, as in \"newest: listed_at desc\"";
                self.troubles.add(text.span(), trouble, help);
            }
            orders.push(order);
        }
        if orders.is_empty() {
            let terms = Vec::new();
            orders.push(total(model, None, terms));
        }
        orders
    }

    fn order(&mut self, model: &Model, text: &Text) -> Option<Order> {
        let (name, terms) = match text.get_ref().split_once(':') {
            Some((name, terms)) => (Some(name.trim()), terms),
            None => (None, text.get_ref().as_str()),
        };
        if let Some(name) = name.filter(|name| !is_name(name)) {
            let trouble = format!("`{name}` cannot name an order");
            let help = "write it as in \"newest: listed_at desc\"";
            self.troubles.add(text.span(), trouble, help);
        }
        let mut found: Vec<OrderTerm> = Vec::new();
        for term in terms.split(',') {
            let term = self.term(model, text, term)?;
            if found.iter().any(|known| known.field == term.field) {
                let trouble = "an order names a column twice";
                self.troubles.add(text.span(), trouble, None);
                return None;
            }
            found.push(term);
        }
        if self.table == TableKind::Wide && !clustering(model).starts_with(&found) {
            self.not_clustered(model, text);
            return None;
        }
        Some(total(model, name, found))
    }

    fn term(&mut self, model: &Model, at: &Text, term: &str) -> Option<OrderTerm> {
        let mut words = term.split_whitespace();
        let name = words.next().unwrap_or_default();
        let descending = match (words.next(), words.next()) {
            (None | Some("asc"), None) => false,
            (Some("desc"), None) => true,
            _ => {
                let trouble = format!("`{}` is no order", term.trim());
                let help = "a term is a column, with `desc` where the greatest comes first";
                self.troubles.add(at.span(), trouble, help);
                return None;
            }
        };
        let field = self.field(model, at, name)?;
        if let Field::Column(column) = field
            && model.columns[column].column_type == ColumnType::Json
        {
            let trouble = format!("`{name}` is json, which has no order");
            self.troubles.add(at.span(), trouble, None);
            return None;
        }
        Some(OrderTerm { field, descending })
    }

    fn not_clustered(&mut self, model: &Model, text: &Text) {
        let visible = clustering(model)
            .into_iter()
            .filter(|term| match term.field {
                Field::Column(column) => !model.columns[column].is_hidden(),
                Field::Derived(_) => true,
            });
        let terms: Vec<_> = visible.map(|term| written(model, term)).collect();
        let help = if terms.is_empty() {
            "leave `order` out, or sort by it in `cluster`".to_owned()
        } else {
            let terms = terms.join(", ");
            format!("leave `order` out: rows come sorted by {terms}; or change `cluster`")
        };
        let trouble = "a wide table has only the order of its clustering columns";
        self.troubles.add(text.span(), trouble, help);
    }
}

/// The order in which the rows of one partition lie.
fn clustering(model: &Model) -> Vec<OrderTerm> {
    let columns = model.columns[..model.key_length].iter().enumerate();
    let clustered = columns.skip(model.partition_length);
    clustered
        .map(|(column, definition)| OrderTerm {
            field: Field::Column(column),
            descending: matches!(definition.role, Role::Key { descending: true }),
        })
        .collect()
}

/// Appends the key, so that no two rows are equal and a cursor can continue after any of them.
fn total(model: &Model, name: Option<&str>, mut terms: Vec<OrderTerm>) -> Order {
    if model.table == TableKind::Wide {
        terms = clustering(model);
    } else {
        for column in 0..model.key_length {
            let field = Field::Column(column);
            if terms.iter().all(|term| term.field != field) {
                let descending = false;
                terms.push(OrderTerm { field, descending });
            }
        }
    }
    let first = terms.first().map(|term| written(model, *term));
    let first = first.filter(|text| !text.starts_with('_'));
    let name = name.map(str::to_owned).or(first);
    Order {
        name: Arc::from(name.unwrap_or_else(|| "key".into())),
        terms,
    }
}

fn written(model: &Model, term: OrderTerm) -> String {
    let name = match term.field {
        Field::Column(column) => &model.columns[column].name,
        Field::Derived(derived) => &model.derived[derived].name,
    };
    if term.descending {
        format!("{name} desc")
    } else {
        name.to_string()
    }
}
