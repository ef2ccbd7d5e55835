//! Evaluating a compiled expression over one event; pure, so that a failure is a fact about the
//! event and the definition, never about the moment.

use std::borrow::Cow;

use foldline_kernel::Timestamp;
use foldline_schema::Event;
use serde_json_borrow::Value as Json;
use uuid::Uuid;

use super::{Arithmetic, Attribute, Comparison, Expr, Path, Read, Root};
use crate::Value;

/// What an expression may look at.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) event: &'a Event,
    /// The current type, which an older stored one is read as.
    pub(crate) type_name: &'a str,
    /// The data in its current shape.
    pub(crate) data: &'a Json<'a>,
    /// The element, where the rule has `each`.
    pub(crate) item: Option<&'a Json<'a>>,
}

/// A value on the way; it borrows from the event.
#[derive(Clone, Debug, PartialEq)]
enum Scalar<'a> {
    /// A plain path that leads nowhere; anything computed from it is null.
    Absent,
    Null,
    Uuid(Uuid),
    Text(Cow<'a, str>),
    Int(i64),
    Bool(bool),
    Time(Timestamp),
    Json(&'a Json<'a>),
}

/// Why an expression has no value for this event.
type Reason = String;

impl Expr {
    /// Evaluates to a column's value; `None` where a plain path is absent.
    pub(crate) fn value(&self, input: &Input<'_>) -> Result<Option<Value>, Reason> {
        if let Self::Literal(value) = self {
            return Ok(Some(value.clone()));
        }
        Ok(Some(match self.scalar(input)? {
            Scalar::Absent if matches!(self, Self::Path(_)) => return Ok(None),
            Scalar::Absent | Scalar::Null => Value::Null,
            Scalar::Uuid(id) => Value::Uuid(id),
            // A zero byte is valid JSON text, but not every store can hold one.
            Scalar::Text(text) if text.contains('\0') => {
                Value::Text(text.replace('\0', "\u{fffd}").into())
            }
            Scalar::Text(text) => Value::Text(text.into()),
            Scalar::Int(number) => Value::Bigint(number),
            Scalar::Bool(yes) => Value::Bool(yes),
            Scalar::Time(time) => Value::Time(time),
            Scalar::Json(json) => Value::Json(compact(json).into()),
        }))
    }

    /// Evaluates a condition.
    pub(crate) fn holds(&self, input: &Input<'_>) -> Result<bool, Reason> {
        match self.scalar(input)? {
            Scalar::Bool(yes) => Ok(yes),
            other => Err(format!("`{self}` is {}, not true or false", other.name())),
        }
    }

    fn int(&self, input: &Input<'_>) -> Result<i64, Reason> {
        match self.scalar(input)? {
            Scalar::Int(number) => Ok(number),
            other => Err(format!("`{self}` is {}, not an integer", other.name())),
        }
    }

    fn scalar<'a>(&'a self, input: &Input<'a>) -> Result<Scalar<'a>, Reason> {
        Ok(match self {
            Self::Literal(value) => Scalar::of(value),
            Self::Attribute(attribute) => attribute.read(input)?,
            Self::Path(path) => path.read(input)?,
            Self::Has(path) => {
                let value = path.find(input)?;
                Scalar::Bool(value.is_some_and(|value| !value.is_null()))
            }
            Self::Size(inner) => Scalar::Int(inner.size(input)?),
            Self::Month(inner) => match inner.scalar(input)? {
                Scalar::Time(time) => Scalar::Text(Cow::Owned(time.month())),
                other => return Err(format!("`{inner}` is {}, not a time", other.name())),
            },
            Self::Negate(inner) => {
                let number = inner.int(input)?;
                Scalar::Int(number.checked_neg().ok_or_else(|| self.overflow())?)
            }
            Self::Not(inner) => Scalar::Bool(!inner.holds(input)?),
            Self::Arithmetic(sign, sides) => {
                let (left, right) = (sides.0.int(input)?, sides.1.int(input)?);
                Scalar::Int(self.compute(*sign, left, right)?)
            }
            Self::Compare(sign, sides) => {
                let (left, right) = (sides.0.scalar(input)?, sides.1.scalar(input)?);
                Scalar::Bool(self.compare(*sign, &left, &right)?)
            }
            Self::And(sides) => Scalar::Bool(sides.0.holds(input)? && sides.1.holds(input)?),
            Self::Or(sides) => Scalar::Bool(sides.0.holds(input)? || sides.1.holds(input)?),
            Self::Choose(parts) => {
                let chosen = if parts.0.holds(input)? {
                    &parts.1
                } else {
                    &parts.2
                };
                match chosen.scalar(input)? {
                    Scalar::Absent => Scalar::Null,
                    value => value,
                }
            }
            Self::OneOf(inner, values) => {
                let value = inner.scalar(input)?;
                Scalar::Bool(values.iter().any(|known| Scalar::of(known) == value))
            }
        })
    }

