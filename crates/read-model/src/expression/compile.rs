//! From CEL to [`Expr`]: only what the subset allows, with every type checked on the way.

mod calls;
mod paths;

use cel::{
    IdedExpr,
    common::ast::{Expr as Ast, LiteralValue, SourceInfo, operators},
    parser::Parser,
};

use super::{Attribute, Comparison, Expr, Path};
use crate::{
    Value,
    shape::{Kind, Shape},
};

/// The longest expression, in bytes.
const LENGTH_MAX: usize = 2000;

/// The names that an expression can use besides those of the envelope.
#[derive(Clone, Copy)]
pub(crate) struct Names<'s> {
    pub(crate) data: &'s Shape,
    /// The shape of an element, where the rule has `each`.
    pub(crate) item: Option<&'s Shape>,
}

/// An expression and what is known of its value.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) expr: Expr,
    pub(crate) kind: Kind,
    /// Whether the value may be null or absent.
    pub(crate) nullable: bool,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Where in the expression, in bytes; `None` for the whole of it.
    pub(crate) at: Option<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Compiles expressions of one rule.
pub(crate) struct Compiler<'s> {
    names: Names<'s>,
    source: SourceInfo,
    /// The paths that some condition has proven to hold a value.
    proven: Vec<String>,
}

impl<'s> Compiler<'s> {
    /// Compiles `text`; `proven` are the paths that are known to hold a value.
    pub(crate) fn compile(
        text: &str,
        names: Names<'s>,
        proven: &[String],
    ) -> Result<Compiled, Trouble> {
        let (ast, source) = parse(text)?;
        let mut compiler = Self {
            names,
            source,
            proven: proven.to_vec(),
        };
        compiler.expression(&ast)
    }

    fn expression(&mut self, ast: &IdedExpr) -> Result<Compiled, Trouble> {
        match &ast.expr {
            Ast::Literal(literal) => self.literal(ast, literal),
            Ast::Ident(name) => self.name(ast, name),
            Ast::Select(select) if select.test => self.has(ast, select),
            Ast::Select(select) => self.path(ast, select),
            Ast::Call(call) => self.call(ast, call),
            Ast::Comprehension(_) => Err(self.refuse(
                ast,
                "nothing loops inside an expression",
                "`each = \"data.list\"` applies the rule to every element, as `item`",
            )),
            Ast::List(_) => Err(self.refuse(
                ast,
                "a list can only stand to the right of `in`",
                "write it as in `data.method in ['card', 'voucher']`",
            )),
            Ast::Map(_) | Ast::Struct(_) | Ast::Unspecified => Err(self.refuse(
                ast,
                "an expression makes single values, no objects",
                "set one column for each member",
            )),
        }
    }

    fn literal(&self, ast: &IdedExpr, literal: &LiteralValue) -> Result<Compiled, Trouble> {
        let (value, kind) = match literal {
            LiteralValue::Boolean(yes) => (Value::Bool(*yes.inner()), Kind::Bool),
            LiteralValue::Int(number) => (Value::Bigint(*number.inner()), Kind::Int),
            LiteralValue::String(text) => (Value::Text(text.inner().into()), Kind::Text),
            LiteralValue::Null => (Value::Null, Kind::Null),
            LiteralValue::Double(_) => {
                return Err(self.refuse(
                    ast,
                    "there are no decimal numbers",
                    "count in the smallest unit, as an integer",
                ));
            }
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) => {
                return Err(self.refuse(
                    ast,
                    "literals are integers, texts, `true`, `false` and `null`",
                    "write it without the letter",
                ));
            }
        };
        let nullable = kind == Kind::Null;
        Ok(Compiled {
            expr: Expr::Literal(value),
            kind,
            nullable,
        })
    }

    /// Compiles what must be true or false.
    fn condition(&mut self, ast: &IdedExpr) -> Result<Expr, Trouble> {
        let compiled = self.expression(ast)?;
        self.expect(ast, &compiled, &Kind::Bool)?;
        Ok(compiled.expr)
    }

    /// Checks that a value is there and of the type that is needed.
    fn expect(&self, ast: &IdedExpr, compiled: &Compiled, kind: &Kind) -> Result<(), Trouble> {
        if compiled.kind != *kind && compiled.kind != Kind::Null {
            let message = format!("`{}` is {}, not {kind}", compiled.expr, compiled.kind);
            return Err(self.trouble(ast, message, None));
        }
        if compiled.nullable {
            return Err(self.nullable(ast, &compiled.expr));
        }
        Ok(())
    }

    fn nullable(&self, ast: &IdedExpr, expr: &Expr) -> Trouble {
        let (message, help) = may_be_null(expr);
        self.trouble(ast, message, help)
    }

    /// Compiles `inner` where `condition` came out as `truth`.
    fn given<T>(
        &mut self,
        condition: &Expr,
        truth: bool,
        inner: impl FnOnce(&mut Self) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let before = self.proven.len();
        self.proven.extend(proven(condition, truth));
        let result = inner(self);
        self.proven.truncate(before);
        result
    }

    fn trouble(&self, ast: &IdedExpr, message: String, help: Option<String>) -> Trouble {
        let text = self.source.source.as_bytes();
        let at = self.source.offset_for(ast.id).map(|(start, _)| {
            let start = start as usize;
            // The parser places a member at its dot.
            start + usize::from(text.get(start) == Some(&b'.'))
        });
        Trouble { at, message, help }
    }

    fn refuse(&self, ast: &IdedExpr, message: &str, help: &str) -> Trouble {
        self.trouble(ast, message.into(), Some(help.into()))
    }
}

