//! Read models of the shapes that applications have, made by hand.

use std::sync::Arc;

use foldline_read_model::{
    Access, Column, ColumnType, Derived, Field, Filter, FilterKind, Model, Order, OrderTerm, Query,
    Revision, Role, Rules, Scope, TableKind, Value,
};

/// A model with these columns and no query.
pub fn model(
    name: &str,
    key: &[(&str, ColumnType, bool)],
    values: &[(&str, ColumnType, Role)],
) -> Model {
    let key_length = key.len();
    let key = key.iter().map(|(name, column_type, descending)| Column {
        name: (*name).into(),
        column_type: *column_type,
        role: Role::Key {
            descending: *descending,
        },
    });
    let values = values.iter().map(|(name, column_type, role)| Column {
        name: (*name).into(),
        column_type: *column_type,
        role: *role,
    });
    Model {
        name: name.into(),
        revision: Revision("one".into()),
        definition: format!("name = \"{name}\"").into(),
        table: TableKind::Relational,
        scope: Scope::Shared,
        source: vec!["orders".parse().expect("a name")],
        columns: key.chain(values).collect(),
        key_length,
        partition_length: key_length,
        user_column: None,
        present: None,
        derived: Vec::new(),
        rules: Rules::default(),
        queries: Vec::new(),
    }
}

/// A list per user, newest first.
pub fn orders(name: &str) -> Arc<Model> {
    let mut model = model(
        name,
        &[
            ("user_id", ColumnType::Uuid, false),
            ("placed_at", ColumnType::Time, true),
            ("order_id", ColumnType::Uuid, false),
        ],
        &[
            ("status", ColumnType::Text, Role::Set),
            ("total_cents", ColumnType::Bigint, Role::Set),
            ("details", ColumnType::Json, Role::Set),
        ],
    );
    model.scope = Scope::User;
    model.user_column = Some(0);
    model.partition_length = 1;
    model.present = Some(3);
    model.rules = Rules::that_delete();
    let mine = query(&model, "mine", &[eq(0)], &[]);
    model.queries = vec![mine];
    Arc::new(model)
}

/// A list per owner whose name may be empty, along columns of every type that sorts.
pub fn ledger(name: &str) -> Arc<Model> {
    let mut model = model(
        name,
        &[
            ("owner", ColumnType::Text, false),
            ("day", ColumnType::Time, true),
            ("open", ColumnType::Bool, false),
            ("item", ColumnType::Uuid, false),
            ("line", ColumnType::Bigint, true),
        ],
        &[("cents", ColumnType::Bigint, Role::Set)],
    );
    model.table = TableKind::Wide;
    model.scope = Scope::User;
    model.user_column = Some(3);
    model.partition_length = 1;
    let list = query(&model, "list", &[eq(0)], &[]);
    model.queries = vec![list];
    Arc::new(model)
}

/// Sums per seller and month.
pub fn sales(name: &str) -> Arc<Model> {
    let mut model = model(
        name,
        &[
            ("seller_id", ColumnType::Uuid, false),
            ("month", ColumnType::Text, false),
        ],
        &[
            ("lines", ColumnType::Bigint, Role::Add),
            ("revenue_cents", ColumnType::Bigint, Role::Add),
            ("last_at", ColumnType::Time, Role::Max),
            ("first_at", ColumnType::Time, Role::Min),
        ],
    );
    model.derived = vec![Derived {
        name: "mean_cents".into(),
        dividend: 3,
        divisor: 2,
    }];
    let month = Filter {
        column: 1,
        kind: FilterKind::Range,
        optional: true,
    };
    let of = query(&model, "of", &[eq(0), month], &[]);
    let top = query(&model, "top", &[eq(1)], &[(Field::Column(3), true)]);
    let best = query(&model, "best", &[], &[(Field::Derived(0), true)]);
    model.queries = vec![of, top, best];
    Arc::new(model)
}

/// Things with a column of every type that may be null, and words to look for.
pub fn things(name: &str) -> Arc<Model> {
    let mut model = model(
        name,
        &[("id", ColumnType::Bigint, false)],
        &[
            ("name", ColumnType::Text, Role::Set),
            ("maker", ColumnType::Text, Role::Set),
            ("code", ColumnType::Uuid, Role::Set),
            ("cents", ColumnType::Bigint, Role::Set),
            ("listed", ColumnType::Bool, Role::Set),
            ("at", ColumnType::Time, Role::Set),
            ("data", ColumnType::Json, Role::Set),
        ],
    );
    let mut search = query(&model, "search", &[], &[(Field::Column(4), false)]);
    search.only = vec![(5, Value::Bool(true))];
    search.text = vec![1, 2];
    model.queries = vec![search];
    Arc::new(model)
}

/// What is set beside what is summed, with words to look for in the key and in a value.
pub fn mixed(name: &str) -> Arc<Model> {
    let mut model = model(
        name,
        &[
            ("name", ColumnType::Text, false),
            ("id", ColumnType::Bigint, true),
        ],
        &[
            ("title", ColumnType::Text, Role::Set),
            ("cents", ColumnType::Bigint, Role::Set),
            ("sum", ColumnType::Bigint, Role::Add),
            ("last_at", ColumnType::Time, Role::Max),
        ],
    );
    let mut search = query(&model, "search", &[], &[]);
    search.text = vec![0, 2];
    model.queries = vec![search];
    Arc::new(model)
}

/// A required filter by equality.
pub fn eq(column: usize) -> Filter {
    Filter {
        column,
        kind: FilterKind::Eq,
        optional: false,
    }
}

/// A query with one order, to which the key is appended; without terms it is the key's own.
pub fn query(model: &Model, name: &str, filters: &[Filter], terms: &[(Field, bool)]) -> Query {
    let first = terms.iter().map(|(field, descending)| OrderTerm {
        field: *field,
        descending: *descending,
    });
    let clustered = terms.is_empty();
    let key = (0..model.key_length).map(|column| OrderTerm {
        field: Field::Column(column),
        descending: clustered && model.columns[column].role == Role::Key { descending: true },
    });
    Query {
        name: name.into(),
        filters: filters.to_vec(),
        only: Vec::new(),
        text: Vec::new(),
        orders: vec![Order {
            name: "first".into(),
            terms: first.chain(key).collect(),
        }],
        page: 20,
        fields: (0..model.columns.len()).map(Field::Column).collect(),
        access: Access::Public,
    }
}
