//! The key: which columns make it up, in which order, and which of them is the user.

use std::sync::Arc;

use super::Checker;
use crate::{Column, ColumnType, Role, TableKind, definition, definition::Text};

/// The most columns of a key.
const KEY_LENGTH_MAX: usize = 8;

/// The name of the key column that holds the user where the file names none.
pub(super) const HIDDEN_USER: &str = "_user";

/// The key as it will be.
pub(super) struct Key {
    pub(super) columns: Vec<KeyColumn>,
    /// How many of them are the partition.
    pub(super) partition: usize,
    /// In scope `user`: which of them is the user.
    pub(super) user: Option<usize>,
}

/// One column of the key.
pub(super) struct KeyColumn {
    /// Its place among the declared columns; `None` for the hidden user.
    pub(super) declared: Option<usize>,
    pub(super) descending: bool,
}

impl KeyColumn {
    pub(super) fn column(&self, checker: &Checker<'_, '_>) -> Column {
        let role = Role::Key {
            descending: self.descending,
        };
        match self.declared {
            Some(declared) => Column {
                role,
                ..checker.columns[declared].column()
            },
            None => Column {
                name: Arc::from(HIDDEN_USER),
                column_type: ColumnType::Uuid,
                role,
            },
        }
    }
}

impl Key {
    pub(super) fn holds(&self, declared: usize) -> bool {
        self.columns
            .iter()
            .any(|column| column.declared == Some(declared))
    }

    /// Puts the hidden user into the key and returns its place: first of what sorts a wide
    /// partition, last on a relational table.
    pub(super) fn hide_user(&mut self) -> usize {
        let place = self.partition;
        self.columns.insert(
            place,
            KeyColumn {
                declared: None,
                descending: false,
            },
        );
        self.user = Some(place);
        place
    }
}

impl Checker<'_, '_> {
    /// Reads `key`. On a relational table the partition is everything but the hidden user, until
    /// [`Self::whole_partition`] takes that in.
    pub(super) fn key(&mut self) -> Key {
        let (partition, cluster) = self.key_columns();
        let mut key = Key {
            columns: Vec::new(),
            partition: 0,
            user: None,
        };
        for name in &partition {
            self.key_column(&mut key, name, name.get_ref(), false);
        }
        key.partition = key.columns.len();
        for term in &cluster {
            let (name, descending) = self.direction(term);
            self.key_column(&mut key, term, &name, descending);
        }
        if key.columns.len() > KEY_LENGTH_MAX {
            let span = self.definition.key.span();
            let trouble = format!("a key has at most {KEY_LENGTH_MAX} columns");
            self.troubles.add(span, trouble, None);
        }
        key
    }

    fn key_columns(&mut self) -> (Vec<Text>, Vec<Text>) {
        let span = self.definition.key.span();
        let (partition, cluster) = match (self.table, self.definition.key.get_ref()) {
            (TableKind::Relational, definition::Key::List(names)) => (names.clone(), Vec::new()),
            (TableKind::Wide, definition::Key::Wide { partition, cluster }) => {
                (partition.clone(), cluster.clone())
            }
            (TableKind::Relational, definition::Key::Wide { partition, cluster }) => {
                let help = "write key = [\"seller_id\", \"month\"]";
                let trouble = "the key of a relational table is a list of columns";
                self.troubles.add(span.clone(), trouble, help);
                (partition.clone(), cluster.clone())
            }
            (TableKind::Wide, definition::Key::List(names)) => {
                let help = "write key = { partition = [\"order_id\"], cluster = [] }: rows of one \
                            partition lie together, sorted by `cluster`";
                let trouble = "the key of a wide table has a partition";
                self.troubles.add(span.clone(), trouble, help);
                (names.clone(), Vec::new())
            }
        };
        if partition.is_empty() {
            self.troubles.add(
                span,
                "the key has no column",
                "name at least one, such as the id that queries ask for",
            );
        }
        (partition, cluster)
    }

    fn direction(&mut self, term: &Text) -> (String, bool) {
        let mut words = term.get_ref().split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        match (words.next(), words.next()) {
            (None | Some("asc"), None) => (name, false),
            (Some("desc"), None) => (name, true),
            _ => {
                let trouble = format!("`{}` is no clustering column", term.get_ref());
                let help = format!("write `{name}` or `{name} desc`");
                self.troubles.add(term.span(), trouble, help);
                (name, false)
            }
        }
    }

    fn key_column(&mut self, key: &mut Key, at: &Text, name: &str, descending: bool) {
        let Some(declared) = self.declared(name) else {
            return self.no_column(name, at.span());
        };
        if key.holds(declared) {
            let trouble = format!("`{name}` is in the key twice");
            return self.troubles.add(at.span(), trouble, None);
        }
        if self.columns[declared].column_type == ColumnType::Json {
            let trouble = format!("`{name}` is json, which cannot be part of a key");
            let help = "a key is of type uuid, text, bigint, bool or time";
            self.troubles.add(at.span(), trouble, help);
        }
        self.columns[declared].role = Some((Role::Key { descending }, at.span()));
        key.columns.push(KeyColumn {
            declared: Some(declared),
            descending,
        });
    }

    /// On a relational table all of the key is the partition, the hidden user too.
    pub(super) fn whole_partition(&self, key: &mut Key) {
        if self.table == TableKind::Relational {
            key.partition = key.columns.len();
        }
    }
}