/// Says that a value may be null, and what to do about it.
pub(crate) fn may_be_null(expr: &Expr) -> (String, Option<String>) {
    let message = format!("`{expr}` may be null or absent");
    let help = there(expr)
        .map(|there| format!("add `when = \"{there}\"`, or write `{there} ? {expr} : …`"));
    (message, help)
}

/// Returns the condition under which a path holds a value.
pub(crate) fn there(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(path) if path.members.is_empty() => Some(format!("{path} != null")),
        Expr::Path(path) => Some(format!("has({path})")),
        _ => None,
    }
}

/// Returns the paths that hold a value where the condition came out as `truth`.
pub(crate) fn proven(condition: &Expr, truth: bool) -> Vec<String> {
    match (condition, truth) {
        (Expr::Has(path), true) => prefixes(path),
        (Expr::Compare(Comparison::NotEqual, sides), true)
        | (Expr::Compare(Comparison::Equal, sides), false) => match sides.as_ref() {
            (Expr::Path(path), Expr::Literal(Value::Null))
            | (Expr::Literal(Value::Null), Expr::Path(path)) => prefixes(path),
            _ => Vec::new(),
        },
        (Expr::And(sides), true) | (Expr::Or(sides), false) => {
            let mut paths = proven(&sides.0, truth);
            paths.extend(proven(&sides.1, truth));
            paths
        }
        (Expr::Not(inner), _) => proven(inner, !truth),
        _ => Vec::new(),
    }
}

/// What is inside of something proves that the outer thing is there as well.
fn prefixes(path: &Path) -> Vec<String> {
    (0..=path.members.len())
        .map(|length| {
            let members = path.members[..length].to_vec();
            Path {
                members,
                ..path.clone()
            }
            .to_string()
        })
        .collect()
}

fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), Trouble> {
    let whole = |message: String, help: Option<&str>| Trouble {
        at: None,
        message,
        help: help.map(str::to_owned),
    };
    if text.len() > LENGTH_MAX {
        let message = format!("an expression has at most {LENGTH_MAX} bytes");
        return Err(whole(message, None));
    }
    if text.trim().is_empty() {
        return Err(whole("the expression is empty".into(), None));
    }
    Parser::new()
        .parse_with_source_info(text)
        .map_err(|errors| {
            // What the parser could not read leads to troubles of its own; those say nothing.
            let first = errors
                .errors
                .iter()
                .find(|error| !error.msg.starts_with("Incomplete"));
            let Some(first) = first else {
                return whole("this is no expression".into(), None);
            };
            // Places of errors count characters, those of expressions bytes.
            let at = usize::try_from(first.pos.1 - 1).ok();
            let at = at.and_then(|at| text.char_indices().nth(at));
            let (message, help) = explain(&first.msg);
            Trouble {
                at: at.map(|(at, _)| at),
                message,
                help: help.map(str::to_owned),
            }
        })
}

/// Says what the parser means.
fn explain(message: &str) -> (String, Option<&'static str>) {
    if message.contains("has() macro") {
        let message = "`has` takes a member, as in `has(data.name)`";
        return (message.into(), None);
    }
    if message.starts_with("invalid int literal") {
        return ("this number does not fit into 64 bits".into(), None);
    }
    let message = message.trim_start_matches("Syntax error: ");
    // It lists every token it would have taken, which helps nobody.
    let message = message.split(" expecting ").next().unwrap_or(message);
    (
        format!("this is no expression: {message}"),
        Some("texts stand in single quotes, as in `'placed'`"),
    )
}

/// Finds an attribute of the envelope by name.
fn attribute(name: &str) -> Option<(Attribute, Kind)> {
    let (_, attribute) = Attribute::ALL.iter().find(|(known, _)| *known == name)?;
    let kind = match attribute {
        Attribute::Id | Attribute::Subject => Kind::Uuid,
        Attribute::Type | Attribute::Context => Kind::Text,
        Attribute::Time => Kind::Time,
        Attribute::Sequence | Attribute::LaneSequence => Kind::Int,
    };
    Some((*attribute, kind))
}

/// The operators that CEL spells as calls.
fn operator(name: &str) -> &str {
    operators::find_operator(name).unwrap_or(name)
}
