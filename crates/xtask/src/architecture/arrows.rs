//! The comparison of crates and map; each difference says how to end it.

use super::{
    MAP,
    crates::Crates,
    tables::{CrateRow, Map},
};

/// Returns every difference as a sentence.
pub(super) fn troubles(crates: &Crates, map: &Map) -> Vec<String> {
    let mut troubles = Vec::new();
    for name in crates.names() {
        match map.crates.get(name) {
            Some(row) => {
                arrows(crates, name, row, &mut troubles);
                reach(crates, name, row, &mut troubles);
            }
            None => troubles.push(format!(
                "`{name}` is a crate that {MAP} does not have: \
                 add the row | `{name}` | what it is | what it uses | what it never reaches |"
            )),
        }
    }
    for (name, row) in &map.crates {
        if crates.uses(name).is_none() {
            troubles.push(format!(
                "{MAP}:{} has the crate `{name}`, which is not in crates/: take the row out",
                row.line
            ));
        }
    }
    libraries(crates, map, &mut troubles);
    troubles
}

/// The arrows that start at one crate, as its manifest and as the map have them.
fn arrows(crates: &Crates, name: &str, row: &CrateRow, troubles: &mut Vec<String>) {
    let real = crates.uses(name).map(|uses| &uses.ours);
    let real = real.expect("only asked for crates that there are");
    let line = row.line;
    for to in real.difference(&row.uses) {
        troubles.push(format!(
            "`{name}` uses `{to}`, an arrow that {MAP}:{line} does not have: take `{to}` out of \
             crates/{name}/Cargo.toml, or, where the design has changed, add it to the row and \
             write down why"
        ));
    }
    for to in row.uses.difference(real) {
        troubles.push(format!(
            "{MAP}:{line} has the arrow `{name}` to `{to}`, which crates/{name}/Cargo.toml does \
             not have: take it out of the row"
        ));
    }
}

/// What one crate must not reach, over any number of arrows.
fn reach(crates: &Crates, name: &str, row: &CrateRow, troubles: &mut Vec<String>) {
    let line = row.line;
    for never in &row.never {
        if crates.uses(never).is_none() {
            troubles.push(format!(
                "{MAP}:{line} says that `{name}` never reaches `{never}`, which is no crate of \
                 ours: take it out of the row"
            ));
        }
        if let Some(way) = crates.way(name, never) {
            troubles.push(format!(
                "`{name}` reaches `{never}` ({}), which {MAP}:{line} rules out: break the way at \
                 one of its arrows",
                way.join(" → ")
            ));
        }
    }
}

/// The libraries that only some crates may use.
fn libraries(crates: &Crates, map: &Map, troubles: &mut Vec<String>) {
    for (library, row) in &map.libraries {
        let line = row.line;
        let uses = |name: &str| {
            let uses = crates.uses(name);
            uses.is_some_and(|uses| uses.libraries.contains(library))
        };
        for name in crates.names().filter(|&name| uses(name)) {
            if !row.only_in.contains(name) {
                troubles.push(format!(
                    "`{name}` uses `{library}`, which {MAP}:{line} keeps to other crates: go \
                     through their public API, or add `{name}` to the row and write down why"
                ));
            }
        }
        for name in row.only_in.iter().filter(|name| !uses(name)) {
            troubles.push(format!(
                "{MAP}:{line} lets `{name}` use `{library}`, which it does not: take it out of \
                 the row"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Map {
        Map::read(
            "## The crates and their arrows
| crate | what it is | uses (ours) | never reaches |
| `kernel` | words | | |
| `tables` | rows | `kernel` | |
| `command` | deciding | `kernel` | `tables` |

| library | only in | because |
| `sqlx` | `tables` | one store |
",
        )
        .unwrap()
    }

    type MadeUp<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

    const KERNEL: MadeUp = ("kernel", &[], &["serde"]);
    const TABLES: MadeUp = ("tables", &["kernel"], &["sqlx"]);
    const COMMAND: MadeUp = ("command", &["kernel"], &[]);

    #[track_caller]
    fn told(crates: &[MadeUp], expected: &[&str]) {
        let troubles = troubles(&Crates::made_up(crates), &map());
        assert_eq!(troubles.len(), expected.len(), "{troubles:#?}");
        for (trouble, part) in troubles.iter().zip(expected) {
            assert!(trouble.contains(part), "{trouble}");
        }
    }

    #[test]
    fn crates_that_are_as_the_map_has_them_are_no_trouble() {
        told(&[KERNEL, TABLES, COMMAND], &[]);
    }

    #[test]
    fn an_arrow_that_only_one_of_the_two_has_is_told() {
        let more = ("kernel", &["tables"] as &[_], &[] as &[_]);
        let none = ("tables", &[] as &[_], &["sqlx"] as &[_]);
        told(
            &[more, none, COMMAND],
            &[
                "`command` reaches `tables` (command → kernel → tables)",
                "`kernel` uses `tables`, an arrow that",
                "has the arrow `tables` to `kernel`, which",
            ],
        );
    }

    #[test]
    fn a_crate_that_only_one_of_the_two_has_is_told() {
        let new = ("query", &[] as &[_], &[] as &[_]);
        told(
            &[KERNEL, TABLES, COMMAND, new],
            &["`query` is a crate that"],
        );
        told(&[KERNEL, TABLES], &["has the crate `command`"]);
    }

    #[test]
    fn a_library_in_another_crate_and_a_permission_nobody_uses_are_told() {
        let with = ("command", &["kernel"] as &[_], &["sqlx"] as &[_]);
        let without = ("tables", &["kernel"] as &[_], &[] as &[_]);
        told(
            &[KERNEL, without, with],
            &["`command` uses `sqlx`", "lets `tables` use `sqlx`"],
        );
    }
}