    fn size(&self, input: &Input<'_>) -> Result<i64, Reason> {
        let size = match self.scalar(input)? {
            Scalar::Text(text) => text.chars().count(),
            Scalar::Json(Json::Array(items)) => items.len(),
            other => return Err(format!("`{self}` is {}, which has no size", other.name())),
        };
        i64::try_from(size).map_err(|_| self.overflow())
    }

    fn compute(&self, sign: Arithmetic, left: i64, right: i64) -> Result<i64, Reason> {
        if right == 0 && matches!(sign, Arithmetic::Divide | Arithmetic::Remainder) {
            return Err(format!("`{self}` divides by zero"));
        }
        let result = match sign {
            Arithmetic::Add => left.checked_add(right),
            Arithmetic::Subtract => left.checked_sub(right),
            Arithmetic::Multiply => left.checked_mul(right),
            Arithmetic::Divide => left.checked_div(right),
            Arithmetic::Remainder => left.checked_rem(right),
        };
        result.ok_or_else(|| self.overflow())
    }

    fn compare(&self, sign: Comparison, a: &Scalar<'_>, b: &Scalar<'_>) -> Result<bool, Reason> {
        match sign {
            Comparison::Equal => return Ok(a.equals(b)),
            Comparison::NotEqual => return Ok(!a.equals(b)),
            _ => {}
        }
        let order = match (a, b) {
            (Scalar::Uuid(a), Scalar::Uuid(b)) => a.cmp(b),
            (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
            (Scalar::Int(a), Scalar::Int(b)) => a.cmp(b),
            (Scalar::Time(a), Scalar::Time(b)) => a.cmp(b),
            _ => {
                let (a, b) = (a.name(), b.name());
                return Err(format!("`{self}` compares {a} with {b}"));
            }
        };
        Ok(match sign {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::Equal | Comparison::NotEqual => order.is_eq(),
        })
    }

    fn overflow(&self) -> Reason {
        format!("`{self}` leaves the range of a bigint")
    }
}

impl<'a> Scalar<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null | Value::Json(_) => Self::Null,
            Value::Uuid(id) => Self::Uuid(*id),
            Value::Text(text) => Self::Text(Cow::Borrowed(text)),
            Value::Bigint(number) => Self::Int(*number),
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Time(time) => Self::Time(*time),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    fn equals(&self, other: &Self) -> bool {
        self == other || (self.is_nothing() && other.is_nothing())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Uuid(_) => "a uuid",
            Self::Text(_) => "text",
            Self::Int(_) => "an integer",
            Self::Bool(_) => "true or false",
            Self::Time(_) => "a time",
            Self::Json(json) => name(json),
        }
    }
}

