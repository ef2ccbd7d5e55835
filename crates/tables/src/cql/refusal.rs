//! What cannot be exact on CQL, or cannot be asked there: told before anything is made of it.

use foldline_read_model::{Field, FilterKind, Model, Query, Role, TableKind};

use super::schema;
use crate::{GenerationNumber, Refusal};

/// The longest name of a table that both servers take.
const TABLE_NAME_MAX: usize = 48;

/// Says why CQL cannot keep a model, or answer its queries.
pub(crate) fn refusal(model: &Model) -> Option<Refusal> {
    long_name(model).or_else(|| match model.table {
        TableKind::Wide => None,
        TableKind::Relational => model.queries.iter().find_map(|query| by_key(model, query)),
    })
}

/// A generation's table has the model's name and its number, as many as it will ever have.
fn long_name(model: &Model) -> Option<Refusal> {
    let longest = schema::table_name(&model.name, GenerationNumber(u32::MAX));
    let over = longest
        .len()
        .checked_sub(TABLE_NAME_MAX)
        .filter(|over| *over > 0)?;
    let most = model.name.len() - over;
    Some(Refusal {
        reason: format!(
            "the name `{}` is too long for CQL, where a table's has at most {TABLE_NAME_MAX} \
             characters and ends with the generation's number",
            model.name
        ),
        way: format!("give it one of at most {most} characters, or put it on sqlite or postgres"),
    })
}

/// A relational table is asked for one row by its whole key, or not at all: CQL has no index that
/// means the same on both servers.
fn by_key(model: &Model, query: &Query) -> Option<Refusal> {
    let refused = |reason: String| {
        Some(Refusal {
            reason: format!("the query `{}` {reason}", query.name),
            way: "put relational tables on sqlite or postgres, or make it a wide read model whose \
                  key says what is asked"
                .into(),
        })
    };
    if !query.text.is_empty() {
        return refused("searches words, of which CQL has no index".into());
    }
    let by_eq = |column: usize| {
        let mut filters = query.filters.iter();
        filters.any(|f| f.column == column && f.kind == FilterKind::Eq && !f.optional)
    };
    if let Some(open) = (0..model.key_length).find(|column| !by_eq(*column)) {
        let name = &model.columns[open].name;
        return refused(format!(
            "does not name one row: it leaves `{name}` of the key open"
        ));
    }
    let beside = |column: usize| !matches!(model.columns[column].role, Role::Key { .. });
    let filters = query.filters.iter().map(|filter| filter.column);
    let only = query.only.iter().map(|(column, _)| *column);
    if let Some(column) = filters.chain(only).find(|column| beside(*column)) {
        let name = &model.columns[column].name;
        return refused(format!(
            "chooses rows by `{name}`, of which CQL has no index"
        ));
    }
    let sorts = |term: &foldline_read_model::OrderTerm| match term.field {
        Field::Column(column) => beside(column),
        Field::Derived(_) => true,
    };
    if query
        .orders
        .iter()
        .flat_map(|order| &order.terms)
        .any(sorts)
    {
        return refused("sorts by what is not in the key".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use foldline_read_model::{ColumnType, Scope, Value};

    use super::*;
    use crate::conformance::models;

    fn relational() -> Model {
        let key = [
            ("seller_id", ColumnType::Uuid, false),
            ("month", ColumnType::Text, false),
        ];
        let values = [
            ("name", ColumnType::Text, Role::Set),
            ("units", ColumnType::Bigint, Role::Set),
        ];
        let mut model = models::model("sales", &key, &values);
        model.scope = Scope::User;
        model
    }

    fn refused(model: &Model) -> String {
        refusal(model).expect("it is refused").to_string()
    }

    #[test]
    fn a_name_leaves_room_for_every_number_of_a_generation() {
        let named = |length| models::model(&"m".repeat(length), &[], &[]);
        assert_eq!(refusal(&named(36)), None);
        let told = refused(&named(37));
        assert!(told.contains("at most 48 characters"), "{told}");
        assert!(told.contains("at most 36 characters"), "{told}");
    }

    #[test]
    fn a_wide_model_fits_as_it_is() {
        let mut model = relational();
        model.table = TableKind::Wide;
        model.queries = vec![models::query(&model, "of", &[models::eq(0)], &[])];
        assert_eq!(refusal(&model), None);
    }

    #[test]
    fn a_relational_model_that_is_asked_by_its_whole_key_fits() {
        let mut model = relational();
        let whole = [models::eq(0), models::eq(1)];
        model.queries = vec![models::query(&model, "of", &whole, &[])];
        assert_eq!(refusal(&model), None);
    }

    #[test]
    fn a_key_that_is_not_whole_is_refused() {
        let mut model = relational();
        model.queries = vec![models::query(&model, "of", &[models::eq(0)], &[])];
        let told = refused(&model);
        assert!(told.contains("leaves `month` of the key open"), "{told}");
        assert!(told.contains("make it a wide read model"), "{told}");
    }

    #[test]
    fn a_filter_beside_the_key_is_refused() {
        let mut model = relational();
        let filters = [models::eq(0), models::eq(1), models::eq(3)];
        model.queries = vec![models::query(&model, "of", &filters, &[])];
        assert!(refused(&model).contains("chooses rows by `units`"));
        model.queries = vec![models::query(&model, "of", &filters[..2], &[])];
        model.queries[0].only = vec![(2, Value::Text("x".into()))];
        assert!(refused(&model).contains("chooses rows by `name`"));
    }

    #[test]
    fn words_are_refused() {
        let mut model = relational();
        model.queries = vec![models::query(
            &model,
            "of",
            &[models::eq(0), models::eq(1)],
            &[],
        )];
        model.queries[0].text = vec![2];
        assert!(refused(&model).contains("searches words"));
    }

    #[test]
    fn an_order_beside_the_key_is_refused() {
        let mut model = relational();
        let whole = [models::eq(0), models::eq(1)];
        let by_units = [(Field::Column(3), true)];
        model.queries = vec![models::query(&model, "of", &whole, &by_units)];
        assert!(refused(&model).contains("sorts by what is not in the key"));
    }
}
