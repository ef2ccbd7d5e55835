//! Reading the file, and saying what is wrong where TOML or serde only say that something is.

use super::Definition;
use crate::{suggest::did_you_mean, trouble::Troubles};

/// Reads a definition; what is wrong with its form goes to `troubles`.
pub(crate) fn read(text: &str, troubles: &mut Troubles<'_>) -> Option<Definition> {
    let error = match toml::from_str(text) {
        Ok(definition) => return Some(definition),
        Err(error) => error,
    };
    let (message, help) = explain(error.message());
    troubles.add(error.span().unwrap_or(0..0), message, help);
    None
}

/// serde lists what it expected; the nearest of that is the way out.
fn explain(message: &str) -> (String, Option<String>) {
    let message = message.trim().replace('\n', ", ");
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((name, expected)) = rest.split_once('`')
    {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let help = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("what can stand here: {}", known.join(", ")));
        return (format!("`{name}` means nothing here"), Some(help));
    }
    if let Some(name) = message.strip_prefix("missing field `") {
        let name = name.trim_end_matches('`');
        return (format!("`{name}` is missing"), example(name));
    }
    (message, None)
}

fn example(name: &str) -> Option<String> {
    let example = match name {
        "name" => "name = \"order\", as the file is named",
        "table" => "table = \"wide\" or table = \"relational\"",
        "source" => "source = [\"orders\"]: the contexts that feed it",
        "key" => {
            "key = { partition = [\"order_id\"] }, or key = [\"seller_id\"] on a relational table"
        }
        "partition" => "key = { partition = [\"order_id\"], cluster = [\"placed_at desc\"] }",
        _ => return None,
    };
    Some(example.into())
}
