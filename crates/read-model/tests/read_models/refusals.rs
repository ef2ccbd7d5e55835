//! Every reason for which a definition is refused, with the words in which people are told.
//!
//! The goldens are in `snapshots/`; `INSTA_UPDATE=always cargo test -p foldline-read-model`
//! writes them anew.

use std::fmt::Write as _;

use foldline_read_model::load_str;

use crate::catalog::catalog;

/// A wide read model of one user's orders.
const WIDE: &str = r#"name    = "mine"
table   = "wide"
scope   = "user"
source  = ["orders", "reviews"]
key     = { partition = ["order_id"], cluster = ["placed_at desc"] }
row     = { order_id = "data.order_id", placed_at = "data.placed_at" }
present = "status"

[columns]
order_id  = "uuid"
placed_at = "time"
status    = "text"
paid      = "bigint"
score     = "bigint"
lines     = "json"

[on."order.placed.v1"]
set = { status = "'placed'", lines = "data.lines" }
add = { paid = "data.total_cents" }

[on."review.written.v1"]
set = { score = "data.score" }

[[query]]
name   = "of"
where  = { order_id = "eq" }
access = "owner"
"#;

/// A relational read model that many users feed.
const SHARED: &str = r#"name   = "sales"
table  = "relational"
scope  = "shared"
source = ["orders"]
key    = ["seller_id", "month"]

[columns]
seller_id = "uuid"
month     = "text"
units     = "bigint"
orders    = "bigint"
last      = "time"

[on."order.placed.v1"]
each = "data.lines"
row  = { seller_id = "item.seller_id", month = "month(time)" }
add  = { units = "item.quantity", orders = 1 }
max  = { last = "time" }

[derived]
mean = "units / orders"

[[query]]
name   = "of"
where  = { seller_id = "eq", month = "range?" }
order  = ["mean desc", "month"]
access = "public"
"#;

/// A relational read model with values that may be null.
const PRODUCTS: &str = r#"name   = "goods"
table  = "relational"
source = "catalog"
key    = ["product_id"]

[columns]
product_id = "uuid"
name       = "text"
weight     = "bigint"
listed     = "bool"

[on."product.listed.v2"]
row = { product_id = "data.product_id" }
set = { name = "data.name", listed = true }
add = { weight = "has(data.weight_g) ? data.weight_g : 0" }

[[query]]
name   = "search"
only   = { listed = true }
text   = "name"
access = "staff"
"#;

/// A read model of personal values.
const PEOPLE: &str = r#"name   = "people"
table  = "relational"
source = "accounts"
key    = ["person"]
row    = { person = "subject" }

[columns]
person = "uuid"
name   = "text"

[on."account.registered.v1"]
set = { name = "data.name" }
"#;

/// Compares with the golden, without the call that made it.
macro_rules! assert_told {
    ($($told:tt)*) => {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!($($told)*);
        })
    };
}

/// What is refused: a definition, in which one text is replaced by another.
fn told(definition: &str, cases: &[(&str, &str)]) -> String {
    let catalog = catalog();
    if let Err(errors) = load_str("sound", definition, &catalog) {
        panic!("{errors}");
    }
    let mut told = String::new();
    for (old, new) in cases {
        assert!(definition.contains(old), "nothing to replace: {old}");
        let text = definition.replacen(old, new, 1);
        match load_str("it", &text, &catalog) {
            Ok(_) => panic!("this was not refused:\n{new}"),
            Err(errors) => writeln!(told, "## {new}\n{errors}\n").expect("memory"),
        }
    }
    told
}

#[test]
fn the_form_of_a_file() {
    assert_told!(told(
        WIDE,
        &[
            ("name    = \"mine\"", "name = "),
            ("name    = \"mine\"\n", "# no name\n"),
            ("name    = \"mine\"", "name = \"Mine\""),
            ("name    = \"mine\"", "nam = \"mine\""),
            ("present = ", "presence = "),
            ("[columns]", "[colums]"),
            (
                "set = { score = \"data.score\" }",
                "sett = { score = \"data.score\" }"
            ),
            ("set = { score = \"data.score\" }", "set = { score = 1.5 }"),
            ("table   = \"wide\"", "table = \"wild\""),
            ("table   = \"wide\"", "table = \"postgres\""),
            ("scope   = \"user\"", "scope = \"global\""),
            ("name    = \"mine\"", "name = \"mine\"\nname = \"mine\""),
        ]
    ));
}

