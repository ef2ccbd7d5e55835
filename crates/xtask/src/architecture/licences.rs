//! The licences of everything the workspace is built from.

use cargo_metadata::Package;
use spdx::{Expression, ParseMode};

/// Licences that ask for no more than to be named; each as SPDX writes it.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that name a file instead of a licence, and the licence that file was found to be.
const READ_BY_HAND: &[(&str, &str)] = &[("cloudevents-sdk", "Apache-2.0")];

/// Returns a sentence for every package whose licence is not permissive, or not known.
pub(super) fn troubles(packages: &[Package]) -> Vec<String> {
    let troubles = packages.iter().filter_map(|package| {
        let trouble = match licence(package) {
            Some(licence) => trouble(licence)?,
            None => "names no licence: read its licence file and add it to the list in \
                     crates/xtask/src/architecture/licences.rs, or use another library"
                .to_owned(),
        };
        Some(format!("`{}` {trouble}", package.name))
    });
    troubles.collect()
}

fn licence(package: &Package) -> Option<&str> {
    let name = package.name.as_str();
    let by_hand = READ_BY_HAND.iter().find(|(known, _)| *known == name);
    let by_hand = by_hand.map(|(_, licence)| *licence);
    package.license.as_deref().or(by_hand)
}

/// Says what is wrong with a licence expression, if anything.
fn trouble(licence: &str) -> Option<String> {
    // Older manifests write `MIT/Apache-2.0`.
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!(
            "has the licence `{licence}`, which is no SPDX expression"
        ));
    };
    let permissive = expression.evaluate(|requirement| {
        let id = requirement.license.id();
        id.is_some_and(|id| PERMISSIVE.contains(&id.name))
    });
    (!permissive).then(|| {
        format!(
            "has the licence `{licence}`, which is not in the list of permissive ones: use \
             another library"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::trouble;

    #[test]
    fn one_permissive_choice_is_enough_and_every_condition_counts() {
        for good in [
            "MIT",
            "MIT-0",
            "MIT/Apache-2.0",
            "MIT OR GPL-3.0-only",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(trouble(good), None);
        }
        for bad in [
            "GPL-3.0-only",
            "MIT AND AGPL-3.0-only",
            "SSPL-1.0",
            "as you like",
        ] {
            assert!(trouble(bad).is_some(), "{bad}");
        }
    }
}
