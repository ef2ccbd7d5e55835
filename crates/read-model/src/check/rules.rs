//! The rules: which events do something, how they find their rows, and when they apply.

use std::sync::Arc;

use foldline_schema::StoredType;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Checker, key::Key};
use crate::{
    Rules, Scope, Value,
    definition::{Formula, On, Text},
    expression::{
        Attribute, Compiled, Compiler, Expr, Names, Path, Trouble, may_be_null, proven, there,
    },
    members,
    rules::{KnownType, Rule},
    shape::{Kind, Shape},
    suggest::did_you_mean,
};

/// Stands in for a row expression that was refused.
const MISSING: Expr = Expr::Literal(Value::Null);

/// What the expressions of one rule can see.
pub(super) struct View<'a> {
    pub(super) event: &'a str,
    pub(super) data: &'a Shape,
    pub(super) item: Option<Shape>,
    /// Whether there is an `each` that was refused, so that nothing is to be said about items.
    pub(super) broken_item: bool,
    pub(super) proven: Vec<String>,
}

impl<'c> Checker<'c, '_> {
    /// Compiles every `[on.…]`, and takes the user into the key.
    pub(super) fn rules(&mut self, key: &mut Key) -> Rules {
        let definition = self.definition;
        self.only_key_columns(key);
        let mut rules = Vec::new();
        for (name, on) in definition.on.iter() {
            if let Some(stored) = self.event_type(name) {
                let data = Shape::of_schema(&stored.schema);
                rules.push(self.rule(key, name, on, &data));
            }
        }
        if definition.on.is_empty() {
            let span = definition.name.span();
            let help = "add a rule, as in [on.\"order.placed.v1\"] set = { status = \"'placed'\" }";
            self.troubles.add(span, "no event does anything", help);
        }
        self.idle_sources();
        self.user(key, &mut rules);
        self.whole_partition(key);
        self.known(rules)
    }

    fn only_key_columns(&mut self, key: &Key) {
        if !self.key_is_sound {
            return;
        }
        let definition = self.definition;
        let below = definition.on.iter().flat_map(|(_, on)| on.row.iter());
        for (name, _) in definition.row.iter().chain(below) {
            match self.declared(name.get_ref()) {
                None => self.no_column(name.get_ref(), name.span()),
                Some(declared) if key.holds(declared) => {}
                Some(_) => {
                    let trouble = format!("`{}` is not part of the key", name.get_ref());
                    let help =
                        "`row` says how an event finds its row; fill other columns with `set`";
                    self.troubles.add(name.span(), trouble, help);
                }
            }
        }
    }

    /// Finds the type of a rule, which must be a current one of a context that feeds the model.
    fn event_type(&mut self, name: &Text) -> Option<&'c StoredType> {
        let (catalog, text) = (self.catalog, name.get_ref().as_str());
        let Some(stored) = catalog.get(text) else {
            let current = self.catalog.types().filter(|known| known.is_current());
            let help = did_you_mean(text, current.map(|known| known.name)).unwrap_or_else(|| {
                "`market schema` lists every event type and its fields".to_owned()
            });
            let trouble = format!("there is no event type `{text}`");
            self.troubles.add(name.span(), trouble, help);
            return None;
        };
        if !stored.is_current() {
            let current = self.catalog.current_name(text).unwrap_or_default();
            let trouble = format!("`{text}` is an older shape, which is read as `{current}`");
            let help = format!("write [on.\"{current}\"]: it takes in the older events too");
            self.troubles.add(name.span(), trouble, help);
            return None;
        }
        if !self.source.contains(&stored.context) {
            let context = &stored.context;
            let trouble = format!("`{text}` is an event of `{context}`, which is not a source");
            let help = format!("add \"{context}\" to `source`");
            self.troubles.add(name.span(), trouble, help);
            return None;
        }
        Some(stored)
    }

    /// A source makes a model wait and follow; one that does nothing is an oversight.
    fn idle_sources(&mut self) {
        let definition = self.definition;
        for context in self.source.clone() {
            let of_context = |name: &str| {
                let stored = self.catalog.get(name);
                stored.is_none_or(|stored| stored.context == context)
            };
            if !definition.on.names().any(of_context) {
                let trouble = format!("`{context}` is a source, but no rule is about its events");
                let help = "add a rule for one of them, or remove it";
                self.troubles.add(definition.source.span(), trouble, help);
            }
        }
    }

    fn rule(&mut self, key: &Key, name: &Text, on: &On, data: &Shape) -> Rule {
        let mut view = View {
            event: name.get_ref(),
            data,
            item: None,
            broken_item: false,
            proven: Vec::new(),
        };
        let definition = self.definition;
        let each = on.each.as_ref().or(definition.each.as_ref());
        let each = each.and_then(|each| self.each(each, &mut view));
        let when = on.when.as_ref().or(definition.when.as_ref());
        let when = when.and_then(|when| self.when(when, &mut view));
        let row = self.row(key, name, on, &view);
        let delete = on.delete.as_ref().is_some_and(|delete| *delete.get_ref());
        let operands = self.operands(on, &view);
        if delete && !operands.is_empty() {
            let help = "a row that was deleted starts afresh with the next event that writes it";
            let trouble = "a rule deletes its row or writes it, not both";
            self.troubles.add(name.span(), trouble, help);
        }
        Rule {
            type_name: Arc::from(name.get_ref().as_str()),
            each,
            when,
            row,
            delete,
            operands,
            members: None,
        }
    }

    fn each(&mut self, each: &Formula, view: &mut View<'_>) -> Option<Path> {
        view.broken_item = true;
        let names = Names {
            data: view.data,
            item: None,
        };
        let compiled = self.compile_over(each, names, view)?;
        match (compiled.expr, compiled.kind) {
            (Expr::Path(path), Kind::List(item)) => {
                (view.item, view.broken_item) = (Some(*item), false);
                Some(path)
            }
            (expr, kind) => {
                let trouble = format!(
                    "`each` takes a list, and `{expr}` is {kind} (for `{}`)",
                    view.event
                );
                let help = "name a list of the event, as in each = \"data.lines\"";
                self.troubles.add(each.span(), trouble, help);
                None
            }
        }
    }

    fn when(&mut self, when: &Formula, view: &mut View<'_>) -> Option<Expr> {
        let compiled = self.compile(when, view)?;
        if compiled.kind != Kind::Bool || compiled.nullable {
            let (trouble, help) = if compiled.kind == Kind::Bool {
                may_be_null(&compiled.expr)
            } else {
                let trouble = format!(
                    "`when` takes a condition, and `{}` is {}",
                    compiled.expr, compiled.kind
                );
                (trouble, None)
            };
            self.troubles.add(when.span(), trouble, help);
            return None;
        }
        view.proven = proven(&compiled.expr, true);
        Some(compiled.expr)
    }

    fn row(&mut self, key: &Key, name: &Text, on: &On, view: &View<'_>) -> SmallVec<[Expr; 3]> {
        let definition = self.definition;
        let mut row = SmallVec::new();
        for declared in key.columns.iter().filter_map(|column| column.declared) {
            let column = self.columns[declared].name.get_ref().clone();
            let formula = on.row.get(&column).or_else(|| definition.row.get(&column));
            let Some(formula) = formula else {
                let trouble = format!(
                    "nothing says which `{column}` the row of `{}` has",
                    view.event
                );
                let help = format!("add row = {{ {column} = … }}, here or at the top");
                self.troubles.add(name.span(), trouble, help);
                row.push(MISSING);
                continue;
            };
            let Some(compiled) = self.compile(formula, view) else {
                row.push(MISSING);
                continue;
            };
            if self.fits(formula, &compiled, declared, view) && compiled.nullable {
                let trouble = format!(
                    "`{}` may be null or absent in `{}`, and a key never is",
                    compiled.expr, view.event
                );
                let help = there(&compiled.expr)
                    .map(|there| format!("skip such events: when = \"{there}\""));
                self.troubles.add(formula.span(), trouble, help);
            }
            row.push(compiled.expr);
        }
        row
    }

    /// In scope `user` the user is part of the key: the column that every event fills with
    /// `subject`, else a hidden one.
    fn user(&mut self, key: &mut Key, rules: &mut [Rule]) {
        if self.scope != Scope::User {
            return;
        }
        let subject = Expr::Attribute(Attribute::Subject);
        for place in 0..key.columns.len() {
            let in_place = || rules.iter().map(|rule| &rule.row[place]);
            match in_place().filter(|expr| **expr == subject).count() {
                0 => {}
                _ if in_place().any(|expr| *expr == MISSING) => {}
                all if all == rules.len() => {
                    key.user = Some(place);
                    return;
                }
                _ => {
                    let declared = key.columns[place].declared.unwrap_or_default();
                    let name = self.columns[declared].name.clone();
                    let trouble = format!(
                        "`{}` is the user in some events and something else in others",
                        name.get_ref()
                    );
                    let help = "write `subject` in every `row`, or in none of them";
                    self.troubles.add(name.span(), trouble, help);
                }
            }
        }
        let place = key.hide_user();
        for rule in rules {
            rule.row.insert(place, subject.clone());
        }
    }

    fn known(&self, mut rules: Vec<Rule>) -> Rules {
        for rule in &mut rules {
            rule.members = members::of(rule);
        }
        let rule_of = |current: &str| {
            rules
                .iter()
                .position(|rule| rule.type_name.as_ref() == current)
        };
        let known: FxHashMap<_, _> = self
            .catalog
            .types()
            .map(|stored| {
                let known = KnownType {
                    context: stored.context.clone(),
                    rule: self.catalog.current_name(stored.name).and_then(rule_of),
                };
                (Arc::from(stored.name), known)
            })
            .collect();
        Rules { known, rules }
    }

    /// Compiles an expression; what is wrong with it is told where it stands.
    pub(super) fn compile(&mut self, formula: &Formula, view: &View<'_>) -> Option<Compiled> {
        if view.broken_item && formula.text().contains("item") {
            return None;
        }
        let names = Names {
            data: view.data,
            item: view.item.as_ref(),
        };
        self.compile_over(formula, names, view)
    }

    fn compile_over(
        &mut self,
        formula: &Formula,
        names: Names<'_>,
        view: &View<'_>,
    ) -> Option<Compiled> {
        match Compiler::compile(formula.text(), names, &view.proven) {
            Ok(compiled) => Some(compiled),
            Err(Trouble { at, message, help }) => {
                let inside = self.troubles.inside(&formula.span(), formula.text());
                let start = inside
                    .zip(at)
                    .map_or(formula.span().start, |(inside, at)| inside + at);
                let span = start..formula.span().end;
                let trouble = format!("{message} (for `{}`)", view.event);
                self.troubles.add(span, trouble, help);
                None
            }
        }
    }
}
