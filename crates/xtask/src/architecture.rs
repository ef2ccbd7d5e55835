//! The architecture check: the crates as they are against ARCHITECTURE.md.
//!
//! The map is written for people and checked here, so that it cannot go stale: arrows between
//! our crates, libraries that only some crates may use, what must not be reached at all, and the
//! licences of everything that is linked.

mod arrows;
mod crates;
mod licences;
mod tables;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::workspace;
use crates::Crates;
use tables::Map;

/// Where the map is.
const MAP: &str = "ARCHITECTURE.md";

/// Compares the workspace with the map and prints every difference.
///
/// # Errors
/// When there is a difference, or the map cannot be read.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .context("cannot read the workspace")?;
    let text =
        std::fs::read_to_string(root.join(MAP)).with_context(|| format!("cannot read {MAP}"))?;
    let map = Map::read(&text)?;
    let crates = Crates::of(&metadata)?;
    let mut troubles = arrows::troubles(&crates, &map);
    troubles.extend(licences::troubles(&metadata.packages));
    if !troubles.is_empty() {
        for trouble in &troubles {
            println!("- {trouble}");
        }
        bail!("{} differences from {MAP}", troubles.len());
    }
    println!(
        "{} crates, {} arrows, {} libraries kept to their crates, {} packages under permissive licences",
        crates.names().count(),
        crates.arrows().count(),
        map.libraries.len(),
        metadata.packages.len(),
    );
    Ok(())
}
