//! What makes a read model another one, and what does not.

use foldline_read_model::load_str;

use crate::catalog::catalog;

const SALES: &str = r#"
name   = "sales"
table  = "relational"
scope  = "shared"
source = ["orders"]
key    = ["seller_id"]

[columns]
seller_id = "uuid"
units     = "bigint"
orders    = "bigint"

[on."order.placed.v1"]
each = "data.lines"
when = "item.quantity > 0 && month(time) != '2016-12'"
row  = { seller_id = "item.seller_id" }
add  = { units = "item.quantity", orders = 1 }

[[query]]
name   = "of"
where  = { seller_id = "eq" }
access = "public"
"#;

fn revision(text: &str) -> String {
    let model = load_str("sales", text, &catalog()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(model.definition.as_ref(), text);
    model.revision.0
}

#[test]
fn what_changes_no_row_changes_no_revision() {
    let before = revision(SALES);
    assert_eq!(before.len(), 16);
    for (old, new) in [
        ("\n[columns]", "\n# A comment.\n[columns]"),
        (
            "item.quantity > 0 && month(time) != '2016-12'",
            "((item.quantity>0)&&(month(time) != '2016-12'))",
        ),
        ("access = \"public\"", "access = \"staff\"\npage = 7"),
        (
            "orders    = \"bigint\"\n",
            "orders    = \"bigint\"\n\n[derived]\nmean = \"units / orders\"\n",
        ),
        (
            "units     = \"bigint\"\norders    = \"bigint\"",
            "orders = \"bigint\"\nunits = \"bigint\"",
        ),
    ] {
        assert!(SALES.contains(old), "{old}");
        assert_eq!(revision(&SALES.replace(old, new)), before, "{new}");
    }
}

#[test]
fn what_changes_rows_changes_the_revision() {
    let mut seen = vec![revision(SALES)];
    for (old, new) in [
        (
            "table  = \"relational\"",
            "table  = \"relational\"\npresent = \"last\"",
        ),
        ("item.quantity > 0", "item.quantity > 1"),
        (
            "add  = { units = \"item.quantity\"",
            "add  = { units = \"item.freight_cents\"",
        ),
        ("units", "pieces"),
        ("orders = 1 }", "orders = 1 }\nmax = { last = \"time\" }"),
        (
            "[on.\"order.placed.v1\"]",
            "[on.\"order.shipped.v1\"]\nrow = { seller_id = \"data.order_id\" }\nadd = { orders = 0 }\n\n[on.\"order.placed.v1\"]",
        ),
    ] {
        assert!(SALES.contains(old), "{old}");
        let mut text = SALES.replace(old, new);
        if text.contains("last") {
            text = text.replace("[columns]", "[columns]\nlast = \"time\"");
            if !text.contains("max") {
                text = text.replace("orders = 1 }", "orders = 1 }\nmin = { last = \"time\" }");
            }
        }
        let revision = revision(&text);
        assert!(!seen.contains(&revision), "{new}");
        seen.push(revision);
    }
}
