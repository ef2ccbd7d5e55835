//! From a definition to a [`Model`]: every rule that makes a read model exact is enforced here,
//! before the first event.
//!
//! Checking goes on after a trouble, so that a file shows all of its troubles at once. What could
//! not be understood is stood in for (a column of no known type by a text), and the model that
//! results is handed out only where nothing was wrong.

mod columns;
mod key;
mod operands;
mod queries;
mod rules;

use std::{ops::Range, sync::Arc};

use foldline_kernel::Context;
use foldline_schema::Catalog;

use crate::{
    Model, Revision, Role, Rules, Scope, TableKind,
    definition::{Definition, Text, Texts},
    revision::revision,
    suggest::did_you_mean,
    trouble::Troubles,
};
use columns::Declared;

/// The longest name of a read model, a column, a query or an order.
const NAME_LENGTH_MAX: usize = 48;

/// Checks a definition; `None` where there were troubles.
pub(crate) fn check(
    definition: &Definition,
    catalog: &Catalog,
    troubles: &mut Troubles<'_>,
) -> Option<Model> {
    let mut checker = Checker {
        definition,
        catalog,
        troubles,
        table: TableKind::Relational,
        scope: Scope::User,
        source: Vec::new(),
        columns: Vec::new(),
        key_is_sound: true,
    };
    checker.model()
}

/// The state of checking one file.
struct Checker<'c, 't> {
    definition: &'c Definition,
    catalog: &'c Catalog,
    troubles: &'c mut Troubles<'t>,
    table: TableKind,
    scope: Scope,
    source: Vec<Context>,
    /// The columns as the file declares them, in its order.
    columns: Vec<Declared>,
    /// Whether the key was understood; if not, its consequences are not told as troubles.
    key_is_sound: bool,
}

impl Checker<'_, '_> {
    fn model(&mut self) -> Option<Model> {
        self.name(&self.definition.name, "a read model");
        // What follows depends on these two so much that guesses would only mislead.
        self.table = self.table()?;
        self.scope = self.scope()?;
        self.source = self.source();
        self.columns();
        let before = self.troubles.count();
        let mut key = self.key();
        self.key_is_sound = self.troubles.count() == before;
        self.roles();
        let rules = self.rules(&mut key);
        let mut layout = self.layout(&key, rules);
        self.unfilled();
        layout.present = self.present(&layout);
        layout.derived = self.derived(&layout);
        layout.queries = self.queries(&layout);
        layout.revision = revision(&layout);
        self.troubles.is_empty().then_some(layout)
    }

    fn table(&mut self) -> Option<TableKind> {
        let table = &self.definition.table;
        match table.get_ref().as_str() {
            "wide" => Some(TableKind::Wide),
            "relational" => Some(TableKind::Relational),
            other => {
                let help = did_you_mean(other, ["wide", "relational"])
                    .unwrap_or_else(|| "a table is `wide` or `relational`".into());
                self.troubles.add(
                    table.span(),
                    format!("there is no table kind `{other}`"),
                    help,
                );
                None
            }
        }
    }

    fn scope(&mut self) -> Option<Scope> {
        let Some(scope) = &self.definition.scope else {
            return Some(Scope::User);
        };
        match scope.get_ref().as_str() {
            "user" => Some(Scope::User),
            "shared" => Some(Scope::Shared),
            other => {
                let help = "`user`: a row belongs to one user; `shared`: many users feed it";
                self.troubles
                    .add(scope.span(), format!("there is no scope `{other}`"), help);
                None
            }
        }
    }

