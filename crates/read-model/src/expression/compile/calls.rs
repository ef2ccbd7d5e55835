//! Operators and functions.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr as Ast, operators},
};

use super::{Compiled, Compiler, Trouble, operator};
use crate::{
    Value,
    expression::{Arithmetic, Comparison, Expr},
    shape::Kind,
    suggest::did_you_mean,
};

const FUNCTIONS: [&str; 3] = ["size", "month", "has"];

impl Compiler<'_> {
    pub(super) fn call(&mut self, ast: &IdedExpr, call: &CallExpr) -> Result<Compiled, Trouble> {
        let name = operator(&call.func_name);
        if call.target.is_some() {
            let message = format!("nothing is called as `x.{name}(…)`");
            let help = did_you_mean(name, FUNCTIONS)
                .or_else(|| Some(format!("the functions are {}", listed())));
            return Err(self.trouble(ast, message, help));
        }
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => self.both(left, right),
            (operators::LOGICAL_OR, [left, right]) => self.either(left, right),
            (operators::LOGICAL_NOT, [inner]) => {
                let inner = self.condition(inner)?;
                Ok(certain(Expr::Not(Box::new(inner)), Kind::Bool))
            }
            (operators::NEGATE, [inner]) => self.negate(inner),
            (operators::CONDITIONAL, [test, yes, no]) => self.choose(ast, test, yes, no),
            (operators::IN, [value, list]) => self.one_of(ast, value, list),
            ("size", [inner]) => self.size(inner),
            ("month", [inner]) => {
                let time = self.expression(inner)?;
                self.expect(inner, &time, &Kind::Time)?;
                Ok(certain(Expr::Month(Box::new(time.expr)), Kind::Text))
            }
            (name, [left, right]) => match (arithmetic(name), comparison(name)) {
                (Some(sign), _) => self.arithmetic(sign, left, right),
                (_, Some(sign)) => self.compare(ast, sign, left, right),
                _ => Err(self.unknown(ast, name)),
            },
            (name, _) => Err(self.unknown(ast, name)),
        }
    }

    fn unknown(&self, ast: &IdedExpr, name: &str) -> Trouble {
        if name == operators::INDEX {
            return self.indexed(ast);
        }
        if FUNCTIONS.contains(&name) {
            let message = format!("`{name}` takes one argument");
            return self.trouble(ast, message, None);
        }
        let message = format!("there is no function `{name}`");
        let help = did_you_mean(name, FUNCTIONS)
            .unwrap_or_else(|| format!("the functions are {}", listed()));
        self.trouble(ast, message, Some(help))
    }

    pub(super) fn indexed(&self, ast: &IdedExpr) -> Trouble {
        self.refuse(
            ast,
            "a list is not indexed",
            "`each = \"data.list\"` applies the rule to every element, as `item`",
        )
    }

    fn both(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<Compiled, Trouble> {
        let left = self.condition(left)?;
        let right = self.given(&left, true, |this| this.condition(right))?;
        Ok(certain(Expr::And(Box::new((left, right))), Kind::Bool))
    }

    fn either(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<Compiled, Trouble> {
        let left = self.condition(left)?;
        let right = self.given(&left, false, |this| this.condition(right))?;
        Ok(certain(Expr::Or(Box::new((left, right))), Kind::Bool))
    }

    fn negate(&mut self, inner: &IdedExpr) -> Result<Compiled, Trouble> {
        let number = self.expression(inner)?;
        self.expect(inner, &number, &Kind::Int)?;
        Ok(certain(Expr::Negate(Box::new(number.expr)), Kind::Int))
    }

    fn choose(
        &mut self,
        ast: &IdedExpr,
        test: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Result<Compiled, Trouble> {
        let test = self.condition(test)?;
        let yes = self.given(&test, true, |this| this.expression(yes))?;
        let no = self.given(&test, false, |this| this.expression(no))?;
        let kind = match (&yes.kind, &no.kind) {
            (Kind::Null, kind) | (kind, Kind::Null) => kind.clone(),
            (one, other) if one == other => one.clone(),
            (one, other) => {
                let message = format!("one side of `? :` is {one}, the other {other}");
                return Err(self.trouble(ast, message, None));
            }
        };
        Ok(Compiled {
            nullable: yes.nullable || no.nullable,
            expr: Expr::Choose(Box::new((test, yes.expr, no.expr))),
            kind,
        })
    }

    fn size(&mut self, inner: &IdedExpr) -> Result<Compiled, Trouble> {
        let sized = self.expression(inner)?;
        if !matches!(sized.kind, Kind::Text | Kind::List(_)) {
            let message = format!("`{}` is {}, which has no size", sized.expr, sized.kind);
            return Err(self.trouble(inner, message, None));
        }
        if sized.nullable {
            return Err(self.nullable(inner, &sized.expr));
        }
        Ok(certain(Expr::Size(Box::new(sized.expr)), Kind::Int))
    }

    fn arithmetic(
        &mut self,
        sign: Arithmetic,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<Compiled, Trouble> {
        let (one, other) = (self.expression(left)?, self.expression(right)?);
        self.expect(left, &one, &Kind::Int)?;
        self.expect(right, &other, &Kind::Int)?;
        let sides = Box::new((one.expr, other.expr));
        Ok(certain(Expr::Arithmetic(sign, sides), Kind::Int))
    }

    fn compare(
        &mut self,
        ast: &IdedExpr,
        sign: Comparison,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<Compiled, Trouble> {
        let (mut one, mut other) = (self.expression(left)?, self.expression(right)?);
        self.literal_as(right, &mut other, &one.kind)?;
        self.literal_as(left, &mut one, &other.kind)?;
        let equality = matches!(sign, Comparison::Equal | Comparison::NotEqual);
        let with_null = one.kind == Kind::Null || other.kind == Kind::Null;
        let simple = |kind: &Kind| {
            matches!(kind, Kind::Uuid | Kind::Text | Kind::Int | Kind::Time)
                || (equality && *kind == Kind::Bool)
        };
        if equality && with_null {
            // Anything can be compared with null.
        } else if one.kind != other.kind || !simple(&one.kind) {
            let message = format!("`{sign}` cannot compare {} with {}", one.kind, other.kind);
            return Err(self.trouble(ast, message, None));
        } else if !equality && one.nullable {
            return Err(self.nullable(left, &one.expr));
        } else if !equality && other.nullable {
            return Err(self.nullable(right, &other.expr));
        }
        let sides = Box::new((one.expr, other.expr));
        Ok(certain(Expr::Compare(sign, sides), Kind::Bool))
    }

    fn one_of(
        &mut self,
        ast: &IdedExpr,
        value: &IdedExpr,
        list: &IdedExpr,
    ) -> Result<Compiled, Trouble> {
        let value = self.expression(value)?;
        let Ast::List(list) = &list.expr else {
            return Err(self.refuse(
                ast,
                "to the right of `in` stands a list of literals",
                "write it as in `data.method in ['card', 'voucher']`",
            ));
        };
        let mut values = Vec::new();
        for element in &list.elements {
            let mut literal = self.expression(element)?;
            self.literal_as(element, &mut literal, &value.kind)?;
            match literal.expr {
                Expr::Literal(known) if literal.kind == value.kind => values.push(known),
                other => {
                    let message = format!("`{other}` is no literal of type {}", value.kind);
                    return Err(self.trouble(element, message, None));
                }
            }
        }
        Ok(certain(
            Expr::OneOf(Box::new(value.expr), values),
            Kind::Bool,
        ))
    }

    /// Ids and times are written as texts; beside one of them, a literal text is read as it.
    fn literal_as(
        &self,
        ast: &IdedExpr,
        literal: &mut Compiled,
        kind: &Kind,
    ) -> Result<(), Trouble> {
        let Expr::Literal(Value::Text(text)) = &literal.expr else {
            return Ok(());
        };
        let value = match kind {
            Kind::Uuid => uuid::Uuid::try_parse(text).ok().map(Value::Uuid),
            Kind::Time => text.parse().ok().map(Value::Time),
            _ => return Ok(()),
        };
        let Some(value) = value else {
            return Err(self.trouble(ast, format!("'{text}' is no {kind}"), None));
        };
        *literal = certain(Expr::Literal(value), kind.clone());
        Ok(())
    }
}

fn certain(expr: Expr, kind: Kind) -> Compiled {
    Compiled {
        expr,
        kind,
        nullable: false,
    }
}

fn listed() -> String {
    FUNCTIONS.map(|name| format!("`{name}`")).join(", ")
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        operators::ADD => Arithmetic::Add,
        operators::SUBSTRACT => Arithmetic::Subtract,
        operators::MULTIPLY => Arithmetic::Multiply,
        operators::DIVIDE => Arithmetic::Divide,
        operators::MODULO => Arithmetic::Remainder,
        _ => return None,
    })
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}
