//! The nearest name to one that is not known.

/// Returns a way out, ``did you mean `x`?``, where some candidate is near enough to be a slip.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

/// Returns the nearest candidate that differs in at most a third of its letters.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_names_are_not() {
        let names = ["order_id", "placed_at", "id"];
        assert_eq!(nearest("orderid", names), Some("order_id"));
        assert_eq!(nearest("palced_at", names), Some("placed_at"));
        assert_eq!(nearest("seller", names), None);
        assert_eq!(nearest("xy", names), None);
    }
}