    fn source(&mut self) -> Vec<Context> {
        let mut known: Vec<&Context> = self.catalog.types().map(|known| &known.context).collect();
        known.sort_unstable();
        known.dedup();
        let mut source: Vec<Context> = Vec::new();
        for name in Texts::all(&self.definition.source) {
            let text = name.get_ref().as_str();
            let Some(context) = known.iter().find(|known| known.as_str() == text) else {
                let help = did_you_mean(text, known.iter().map(|known| known.as_str()))
                    .unwrap_or_else(|| format!("the contexts are {}", list(&known)));
                self.troubles
                    .add(name.span(), format!("there is no context `{text}`"), help);
                continue;
            };
            if source.contains(context) {
                let trouble = format!("`{text}` is named twice");
                self.troubles.add(name.span(), trouble, None);
                continue;
            }
            source.push((*context).clone());
        }
        if Texts::all(&self.definition.source).is_empty() {
            let span = self.definition.source.span();
            let help = "name the contexts whose events feed it, as in source = [\"orders\"]";
            self.troubles
                .add(span, "nothing feeds the read model", help);
        }
        source
    }

    /// Checks that a name can be one on every store, in URLs and in metrics.
    fn name(&mut self, name: &Text, of: &str) -> bool {
        let text = name.get_ref();
        if is_name(text) {
            return true;
        }
        let help = format!(
            "a name has lower-case letters, digits and `_`, begins with a letter, at most \
             {NAME_LENGTH_MAX}"
        );
        let trouble = format!("`{text}` cannot name {of}");
        self.troubles.add(name.span(), trouble, help);
        false
    }

    /// Puts the checked parts together: key columns first, then the others in the file's order.
    fn layout(&self, key: &key::Key, mut rules: Rules) -> Model {
        let mut columns: Vec<_> = key
            .columns
            .iter()
            .map(|column| column.column(self))
            .collect();
        let mut places = vec![0; self.columns.len()];
        for (place, column) in key.columns.iter().enumerate() {
            if let Some(declared) = column.declared {
                places[declared] = place;
            }
        }
        for (declared, column) in self.columns.iter().enumerate() {
            if !key.holds(declared) {
                places[declared] = columns.len();
                columns.push(column.column());
            }
        }
        for rule in &mut rules.rules {
            for (column, _) in &mut rule.operands {
                *column = places[*column];
            }
            rule.operands.sort_by_key(|(column, _)| *column);
        }
        Model {
            name: Arc::from(self.definition.name.get_ref().as_str()),
            revision: Revision(String::new()),
            definition: Arc::from(""),
            table: self.table,
            scope: self.scope,
            source: self.source.clone(),
            key_length: key.columns.len(),
            partition_length: key.partition,
            user_column: key.user,
            columns,
            present: None,
            derived: Vec::new(),
            rules,
            queries: Vec::new(),
        }
    }

    fn present(&mut self, model: &Model) -> Option<usize> {
        let present = self.definition.present.as_ref()?;
        let column = self.known_column(model, present)?;
        let help = "name a column that the event which begins the row sets";
        let why = if column < model.key_length {
            "a key column, which every row has"
        } else if model.columns[column].role == Role::Add {
            "a sum, which is never null"
        } else {
            return Some(column);
        };
        let trouble = format!(
            "a row shows once `present` is not null, and `{}` is {why}",
            { present.get_ref() }
        );
        self.troubles.add(present.span(), trouble, help);
        None
    }

    /// Finds a visible column of the model, or says that there is none.
    fn known_column(&mut self, model: &Model, name: &Text) -> Option<usize> {
        let text = name.get_ref();
        if let Some(column) = model.column(text).filter(|_| !text.starts_with('_')) {
            return Some(column);
        }
        self.no_column(text, name.span());
        None
    }

    fn no_column(&mut self, name: &str, span: Range<usize>) {
        let help = did_you_mean(name, self.definition.columns.names())
            .unwrap_or_else(|| format!("declare it under [columns], as in {name} = \"text\""));
        self.troubles
            .add(span, format!("there is no column `{name}`"), help);
    }
}

/// Tells whether a text is a name: `[a-z][a-z0-9_]*`, of bounded length.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= NAME_LENGTH_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(allowed)
}

/// Writes names for a sentence.
fn list(names: &[impl ToString]) -> String {
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("`{}`", name.to_string()))
        .collect();
    names.join(", ")
}
