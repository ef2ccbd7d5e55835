//! Names and paths: where they lead, of what type that is, and whether it is always there.

use std::sync::Arc;

use cel::{
    IdedExpr,
    common::ast::{Expr as Ast, SelectExpr, operators},
};

use super::{Compiled, Compiler, Trouble, attribute};
use crate::{
    expression::{Attribute, Expr, Path, Read, Root},
    shape::{Kind, Shape},
    suggest::did_you_mean,
};

/// Where a path has led so far.
struct Place<'s> {
    path: Path,
    shape: &'s Shape,
    nullable: bool,
}

impl<'s> Compiler<'s> {
    pub(super) fn name(&self, ast: &IdedExpr, name: &str) -> Result<Compiled, Trouble> {
        if let Some((attribute, kind)) = attribute(name) {
            return Ok(Compiled {
                expr: Expr::Attribute(attribute),
                kind,
                nullable: false,
            });
        }
        self.root(ast, name).map(read)
    }

    pub(super) fn path(&self, ast: &IdedExpr, select: &SelectExpr) -> Result<Compiled, Trouble> {
        self.place(ast, select).map(read)
    }

    pub(super) fn has(&self, ast: &IdedExpr, select: &SelectExpr) -> Result<Compiled, Trouble> {
        let Compiled { expr, .. } = self.path(ast, select)?;
        let Expr::Path(path) = expr else {
            return Err(self.refuse(ast, "`has` takes a path", "write `has(data.name)`"));
        };
        Ok(Compiled {
            expr: Expr::Has(path),
            kind: Kind::Bool,
            nullable: false,
        })
    }

    fn root(&self, ast: &IdedExpr, name: &str) -> Result<Place<'s>, Trouble> {
        let (root, shape) = match (name, self.names.item) {
            ("data", _) => (Root::Data, self.names.data),
            ("item", Some(item)) => (Root::Item, item),
            ("item", None) => {
                return Err(self.refuse(
                    ast,
                    "there is no `item` without `each`",
                    "`each = \"data.list\"` applies the rule to every element, as `item`",
                ));
            }
            _ => return Err(self.unknown_name(ast, name)),
        };
        let path = Path {
            root,
            members: Vec::new(),
            read: Read::Json,
            personal: false,
        };
        Ok(Place {
            path,
            shape,
            nullable: shape.nullable && !self.proven.iter().any(|proven| proven == name),
        })
    }

    fn unknown_name(&self, ast: &IdedExpr, name: &str) -> Trouble {
        let known = Attribute::ALL.map(|(name, _)| name);
        let help = match self.names.data.member(name) {
            Some(_) => format!("write `data.{name}`"),
            None => did_you_mean(name, known.into_iter().chain(["data", "item"]))
                .unwrap_or_else(|| format!("a text stands in single quotes: `'{name}'`")),
        };
        self.trouble(ast, format!("`{name}` is no name"), Some(help))
    }

    fn place(&self, ast: &IdedExpr, select: &SelectExpr) -> Result<Place<'s>, Trouble> {
        let operand = &select.operand;
        let before = match &operand.expr {
            Ast::Ident(name) if attribute(name).is_none() => self.root(operand, name)?,
            Ast::Select(inner) if !inner.test => self.place(operand, inner)?,
            Ast::Call(call) if call.func_name == operators::INDEX => {
                return Err(self.indexed(operand));
            }
            _ => {
                let message = "only `data` and `item` have members".to_owned();
                return Err(self.trouble(ast, message, None));
            }
        };
        self.step(ast, before, &select.field)
    }

    fn step(&self, ast: &IdedExpr, before: Place<'s>, name: &str) -> Result<Place<'s>, Trouble> {
        static ANYTHING: Shape = Shape {
            kind: Kind::Json,
            nullable: true,
        };
        let (shape, required) = match &before.shape.kind {
            Kind::Object(members) => match members.get(name) {
                Some(member) => (&member.shape, member.required),
                None => {
                    let message = format!("`{}` has no `{name}`", before.path);
                    let help = did_you_mean(name, members.keys().map(String::as_str));
                    return Err(self.trouble(ast, message, help));
                }
            },
            Kind::Json => (&ANYTHING, false),
            Kind::Personal(_) => {
                let (message, help) = (
                    format!("`{}` is a personal value", before.path),
                    format!("`{}` alone is its plain value, or null", before.path),
                );
                return Err(self.trouble(ast, message, Some(help)));
            }
            other => {
                let message = format!("`{}` is {other} and has no members", before.path);
                return Err(self.trouble(ast, message, None));
            }
        };
        let mut path = before.path;
        path.members.push(Arc::from(name));
        let proven = self.proven.contains(&path.to_string());
        let nullable = !proven && (before.nullable || !required || shape.nullable);
        Ok(Place {
            path,
            shape,
            nullable,
        })
    }
}

impl Shape {
    fn member(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Object(members) => members.get(name).map(|member| &member.shape),
            _ => None,
        }
    }
}

/// Reads what a path leads to; a personal value as its plain value.
fn read(place: Place<'_>) -> Compiled {
    let mut path = place.path;
    let mut kind = &place.shape.kind;
    if let Kind::Personal(plain) = kind {
        path.personal = true;
        kind = &plain.kind;
    }
    path.read = match kind {
        Kind::Uuid => Read::Uuid,
        Kind::Text => Read::Text,
        Kind::Int => Read::Int,
        Kind::Bool => Read::Bool,
        Kind::Time => Read::Time,
        _ => Read::Json,
    };
    Compiled {
        kind: kind.clone(),
        nullable: place.nullable,
        expr: Expr::Path(path),
    }
}