#[test]
fn sources_and_event_types() {
    assert_told!(told(
        WIDE,
        &[
            ("\"reviews\"]", "\"review\"]"),
            ("\"reviews\"]", "\"billing\"]"),
            ("\"reviews\"]", "\"reviews\", \"reviews\"]"),
            ("\"reviews\"]", "\"reviews\", \"payments\"]"),
            ("[\"orders\", \"reviews\"]", "[]"),
            ("[\"orders\", \"reviews\"]", "\"orders\""),
            ("review.written.v1", "review.writen.v1"),
            ("review.written.v1", "complaint.filed.v1"),
        ]
    ));
    assert_told!(
        "an_older_shape",
        told(PRODUCTS, &[("product.listed.v2", "product.listed.v1")])
    );
}

#[test]
fn columns_and_their_roles() {
    assert_told!(told(
        WIDE,
        &[
            ("score     = \"bigint\"", "score = \"int\""),
            ("score     = \"bigint\"", "score = \"bignit\""),
            (
                "score     = \"bigint\"",
                "score = \"bigint\"\n_score = \"bigint\""
            ),
            (
                "score     = \"bigint\"",
                "score = \"bigint\"\nrating = \"bigint\""
            ),
            ("set = { score = ", "set = { scores = "),
            ("set = { score = ", "set = { review = "),
            (
                "set = { score = \"data.score\" }",
                "set = { paid = \"data.score\", score = \"1\" }"
            ),
            ("add = { paid = ", "add = { lines = \"1\", paid = "),
            ("add = { paid = ", "add = { status = \"1\", paid = "),
            (
                "set = { score = ",
                "set = { order_id = \"data.order_id\", score = "
            ),
            (
                "set = { score = \"data.score\" }",
                "max = { lines = \"data.score\" }\nset = { score = 1 }"
            ),
            ("present = \"status\"", "present = \"placed_at\""),
            ("present = \"status\"", "present = \"paid\""),
            ("present = \"status\"", "present = \"stauts\""),
            (
                "set = { score = \"data.score\" }",
                "delete = true\nset = { score = \"data.score\" }"
            ),
        ]
    ));
    let many: String = (0..100).fold(String::new(), |mut many, column| {
        writeln!(many, "c{column} = \"text\"").expect("memory");
        many
    });
    let text = WIDE.replace("[columns]\n", &format!("[columns]\n{many}"));
    let errors = load_str("it", &text, &catalog()).unwrap_err();
    let troubles = errors.0.iter();
    assert!(
        troubles
            .clone()
            .any(|error| error.trouble.contains("at most 100 columns")),
        "{errors}"
    );
}

#[test]
fn keys() {
    assert_told!(told(
        WIDE,
        &[
            (
                "key     = { partition = [\"order_id\"], cluster = [\"placed_at desc\"] }",
                "key = [\"order_id\", \"placed_at\"]"
            ),
            ("{ partition = [\"order_id\"]", "{ partition = []"),
            ("[\"placed_at desc\"]", "[\"placed_at down\"]"),
            ("[\"placed_at desc\"]", "[\"order_id\"]"),
            ("[\"placed_at desc\"]", "[\"placed_at\", \"lines\"]"),
            ("[\"placed_at desc\"]", "[\"placed_at\", \"shop\"]"),
            (", placed_at = \"data.placed_at\" }", " }"),
            (
                "placed_at = \"data.placed_at\" }",
                "placed_at = \"data.order_id\" }"
            ),
            (
                "placed_at = \"data.placed_at\" }",
                "placed_at = \"data.placed_at\", score = \"1\" }"
            ),
            (
                "set = { score",
                "row = { order_id = \"subject\" }\nset = { score"
            ),
        ]
    ));
    assert_told!(
        "keys_of_relational_tables",
        told(
            PRODUCTS,
            &[
                (
                    "key    = [\"product_id\"]",
                    "key = { partition = [\"product_id\"] }"
                ),
                (
                    "product_id = \"data.product_id\"",
                    "product_id = \"data.maybe\""
                ),
                (
                    "key    = [\"product_id\"]",
                    "key = [\"product_id\", \"name\"]\nrow = { name = \"data.name\" }"
                ),
            ]
        )
    );
}

