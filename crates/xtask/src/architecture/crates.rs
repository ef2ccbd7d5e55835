//! The crates as their manifests have them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, Package};

/// Our crates, by the name of their directory, and what each needs to be built.
#[derive(Debug, Default)]
pub(super) struct Crates(BTreeMap<String, Uses>);

/// What a crate uses. What only its tests use is no arrow.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Crates of this workspace.
    pub(super) ours: BTreeSet<String>,
    /// Everybody else's.
    pub(super) libraries: BTreeSet<String>,
}

impl Crates {
    /// Reads the manifests of the workspace.
    pub(super) fn of(metadata: &Metadata) -> Result<Self> {
        let members = metadata.workspace_packages();
        let directories = members
            .iter()
            .map(|package| Ok((package.name.as_str(), directory(package)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let uses = |package: &Package| {
            let mut uses = Uses::default();
            let built = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
            for dependency in package.dependencies.iter().filter(|it| built(it.kind)) {
                match directories.get(dependency.name.as_str()) {
                    Some(name) => uses.ours.insert(name.clone()),
                    None => uses.libraries.insert(dependency.name.clone()),
                };
            }
            uses
        };
        let crates = members
            .iter()
            .map(|package| (directories[package.name.as_str()].clone(), uses(package)));
        Ok(Self(crates.collect()))
    }

    /// Returns the names in ascending order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns what a crate uses.
    pub(super) fn uses(&self, name: &str) -> Option<&Uses> {
        self.0.get(name)
    }

    /// Returns every arrow, from the crate that uses to the one that is used.
    pub(super) fn arrows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(from, uses)| uses.ours.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// Returns the shortest way along the arrows, both ends included.
    pub(super) fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut ways = vec![vec![from.to_owned()]];
        let mut seen = BTreeSet::from([from.to_owned()]);
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                let end = way.last().expect("a way has a beginning");
                for next in self.0.get(end).into_iter().flat_map(|uses| &uses.ours) {
                    let further = [way.clone(), vec![next.clone()]].concat();
                    if next == to {
                        return Some(further);
                    }
                    if seen.insert(next.clone()) {
                        longer.push(further);
                    }
                }
            }
            ways = longer;
        }
        None
    }
}

/// The map and the design call a crate by its directory: `event-log`, not `foldline-event-log`.
fn directory(package: &Package) -> Result<String> {
    let directory = package
        .manifest_path
        .parent()
        .and_then(|path| path.file_name());
    let name = directory.with_context(|| format!("`{}` lies in no directory", package.name))?;
    Ok(name.to_owned())
}

#[cfg(test)]
impl Crates {
    /// Crates as a test writes them: name, ours, libraries.
    pub(super) fn made_up(crates: &[(&str, &[&str], &[&str])]) -> Self {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let made = crates.iter().map(|(name, ours, libraries)| {
            let uses = Uses {
                ours: set(ours),
                libraries: set(libraries),
            };
            ((*name).to_owned(), uses)
        });
        Self(made.collect())
    }
}