impl Attribute {
    fn read<'a>(self, input: &Input<'a>) -> Result<Scalar<'a>, Reason> {
        let event = input.event;
        let counted = |number: u64| {
            i64::try_from(number)
                .map(Scalar::Int)
                .map_err(|_| format!("`{self}` leaves the range of a bigint"))
        };
        Ok(match self {
            Self::Id => Scalar::Uuid(event.id.0),
            Self::Type => Scalar::Text(Cow::Borrowed(input.type_name)),
            Self::Context => Scalar::Text(Cow::Borrowed(event.context.as_str())),
            Self::Time => Scalar::Time(event.time),
            Self::Subject => Scalar::Uuid(event.subject.0),
            Self::Sequence => counted(event.sequence.0)?,
            Self::LaneSequence => counted(event.lane_sequence.0)?,
        })
    }
}

impl Path {
    /// Returns the elements that `each` names; none where the list is absent or null.
    pub(crate) fn elements<'a>(&self, input: &Input<'a>) -> Result<&'a [Json<'a>], Reason> {
        match self.find(input)? {
            None | Some(Json::Null) => Ok(&[]),
            Some(Json::Array(items)) => Ok(items),
            Some(other) => Err(format!("`{self}` is {}, not a list", name(other))),
        }
    }

    /// Follows the path; `None` where it is absent, and null where a personal value is sealed.
    fn find<'a>(&self, input: &Input<'a>) -> Result<Option<&'a Json<'a>>, Reason> {
        let mut value = match self.root {
            Root::Data => input.data,
            Root::Item => input
                .item
                .ok_or_else(|| format!("`{self}` without an item"))?,
        };
        for member in &self.members {
            value = match value {
                Json::Object(members) => match members.get(member) {
                    Some(value) => value,
                    None => return Ok(None),
                },
                // Nothing is inside of null.
                Json::Null => return Ok(None),
                other => {
                    let other = name(other);
                    return Err(format!("`{self}` looks for `{member}` in {other}"));
                }
            };
        }
        if !self.personal || value.is_null() {
            return Ok(Some(value));
        }
        let (plain, sealed) = match value {
            Json::Object(members) => (members.get("plain"), members.get("sealed")),
            _ => (None, None),
        };
        match (plain, sealed) {
            (Some(plain), None) => Ok(Some(plain)),
            (None, Some(_)) => Ok(Some(&Json::Null)),
            _ => Err(format!("`{self}` is no personal value")),
        }
    }

    fn read<'a>(&self, input: &Input<'a>) -> Result<Scalar<'a>, Reason> {
        let value = match self.find(input)? {
            None => return Ok(Scalar::Absent),
            Some(Json::Null) => return Ok(Scalar::Null),
            Some(value) => value,
        };
        let read = match (self.read, value) {
            (Read::Uuid, Json::Str(text)) => Uuid::try_parse(text).ok().map(Scalar::Uuid),
            (Read::Time, Json::Str(text)) => text.parse().ok().map(Scalar::Time),
            (Read::Text, Json::Str(text)) => Some(Scalar::Text(Cow::Borrowed(text))),
            (Read::Int, Json::Number(number)) => number.as_i64().map(Scalar::Int),
            (Read::Bool, Json::Bool(yes)) => Some(Scalar::Bool(*yes)),
            (Read::Json, value) => Some(Scalar::Json(value)),
            _ => None,
        };
        read.ok_or_else(|| format!("`{self}` is {}, not {}", shown(value), self.read.name()))
    }
}

impl Read {
    fn name(self) -> &'static str {
        match self {
            Self::Uuid => "a uuid",
            Self::Text => "text",
            Self::Int => "an integer of 64 bits",
            Self::Bool => "true or false",
            Self::Time => "a time",
            Self::Json => "json",
        }
    }
}

/// The text that a `json` column holds: the same for the same value, whatever the order of its
/// members was.
fn compact(json: &Json<'_>) -> String {
    serde_json::Value::from(json).to_string()
}

fn name(json: &Json<'_>) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::Str(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Numbers are shown, since it is their size that is wrong; texts may be personal and are not.
fn shown(json: &Json<'_>) -> String {
    match json {
        Json::Number(_) => compact(json),
        other => name(other).into(),
    }
}
