//! The revision of a read model: a hash over what its rows depend on.
//!
//! Hashed is a canonical text of the checked model: table, scope, source, key, `present`, every
//! column with its type and role, the columns that are searched by words (they are stored
//! folded), and every rule with its expressions fully bracketed. Comments, formatting, the order
//! of the file, queries, fields, access and derived values change no row, so they change no
//! revision: indexes are made and dropped beside the rows.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::{Model, Revision, rules::Rule};

/// What definitions mean; raise it with any change of that, so that every table is built anew.
const MEANING: u32 = 1;

/// How many hex digits a revision has.
const DIGITS: usize = 16;

/// Hashes what the rows of a model depend on.
pub(crate) fn revision(model: &Model) -> Revision {
    let digest = Sha256::digest(canonical(model));
    let mut text = String::new();
    for byte in &digest[..DIGITS / 2] {
        write!(text, "{byte:02x}").expect("writing to memory does not fail");
    }
    Revision(text)
}

fn canonical(model: &Model) -> String {
    let mut lines = vec![
        format!("meaning {MEANING}"),
        format!("name {}", model.name),
        format!("table {:?} scope {:?}", model.table, model.scope),
    ];
    let mut source: Vec<_> = model.source.iter().map(ToString::to_string).collect();
    source.sort_unstable();
    lines.push(format!("source {}", source.join(" ")));
    let described = |column: &crate::Column| {
        let (name, column_type) = (&column.name, column.column_type);
        format!("column {name} {column_type} {:?}", column.role)
    };
    let (key, values) = model.columns.split_at(model.key_length);
    lines.push(format!("partition {}", model.partition_length));
    lines.extend(key.iter().map(described));
    let mut values: Vec<_> = values.iter().map(described).collect();
    values.sort_unstable();
    lines.extend(values);
    let name = |column: usize| model.columns[column].name.as_ref();
    lines.push(format!("present {}", model.present.map_or("", name)));
    let mut searched: Vec<_> = model.searched_columns().into_iter().map(name).collect();
    searched.sort_unstable();
    lines.push(format!("searched {}", searched.join(" ")));
    let mut rules: Vec<_> = model
        .rules
        .rules
        .iter()
        .map(|rule| written(model, rule))
        .collect();
    rules.sort_unstable();
    lines.extend(rules);
    lines.join("\n")
}

fn written(model: &Model, rule: &Rule) -> String {
    let mut text = format!("on {}", rule.type_name);
    let mut part = |name: &str, value: &dyn std::fmt::Display| {
        write!(text, "\n {name} {value}").expect("writing to memory does not fail");
    };
    if let Some(each) = &rule.each {
        part("each", each);
    }
    if let Some(when) = &rule.when {
        part("when", when);
    }
    for (column, row) in model.columns.iter().zip(&rule.row) {
        part(&column.name, row);
    }
    let mut operands: Vec<_> = rule.operands.iter().collect();
    operands.sort_unstable_by_key(|(column, _)| &model.columns[*column].name);
    for (column, operand) in operands {
        part(&model.columns[*column].name, operand);
    }
    if rule.delete {
        part("delete", &true);
    }
    text
}
