//! What an event's `data` looks like, as far as its JSON Schema says.
//!
//! Understood is what schemars writes for serde types: `$ref` into `$defs`, lists of types, unions
//! with null for options, the formats `uuid` and `date-time`, and personal values. Everything
//! else is [`Kind::Json`]: present, but of no type that an expression could compute with.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::ColumnType;

/// How deep a schema is followed; a schema that refers to itself has no end.
const DEPTH_MAX: usize = 16;

/// The type of a value, and whether it may be null.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Uuid,
    Text,
    Int,
    Bool,
    Time,
    /// Of decimal numbers no column is made, so nothing computes with them.
    Number,
    List(Box<Shape>),
    Object(BTreeMap<String, Member>),
    /// `{"plain": …}` or `{"sealed": …, "key": …}`; read as its plain value or null.
    Personal(Box<Shape>),
    /// Anything.
    Json,
    /// Nothing but null.
    Null,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) shape: Shape,
    /// Whether it is always there.
    pub(crate) required: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Int => "bigint",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Number => "a decimal number",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Personal(inner) => return inner.kind.fmt(f),
            Self::Json => "json",
            Self::Null => "null",
        })
    }
}

impl Kind {
    /// Tells whether a column of this type can hold such a value.
    pub(crate) fn fits(&self, column: ColumnType) -> bool {
        match self {
            Self::Null => true,
            _ if column == ColumnType::Json => true,
            Self::Uuid => column == ColumnType::Uuid,
            Self::Text => column == ColumnType::Text,
            Self::Int => column == ColumnType::Bigint,
            Self::Bool => column == ColumnType::Bool,
            Self::Time => column == ColumnType::Time,
            _ => false,
        }
    }
}

impl Shape {
    fn of_kind(kind: Kind) -> Self {
        Self {
            kind,
            nullable: false,
        }
    }

    fn anything() -> Self {
        Self {
            kind: Kind::Json,
            nullable: true,
        }
    }

    /// Reads a JSON Schema.
    pub(crate) fn of_schema(schema: &Value) -> Self {
        Self::read(schema, schema, 0)
    }

    fn read(root: &Value, schema: &Value, depth: usize) -> Self {
        if depth > DEPTH_MAX {
            return Self::anything();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target
                .strip_prefix('#')
                .and_then(|pointer| root.pointer(pointer));
            return target
                .map_or_else(Self::anything, |target| Self::read(root, target, depth + 1));
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            if let Some(branches) = schema.get(word).and_then(Value::as_array) {
                return Self::union(root, branches, depth);
            }
        }
        Self::typed(root, schema, depth)
    }

    fn union(root: &Value, branches: &[Value], depth: usize) -> Self {
        let mut shapes: Vec<_> = branches
            .iter()
            .map(|branch| Self::read(root, branch, depth + 1))
            .collect();
        let nulls = shapes.len();
        shapes.retain(|shape| shape.kind != Kind::Null);
        let nullable = shapes.len() < nulls;
        if let Some(plain) = personal(&shapes) {
            return Self {
                kind: Kind::Personal(Box::new(plain)),
                // Once it is sealed and the key is gone, it is null.
                nullable: true,
            };
        }
        let merged = shapes.into_iter().reduce(merge);
        let mut merged = merged.unwrap_or_else(|| Self::of_kind(Kind::Null));
        merged.nullable |= nullable;
        merged
    }

    fn typed(root: &Value, schema: &Value, depth: usize) -> Self {
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return constant(schema),
        };
        let shapes = names
            .iter()
            .map(|name| Self::of_kind(Self::named(root, schema, name, depth)));
        let (nulls, others): (Vec<_>, Vec<_>) = shapes.partition(|shape| shape.kind == Kind::Null);
        let merged = others.into_iter().reduce(merge);
        let mut merged = merged.unwrap_or_else(|| Self::of_kind(Kind::Null));
        merged.nullable |= !nulls.is_empty();
        merged
    }

    fn named(root: &Value, schema: &Value, name: &str, depth: usize) -> Kind {
        match (name, schema.get("format").and_then(Value::as_str)) {
            ("string", Some("uuid")) => Kind::Uuid,
            ("string", Some("date-time")) => Kind::Time,
            ("string", _) => Kind::Text,
            ("integer", _) => Kind::Int,
            ("number", _) => Kind::Number,
            ("boolean", _) => Kind::Bool,
            ("null", _) => Kind::Null,
            ("array", _) => Kind::List(Box::new(
                schema
                    .get("items")
                    .filter(|items| items.is_object())
                    .map_or_else(Self::anything, |items| Self::read(root, items, depth + 1)),
            )),
            ("object", _) => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => Kind::Object(members(root, schema, properties, depth)),
                // A map: any name may be a member of it.
                None if schema.get("additionalProperties") != Some(&Value::Bool(false)) => {
                    Kind::Json
                }
                None => Kind::Object(BTreeMap::new()),
            },
            _ => Kind::Json,
        }
    }
}

