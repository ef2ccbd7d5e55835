//! Expressions over one event: a typed subset of CEL, compiled once when a file is loaded.
//!
//! The parser is the `cel` crate's; what it reads is compiled to [`Expr`], whose types have been
//! checked against the event's schema, and evaluated by a few direct look-ups. Allowed are the
//! names `id`, `type`, `context`, `time`, `subject`, `sequence`, `lanesequence`, `data` and `item`,
//! literals, `+ - * / %` on 64-bit integers, comparisons, `in` with a list of literals,
//! `&& || !` (left to right), `? :`, and the functions `size`, `month` and `has`.
//!
//! `has(path)` is true where the path holds a value: it is neither absent nor null. A condition
//! that says so (`when`, the left side of `&&`, the test of `? :`) proves it for what it guards.

mod compile;
mod evaluate;
mod print;

use std::sync::Arc;

pub(crate) use compile::{Compiled, Compiler, Names, Trouble, may_be_null, proven, there};
pub(crate) use evaluate::Input;

use crate::Value;

/// A compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Literal(Value),
    Attribute(Attribute),
    Path(Path),
    Has(Path),
    Size(Box<Expr>),
    Month(Box<Expr>),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    Arithmetic(Arithmetic, Box<(Expr, Expr)>),
    Compare(Comparison, Box<(Expr, Expr)>),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Choose(Box<(Expr, Expr, Expr)>),
    OneOf(Box<Expr>, Vec<Value>),
}

/// What the envelope says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Id,
    Type,
    Context,
    Time,
    Subject,
    Sequence,
    LaneSequence,
}

impl Attribute {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("id", Self::Id),
        ("type", Self::Type),
        ("context", Self::Context),
        ("time", Self::Time),
        ("subject", Self::Subject),
        ("sequence", Self::Sequence),
        ("lanesequence", Self::LaneSequence),
    ];
}

/// A place in `data` or in `item`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) members: Vec<Arc<str>>,
    pub(crate) read: Read,
    /// Whether the value there is personal: wrapped, and null once it is sealed.
    pub(crate) personal: bool,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Data,
    Item,
}

/// The type that a path's value is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Uuid,
    Text,
    Int,
    Bool,
    Time,
    Json,
}

/// An operation on two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A comparison of two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[cfg(test)]
mod tests;
