//! The tables of ARCHITECTURE.md that are checked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

/// The section the tables stand in.
const SECTION: &str = "## The crates and their arrows";

/// What the map says; every row knows its line.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Per crate of ours: what it uses, and what it must not reach.
    pub(super) crates: BTreeMap<String, CrateRow>,
    /// Per library: the only crates that use it.
    pub(super) libraries: BTreeMap<String, LibraryRow>,
}

/// A row `| crate | what it is | uses (ours) | never reaches |`.
#[derive(Debug)]
pub(super) struct CrateRow {
    /// Its line in the file, from 1.
    pub(super) line: usize,
    /// The crates of ours that it uses.
    pub(super) uses: BTreeSet<String>,
    /// The crates of ours that it must not reach, over any number of arrows.
    pub(super) never: BTreeSet<String>,
}

/// A row `| library | only in | because |`.
#[derive(Debug)]
pub(super) struct LibraryRow {
    /// Its line in the file, from 1.
    pub(super) line: usize,
    /// The crates of ours that use it.
    pub(super) only_in: BTreeSet<String>,
}

impl Map {
    /// Reads the tables of the section, known by their first column's heading.
    pub(super) fn read(markdown: &str) -> Result<Self> {
        let mut map = Self::default();
        let mut kind = String::new();
        for (line, cells) in rows(markdown) {
            let first = names(&cells[0]);
            let Some(name) = first.into_iter().next() else {
                kind = cells[0].to_lowercase();
                continue;
            };
            let cell = |index: usize| {
                let cell = cells.get(index).map(|cell| names(cell));
                cell.with_context(|| format!("line {line}: the row has no column {}", index + 1))
            };
            let twice = match kind.as_str() {
                "crate" => {
                    let (uses, never) = (cell(2)?, cell(3)?);
                    map.crates
                        .insert(name.clone(), CrateRow { line, uses, never })
                        .is_some()
                }
                "library" => {
                    let only_in = cell(1)?;
                    map.libraries
                        .insert(name.clone(), LibraryRow { line, only_in })
                        .is_some()
                }
                // Other tables of the section are prose.
                _ => false,
            };
            if twice {
                bail!("line {line}: `{name}` stands in the table twice");
            }
        }
        if map.crates.is_empty() || map.libraries.is_empty() {
            bail!(
                "the section `{SECTION}` must have a table whose first column is `crate` \
                 and one whose first column is `library`, names in backticks"
            );
        }
        Ok(map)
    }
}

/// The rows of the section's tables with their lines, the rulers left out.
fn rows(markdown: &str) -> impl Iterator<Item = (usize, Vec<String>)> {
    let lines = markdown
        .lines()
        .zip(1..)
        .map(|(text, line)| (line, text.trim()));
    let section = lines
        .skip_while(|(_, text)| *text != SECTION)
        .skip(1)
        .take_while(|(_, text)| !text.starts_with("## "));
    section.filter_map(|(line, text)| {
        let inner = text.strip_prefix('|')?.trim_end().trim_end_matches('|');
        let is_ruler = inner.chars().all(|c| "|:- ".contains(c));
        let cells = inner.split('|').map(|cell| cell.trim().to_owned());
        (!is_ruler).then(|| (line, cells.collect()))
    })
}

/// The words in backticks.
fn names(cell: &str) -> BTreeSet<String> {
    let odd = cell.split('`').skip(1).step_by(2);
    odd.map(|name| name.trim_start_matches("crates/").to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKDOWN: &str = "\
# Map
| crate | not in the section |
| `x` | y |
## The crates and their arrows
| crate | what it is | uses (ours) | never reaches |
|---|---|:--|---|
| `kernel` | words | — | |
| `crates/command` | deciding | `kernel`, `schema` | `tables` |

| library | only in | because |
|---|---|---|
| `fjall` | `event-log` | one log |
## Something else
| `y` | z |
";

    #[test]
    fn only_the_tables_of_the_section_are_read() {
        let map = Map::read(MARKDOWN).unwrap();
        assert_eq!(map.crates.keys().collect::<Vec<_>>(), ["command", "kernel"]);
        let command = &map.crates["command"];
        assert_eq!(command.line, 8);
        assert_eq!(command.uses, names("`kernel` `schema`"));
        assert_eq!(command.never, names("`tables`"));
        assert!(map.crates["kernel"].uses.is_empty());
        assert_eq!(map.libraries["fjall"].only_in, names("`event-log`"));
    }

    #[test]
    fn a_map_without_tables_and_a_short_row_are_told() {
        assert!(Map::read("## Nothing").is_err());
        let short = MARKDOWN.replace("| — | |", "|");
        let error = Map::read(&short).unwrap_err().to_string();
        assert!(error.starts_with("line 7"), "{error}");
    }
}
