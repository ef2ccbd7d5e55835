//! Reading only those members of an event's data that a rule looks at.
//!
//! Most of a fold's time would go into values that the rule never asks for, so the rest of the
//! data is passed over without being made a value, and text is borrowed from the record.

use std::{fmt, sync::Arc};

use foldline_schema::DataError;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json_borrow::{ObjectAsVec, Value as Json};

use crate::{
    expression::{Expr, Path, Root},
    rules::Rule,
};

/// Returns the members of `data` that a rule looks at; `None` where it looks at `data` itself.
pub(crate) fn of(rule: &Rule) -> Option<Vec<Arc<str>>> {
    let mut members = Members::default();
    rule.each.iter().for_each(|path| members.path(path));
    rule.when.iter().for_each(|expr| members.expr(expr));
    rule.row.iter().for_each(|expr| members.expr(expr));
    rule.operands
        .iter()
        .for_each(|(_, expr)| members.expr(expr));
    (!members.whole).then_some(members.names)
}

/// Reads these members of an object in JSON bytes.
///
/// # Errors
/// When the bytes are no JSON object, or one of the members cannot be read.
pub(crate) fn read<'d>(data: &'d [u8], members: &'d [Arc<str>]) -> Result<Json<'d>, DataError> {
    let unreadable = |error: serde_json::Error| DataError(error.to_string());
    // One quick look at all bytes spares one at each text.
    let data = std::str::from_utf8(data).map_err(|error| DataError(error.to_string()))?;
    let mut reader = serde_json::Deserializer::from_str(data);
    let value = Wanted(members)
        .deserialize(&mut reader)
        .map_err(unreadable)?;
    reader.end().map_err(unreadable)?;
    Ok(value)
}

#[derive(Default)]
struct Members {
    names: Vec<Arc<str>>,
    whole: bool,
}

impl Members {
    fn path(&mut self, path: &Path) {
        if path.root != Root::Data {
            return;
        }
        match path.members.first() {
            None => self.whole = true,
            Some(first) if self.names.contains(first) => {}
            Some(first) => self.names.push(first.clone()),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(_) | Expr::Attribute(_) => {}
            Expr::Path(path) | Expr::Has(path) => self.path(path),
            Expr::Size(inner)
            | Expr::Month(inner)
            | Expr::Negate(inner)
            | Expr::Not(inner)
            | Expr::OneOf(inner, _) => self.expr(inner),
            Expr::Arithmetic(_, both) | Expr::Compare(_, both) => self.both(both),
            Expr::And(both) | Expr::Or(both) => self.both(both),
            Expr::Choose(three) => {
                self.expr(&three.0);
                self.expr(&three.1);
                self.expr(&three.2);
            }
        }
    }

    fn both(&mut self, both: &(Expr, Expr)) {
        self.expr(&both.0);
        self.expr(&both.1);
    }
}

struct Wanted<'w>(&'w [Arc<str>]);

impl<'de: 'w, 'w> DeserializeSeed<'de> for Wanted<'w> {
    type Value = Json<'w>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json<'w>, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de: 'w, 'w> Visitor<'de> for Wanted<'w> {
    type Value = Json<'w>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'w>, A::Error> {
        let mut found = ObjectAsVec::default();
        while let Some(wanted) = map.next_key_seed(Name(self.0))? {
            match wanted {
                // The last one wins, as in a value that is read whole.
                Some(name) => drop(found.insert(name, map.next_value::<Json<'de>>()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Json::Object(found))
    }
}

/// A member's name, where it is one of those that are wanted.
struct Name<'w>(&'w [Arc<str>]);

impl<'de, 'w> DeserializeSeed<'de> for Name<'w> {
    type Value = Option<&'w str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Name<'w> {
    type Value = Option<&'w str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self
            .0
            .iter()
            .map(AsRef::as_ref)
            .find(|wanted| *wanted == name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_wanted_is_made_a_value() {
        let wanted = ["a".into(), "lines".into()];
        let data = br#"{"b":{"deep":[1,2]},"a":1,"lines":[{"x":null}],"\u0061":2,"c":"\n"}"#;
        let read = read(data, &wanted).unwrap();
        let read = serde_json::Value::from(read);
        assert_eq!(read, json!({ "a": 2, "lines": [{ "x": null }] }));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for data in ["[1]", "null", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a":1e999}"#] {
            assert!(read(data.as_bytes(), &["a".into()]).is_err(), "{data}");
        }
    }
}