#[test]
fn shared_rows() {
    assert_told!(told(
        SHARED,
        &[
            ("max  = { last", "set = { last"),
            (
                "max  = { last = \"time\" }",
                "max  = { last = \"time\" }\n\n[on.\"order.cancelled.v1\"]\nrow = { seller_id = \"data.order_id\", month = \"month(time)\" }\ndelete = true"
            ),
            ("access = \"public\"", "access = \"owner\""),
            (
                "add  = { units = \"item.quantity\"",
                "add  = { units = \"data.order_id\""
            ),
            ("each = \"data.lines\"", "each = \"data.currency\""),
            ("each = \"data.lines\"", "each = \"data.line\""),
            ("each = \"data.lines\"\n", "# no each\n"),
        ]
    ));
}

#[test]
fn values_that_may_be_null() {
    assert_told!(told(
        PRODUCTS,
        &[
            ("has(data.weight_g) ? data.weight_g : 0", "data.weight_g"),
            (
                "has(data.weight_g) ? data.weight_g : 0",
                "data.weight_g * 2"
            ),
            (
                "has(data.weight_g) ? data.weight_g : 0",
                "has(data.photos) ? data.weight_g : 0"
            ),
            ("set = { name", "when = \"data.weight_g > 5\"\nset = { name"),
            ("set = { name", "when = \"data.weight_g\"\nset = { name"),
        ]
    ));
}

#[test]
fn personal_values() {
    assert_told!(told(
        PEOPLE,
        &[
            ("\"data.name\"", "\"data.name.plain\""),
            (
                "\"data.name\"",
                "\"size(data.name) > 3 ? data.name : null\""
            ),
            ("name   = \"text\"", "name = \"bigint\""),
            ("person = \"subject\"", "person = \"data.name\""),
        ]
    ));
}

#[test]
fn expressions() {
    let cases = [
        "data.totl_cents",
        "data.",
        "total_cents",
        "placed",
        "data.total_cents + 'x'",
        "data.total_cents + 1.5",
        "data.total_cents + 5u",
        "data.lines[0].quantity",
        "data.lines.map(l, l.quantity)",
        "size(data.total_cents)",
        "sise(data.lines)",
        "size(data.lines, 1)",
        "upper(data.currency)",
        "data.currency.size()",
        "month(data.currency)",
        "item.quantity",
        "data.total_cents.units",
        "has(data)",
        "data.currency > 'A' ? 1 : 'b'",
        "data.currency == 1 ? 1 : 0",
        "subject == 'me' ? 1 : 0",
        "data.currency in data.lines ? 1 : 0",
        "data.currency in ['BRL', 1] ? 1 : 0",
        "{'a': 1}",
        "[1]",
        "data.items_cents && true ? 1 : 0",
        "time > 5 ? 1 : 0",
        "9223372036854775808",
        "'Ação' + data.totl",
        "'Ação' + ?",
    ];
    let cases = cases.map(|case| ("\"data.total_cents\"", format!("\"{case}\"")));
    let cases: Vec<_> = cases
        .iter()
        .map(|(old, new)| (*old, new.as_str()))
        .collect();
    assert_told!(told(WIDE, &cases));
}

