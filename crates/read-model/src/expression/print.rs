//! The canonical text of an expression: fully bracketed, so that it depends on nothing but what
//! the expression means. It goes into a model's revision and into the reasons of failures.

use std::fmt;

use super::{Arithmetic, Attribute, Comparison, Expr, Path, Root};
use crate::Value;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => literal(f, value),
            Self::Attribute(attribute) => attribute.fmt(f),
            Self::Path(path) => path.fmt(f),
            Self::Has(path) => write!(f, "has({path})"),
            Self::Size(inner) => write!(f, "size({inner})"),
            Self::Month(inner) => write!(f, "month({inner})"),
            Self::Negate(inner) => write!(f, "-{inner}"),
            Self::Not(inner) => write!(f, "!{inner}"),
            Self::Arithmetic(sign, sides) => write!(f, "({} {sign} {})", sides.0, sides.1),
            Self::Compare(sign, sides) => write!(f, "({} {sign} {})", sides.0, sides.1),
            Self::And(sides) => write!(f, "({} && {})", sides.0, sides.1),
            Self::Or(sides) => write!(f, "({} || {})", sides.0, sides.1),
            Self::Choose(parts) => write!(f, "({} ? {} : {})", parts.0, parts.1, parts.2),
            Self::OneOf(inner, values) => {
                write!(f, "({inner} in [")?;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    literal(f, value)?;
                }
                f.write_str("])")
            }
        }
    }
}

fn literal(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Text(text) => write!(f, "'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Uuid(_) | Value::Time(_) => write!(f, "'{value}'"),
        other => write!(f, "{other}"),
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, known)| known == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            Root::Data => "data",
            Root::Item => "item",
        })?;
        for member in &self.members {
            write!(f, ".{member}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}
