//! What a rule does to columns: `set`, `add`, `max` and `min`, each of a type that fits.

use super::{Checker, rules::View};
use crate::{
    Role,
    definition::{Formula, On},
    expression::{Compiled, Expr, there},
    shape::Kind,
};

impl Checker<'_, '_> {
    /// Compiles the operations of one rule to (declared column, expression).
    pub(super) fn operands(&mut self, on: &On, view: &View<'_>) -> Vec<(usize, Expr)> {
        let mut operands: Vec<(usize, Expr)> = Vec::new();
        for (role, entries) in [
            (Role::Set, &on.set),
            (Role::Add, &on.add),
            (Role::Max, &on.max),
            (Role::Min, &on.min),
        ] {
            for (name, formula) in entries.iter() {
                let Some(column) = self.declared(name.get_ref()) else {
                    continue;
                };
                let Some(compiled) = self.compile(formula, view) else {
                    continue;
                };
                let fits = self.fits(formula, &compiled, column, view);
                if fits && role == Role::Add && compiled.nullable {
                    self.not_added(formula, &compiled, view);
                }
                // A second role has been told of.
                if operands.iter().all(|(known, _)| *known != column) {
                    operands.push((column, compiled.expr));
                }
            }
        }
        operands
    }

    fn not_added(&mut self, formula: &Formula, compiled: &Compiled, view: &View<'_>) {
        let expr = &compiled.expr;
        let trouble = format!(
            "`{expr}` may be null or absent in `{}`, and nothing is no number",
            view.event
        );
        let help = there(expr).map(|there| format!("write \"{there} ? {expr} : 0\""));
        self.troubles.add(formula.span(), trouble, help);
    }

    /// Checks that the value of an expression is of its column's type, or tells that it is not.
    pub(super) fn fits(
        &mut self,
        formula: &Formula,
        compiled: &Compiled,
        column: usize,
        view: &View<'_>,
    ) -> bool {
        let column = &self.columns[column];
        if column.broken || compiled.kind.fits(column.column_type) {
            return true;
        }
        let name = column.name.get_ref();
        let trouble = format!(
            "`{}` is {} in `{}`, and the column `{name}` is {}",
            compiled.expr, compiled.kind, view.event, column.column_type
        );
        let help = match (&column.role, &compiled.kind) {
            // A sum of another type would only be refused next.
            (Some((Role::Add, _)), _) => None,
            (_, Kind::Number | Kind::Json | Kind::List(_) | Kind::Object(_)) => {
                Some(format!("declare {name} = \"json\", or take a member of it"))
            }
            (_, kind) => Some(format!("declare {name} = \"{kind}\"")),
        };
        self.troubles.add(formula.span(), trouble, help);
        false
    }
}