fn members(
    root: &Value,
    schema: &Value,
    properties: &serde_json::Map<String, Value>,
    depth: usize,
) -> BTreeMap<String, Member> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| {
        required.is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)))
    };
    properties
        .iter()
        .map(|(name, schema)| {
            let member = Member {
                shape: Shape::read(root, schema, depth + 1),
                required: is_required(name),
            };
            (name.clone(), member)
        })
        .collect()
}

/// Without a type, a schema may still name the values it allows.
fn constant(schema: &Value) -> Shape {
    let one = schema.get("const").map(std::slice::from_ref);
    let many = schema
        .get("enum")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    match one.or(many) {
        Some(values) if !values.is_empty() && values.iter().all(Value::is_string) => {
            Shape::of_kind(Kind::Text)
        }
        _ => Shape::anything(),
    }
}

/// Recognises the two forms of a personal value and returns the plain one's content.
fn personal(shapes: &[Shape]) -> Option<Shape> {
    let [Kind::Object(plain), Kind::Object(sealed)] = [&shapes.first()?.kind, &shapes.get(1)?.kind]
    else {
        return None;
    };
    let names = |object: &BTreeMap<String, Member>| object.keys().cloned().collect::<Vec<_>>();
    (shapes.len() == 2 && names(plain) == ["plain"] && names(sealed) == ["key", "sealed"])
        .then(|| plain["plain"].shape.clone())
}

fn merge(one: Shape, other: Shape) -> Shape {
    let nullable = one.nullable || other.nullable;
    let kind = match (one.kind, other.kind) {
        (one, other) if one == other => one,
        (Kind::List(one), Kind::List(other)) => Kind::List(Box::new(merge(*one, *other))),
        (Kind::Object(one), Kind::Object(other)) => Kind::Object(merge_members(one, other)),
        _ => Kind::Json,
    };
    Shape { kind, nullable }
}

fn merge_members(
    one: BTreeMap<String, Member>,
    mut other: BTreeMap<String, Member>,
) -> BTreeMap<String, Member> {
    let mut merged = BTreeMap::new();
    for (name, mut member) in one {
        member = match other.remove(&name) {
            Some(twin) => Member {
                shape: merge(member.shape, twin.shape),
                required: member.required && twin.required,
            },
            None => Member {
                required: false,
                ..member
            },
        };
        merged.insert(name, member);
    }
    for (name, member) in other {
        let required = false;
        merged.insert(name, Member { required, ..member });
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldline_kernel::Personal;

    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Sample {
        id: uuid::Uuid,
        maybe_id: Option<uuid::Uuid>,
        count: i64,
        small: Option<u32>,
        name: Option<Personal<String>>,
        ratio: f64,
        lines: Vec<Line>,
        nested: Option<Line>,
        colour: Colour,
        other: serde_json::Value,
        next: Option<Box<Sample>>,
    }

    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Line {
        quantity: u32,
    }

    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    enum Colour {
        /// Documented variants become `const`s.
        Red,
        Green,
    }

    fn member(name: &str) -> Member {
        let shape = Shape::of_schema(schemars::schema_for!(Sample).as_value());
        let Kind::Object(members) = shape.kind else {
            panic!("{shape:?}")
        };
        members[name].clone()
    }

    #[test]
    fn the_schemas_that_schemars_writes_are_understood() {
        for (name, kind, nullable, required) in [
            ("id", Kind::Uuid, false, true),
            ("maybe_id", Kind::Uuid, true, false),
            ("count", Kind::Int, false, true),
            ("small", Kind::Int, true, false),
            ("ratio", Kind::Number, false, true),
            ("colour", Kind::Text, false, true),
            ("other", Kind::Json, true, true),
        ] {
            let member = member(name);
            assert_eq!(member.shape, Shape { kind, nullable }, "{name}");
            assert_eq!(member.required, required, "{name}");
        }
        assert!(
            matches!(member("name").shape.kind, Kind::Personal(inner) if inner.kind == Kind::Text)
        );
        assert!(matches!(
            member("nested").shape,
            Shape {
                kind: Kind::Object(_),
                nullable: true
            }
        ));
        let Kind::List(item) = member("lines").shape.kind else {
            panic!("no list")
        };
        assert!(matches!(item.kind, Kind::Object(members) if members["quantity"].required));
    }
}