#[test]
fn queries_of_wide_tables() {
    assert_told!(told(
        WIDE,
        &[
            ("where  = { order_id = \"eq\" }", "where = {}"),
            (
                "where  = { order_id = \"eq\" }",
                "where = { order_id = \"eq?\" }"
            ),
            (
                "where  = { order_id = \"eq\" }",
                "where = { order_id = \"range\" }"
            ),
            (
                "where  = { order_id = \"eq\" }",
                "where = { order_id = \"eq\", status = \"eq\" }"
            ),
            (
                "where  = { order_id = \"eq\" }",
                "where = { order_id = \"eq\", placed_at = \"range?\" }"
            ),
            (
                "access = \"owner\"",
                "order = \"score desc\"\naccess = \"owner\""
            ),
            (
                "access = \"owner\"",
                "only = { status = \"placed\" }\naccess = \"owner\""
            ),
            (
                "access = \"owner\"",
                "text = [\"status\"]\naccess = \"owner\""
            ),
        ]
    ));
    let by_user = WIDE
        .replace(
            "partition = [\"order_id\"], cluster = [\"placed_at desc\"]",
            "partition = [\"user_id\"], cluster = [\"placed_at desc\", \"order_id\"]",
        )
        .replace(
            "row     = { order_id",
            "row     = { user_id = \"subject\", order_id",
        )
        .replace("[columns]", "[columns]\nuser_id = \"uuid\"")
        .replace(
            "where  = { order_id = \"eq\" }",
            "where  = { user_id = \"eq\", placed_at = \"range?\" }\norder = \"placed_at desc\"",
        );
    assert_told!(
        "queries_in_clustering_order",
        told(
            &by_user,
            &[
                ("placed_at = \"range?\" }", "order_id = \"eq\" }"),
                (
                    "placed_at = \"range?\" }",
                    "placed_at = \"range\", order_id = \"eq\" }"
                ),
                ("order = \"placed_at desc\"", "order = \"placed_at\""),
            ]
        )
    );
}

#[test]
fn queries_of_relational_tables() {
    assert_told!(told(
        SHARED,
        &[
            ("month = \"range?\" }", "month = \"like\" }"),
            ("month = \"range?\" }", "mean = \"range?\" }"),
            ("month = \"range?\" }", "mnth = \"range?\" }"),
            ("\"mean desc\"", "\"average desc\""),
            ("\"mean desc\"", "\"mean down\""),
            (
                "\"mean desc\", \"month\"",
                "\"units desc, month\", \"units desc\""
            ),
            ("\"mean desc\"", "\"units, units desc\""),
            ("\"mean desc\"", "\"Best one: units\""),
            ("access = \"public\"", "page = 5000\naccess = \"public\""),
            (
                "access = \"public\"",
                "fields = [\"units\", \"unit\", \"units\"]\naccess = \"public\""
            ),
            ("access = \"public\"", "access = \"pubic\""),
            ("access = \"public\"", "access = \"Finance Team\""),
            ("access = \"public\"\n", "# nobody\n"),
            (
                "[[query]]",
                "[[query]]\nname = \"of\"\naccess = \"staff\"\n\n[[query]]"
            ),
            ("mean = \"units / orders\"", "mean = \"units\""),
            ("mean = \"units / orders\"", "mean = \"units / last\""),
            ("mean = \"units / orders\"", "units = \"units / orders\""),
            (
                "access = \"public\"",
                "text = [\"units\"]\naccess = \"public\""
            ),
            (
                "access = \"public\"",
                "only = { units = \"many\" }\naccess = \"public\""
            ),
        ]
    ));
    let reserved = SHARED
        .replace("month", "order")
        .replace("order(time)", "month(time)");
    let reserved = reserved.replace("order = \"range?\"", "order = \"eq?\"");
    let errors = load_str("it", &reserved, &catalog()).unwrap_err();
    assert!(
        errors.to_string().contains("`order` would mean two things"),
        "{errors}"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = WIDE
        .replace("status    = \"text\"", "status = \"txt\"")
        .replace("data.total_cents", "data.total")
        .replace("access = \"owner\"", "access = \"ownr\"");
    assert_told!(load_str("projections/other.toml", &text, &catalog()).unwrap_err());
}

#[test]
fn a_directory_that_is_not_there() {
    let missing = std::path::Path::new("no/such/place");
    let errors = foldline_read_model::load_dir(missing, &catalog()).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("no/such/place: cannot be read: "),
        "{errors}"
    );
}
