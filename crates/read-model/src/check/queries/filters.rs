//! `where`: the parameters on columns.

use crate::{
    ColumnType, Filter, FilterKind, Model, Role, TableKind,
    check::{Checker, key::HIDDEN_USER},
    definition::{self, Text},
    suggest::did_you_mean,
};

/// Parameters that every query has.
const RESERVED: [&str; 5] = ["text", "order", "limit", "cursor", "fields"];

impl Checker<'_, '_> {
    pub(super) fn filters(&mut self, model: &Model, query: &definition::Query) -> Vec<Filter> {
        let mut filters = Vec::new();
        for (name, kind) in query.filters.iter() {
            let column = self.filtered(model, name);
            let kind = self.filter_kind(kind);
            if let (Some(column), Some((kind, optional))) = (column, kind) {
                filters.push(Filter {
                    column,
                    kind,
                    optional,
                });
            }
        }
        self.distinct_parameters(model, query, &filters);
        // A filter that was refused would look like one that is missing.
        let all_known = filters.len() == query.filters.names().count();
        if self.table == TableKind::Wide && self.key_is_sound && all_known {
            self.wide_filters(model, query, &filters);
        }
        filters
    }

    /// Finds a column that rows can be chosen by.
    pub(super) fn filtered(&mut self, model: &Model, name: &Text) -> Option<usize> {
        let text = name.get_ref();
        if self.definition.derived.get(text).is_some() {
            let trouble = format!("`{text}` is computed when it is read, so no index has it");
            let help = "choose rows by the columns that it is computed from";
            self.troubles.add(name.span(), trouble, help);
            return None;
        }
        let column = self.known_column(model, name)?;
        if model.columns[column].column_type == ColumnType::Json {
            let trouble = format!("`{text}` is json, which rows cannot be chosen by");
            let help = "set a column of its own to the member that is asked for";
            self.troubles.add(name.span(), trouble, help);
            return None;
        }
        Some(column)
    }

    fn filter_kind(&mut self, kind: &Text) -> Option<(FilterKind, bool)> {
        let text = kind.get_ref().as_str();
        Some(match text {
            "eq" => (FilterKind::Eq, false),
            "eq?" => (FilterKind::Eq, true),
            "range" => (FilterKind::Range, false),
            "range?" => (FilterKind::Range, true),
            _ => {
                let help = did_you_mean(text, ["eq", "range"]).unwrap_or_else(|| {
                    "a filter is `eq` or `range`, with `?` where it may be left out".into()
                });
                let trouble = format!("there is no filter `{text}`");
                self.troubles.add(kind.span(), trouble, help);
                return None;
            }
        })
    }

    fn distinct_parameters(&mut self, model: &Model, query: &definition::Query, all: &[Filter]) {
        let mut taken: Vec<String> = RESERVED.map(str::to_owned).into();
        for filter in all {
            let name = &model.columns[filter.column].name;
            let parameters = match filter.kind {
                FilterKind::Eq => vec![name.to_string()],
                FilterKind::Range => vec![format!("{name}_from"), format!("{name}_to")],
            };
            for parameter in parameters {
                if taken.contains(&parameter) {
                    let span = query.filters.iter();
                    let span = span
                        .filter(|(known, _)| known.get_ref().as_str() == name.as_ref())
                        .map(|(known, _)| known.span())
                        .next()
                        .unwrap_or_else(|| query.name.span());
                    let trouble = format!("the parameter `{parameter}` would mean two things");
                    self.troubles
                        .add(span, trouble, format!("give `{name}` another name"));
                }
                taken.push(parameter);
            }
        }
    }

    /// A wide table answers from one partition, along its order: all partition columns by `eq`,
    /// then clustering columns by `eq`, then at most one range.
    fn wide_filters(&mut self, model: &Model, query: &definition::Query, all: &[Filter]) {
        let of = |column: usize| all.iter().find(|filter| filter.column == column);
        for column in 0..model.partition_length {
            let by_eq = |filter: &Filter| filter.kind == FilterKind::Eq && !filter.optional;
            if !of(column).is_some_and(by_eq) {
                let name = &model.columns[column].name;
                let trouble = format!(
                    "a wide table is asked by its whole partition, and `{name}` is part of it"
                );
                let help =
                    format!("add where = {{ {name} = \"eq\" }}, or use table = \"relational\"");
                self.troubles.add(query.name.span(), trouble, help);
            }
        }
        // The first column that a query may leave open; nothing after it can be chosen by.
        let mut open: Option<&str> = None;
        for column in model.partition_length..model.key_length {
            let name = model.columns[column].name.as_ref();
            match (of(column), open) {
                (None, None) => open = Some(name),
                (None, Some(_)) => {}
                (Some(_), Some(open)) => self.out_of_order(query, name, open),
                (Some(filter), None) => {
                    let closed = filter.kind == FilterKind::Eq && !filter.optional;
                    open = (!closed).then_some(name);
                }
            }
        }
        for filter in all {
            let column = &model.columns[filter.column];
            if !matches!(column.role, Role::Key { .. }) {
                let trouble = format!("`{}` is not in the key of this wide table", column.name);
                let help = "use table = \"relational\", or a read model whose key says it";
                self.troubles
                    .add(filter_span(query, &column.name), trouble, help);
            }
        }
    }

    fn out_of_order(&mut self, query: &definition::Query, name: &str, open: &str) {
        let (trouble, help) = if open == HIDDEN_USER {
            (
                format!("`{name}` sorts rows only within one user, who is hidden in this key"),
                "make the user a column of the key: row = { user_id = \"subject\" }".to_owned(),
            )
        } else {
            (
                format!("`{name}` sorts rows only where `{open}` is one value"),
                format!("ask for `{open}` by \"eq\", or change the order of `cluster`"),
            )
        };
        self.troubles.add(filter_span(query, name), trouble, help);
    }
}

fn filter_span(query: &definition::Query, column: &str) -> std::ops::Range<usize> {
    let mut filters = query.filters.iter();
    filters
        .find_map(|(name, _)| (name.get_ref() == column).then(|| name.span()))
        .unwrap_or_else(|| query.name.span())
}
