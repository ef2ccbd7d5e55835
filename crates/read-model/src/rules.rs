//! What each event does to which rows: the compiled half of a model.

use std::sync::Arc;

use foldline_kernel::Context;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::expression::{Expr, Path};

/// The compiled rules of a read model; what they do is [`Model::fold`](crate::Model::fold).
#[derive(Debug, Default)]
pub struct Rules {
    /// By stored type, older shapes included, so that an event costs one look-up.
    pub(crate) known: FxHashMap<Arc<str>, KnownType>,
    /// One for each mentioned type, in the order of the file.
    pub(crate) rules: Vec<Rule>,
}

/// A stored type that the binary knew when the model was loaded.
#[derive(Debug)]
pub(crate) struct KnownType {
    pub(crate) context: Context,
    /// The rule of its current type; `None` where the file does not mention it.
    pub(crate) rule: Option<usize>,
}

/// What one type does.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The current type.
    pub(crate) type_name: Arc<str>,
    /// The list whose every element is applied as `item`.
    pub(crate) each: Option<Path>,
    /// What must hold for the rule to apply.
    pub(crate) when: Option<Expr>,
    /// One expression for each key column.
    pub(crate) row: SmallVec<[Expr; 3]>,
    /// The row is deleted; there are no operands then.
    pub(crate) delete: bool,
    /// What happens to which column; ascending.
    pub(crate) operands: Vec<(usize, Expr)>,
    /// The members of `data` that any of these look at; `None` where one looks at all of it.
    pub(crate) members: Option<Vec<Arc<str>>>,
}

impl Rules {
    /// Returns the current types that do something, in the order of the file.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.type_name.as_ref())
    }

    /// Rules that delete rows and nothing else, for tests of stores, which only see changes.
    pub fn that_delete() -> Self {
        let rule = Rule {
            type_name: "deleted".into(),
            each: None,
            when: None,
            row: SmallVec::new(),
            delete: true,
            operands: Vec::new(),
            members: None,
        };
        Self {
            rules: vec![rule],
            ..Self::default()
        }
    }

    /// Tells whether some event deletes its row.
    pub fn delete_rows(&self) -> bool {
        self.rules.iter().any(|rule| rule.delete)
    }
}
