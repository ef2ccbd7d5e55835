//! A small world: wallets of users, and shops that sell to them.

use std::sync::{Arc, LazyLock};

use foldline_kernel::{Context, UserId};
use foldline_read_model::{Model, load_str};
use foldline_schema::Catalog;
use serde_json::{Value, json};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Opened {
    name: String,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Paid {
    cents: i64,
    parts: i64,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Closed {}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Rung {
    lines: Vec<Line>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Line {
    shop: String,
    cents: i64,
}

foldline_schema::stored_events! {
    /// What happens to a wallet.
    #[derive(Debug, PartialEq)]
    pub(crate) enum WalletEvent {
        "wallet.opened.v1" => Opened(Opened),
        "wallet.paid.v1" => Paid(Paid),
        "wallet.closed.v1" => Closed(Closed),
    }
}

foldline_schema::stored_events! {
    /// What a till says.
    #[derive(Debug, PartialEq)]
    pub(crate) enum SaleEvent {
        "sale.rung.v1" => Rung(Rung),
    }
}

pub(crate) fn wallets() -> Context {
    "wallets".parse().unwrap()
}

pub(crate) fn sales() -> Context {
    "sales".parse().unwrap()
}

pub(crate) fn catalog() -> Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
        let catalog = Catalog::default().with::<WalletEvent>(&wallets());
        Arc::new(catalog.with::<SaleEvent>(&sales()))
    });
    CATALOG.clone()
}

/// One row per user, fed by both contexts, with every operation.
pub(crate) const WALLET: &str = r#"
name   = "wallet"
table  = "wide"
scope  = "user"
source = ["wallets", "sales"]
key    = { partition = ["user_id"] }
row    = { user_id = "subject" }

[columns]
user_id = "uuid"
name    = "text"
paid    = "bigint"
most    = "bigint"
least   = "bigint"
last    = "time"
rung    = "bigint"

[on."wallet.opened.v1"]
set = { name = "data.name" }

[on."wallet.paid.v1"]
add = { paid = "data.cents" }
max = { most = "data.cents" }
min = { least = "data.cents" }
set = { last = "time" }

[on."wallet.closed.v1"]
delete = true

[on."sale.rung.v1"]
add = { rung = "size(data.lines)" }

[[query]]
name   = "mine"
where  = { user_id = "eq" }
access = "owner"
"#;

/// The last thing that was said, which order decides.
pub(crate) const NAMES: &str = r#"
name   = "names"
table  = "wide"
scope  = "user"
source = ["wallets"]
key    = { partition = ["user_id"] }
row    = { user_id = "subject" }

[columns]
user_id = "uuid"
name    = "text"
share   = "bigint"

[on."wallet.opened.v1"]
set = { name = "data.name" }

[on."wallet.paid.v1"]
set = { share = "data.cents / data.parts" }

[[query]]
name   = "mine"
where  = { user_id = "eq" }
access = "owner"
"#;

/// Totals that many users feed, from one context.
pub(crate) const SHOPS: &str = r#"
name   = "shops"
table  = "relational"
scope  = "shared"
source = ["sales"]
key    = ["shop"]
each   = "data.lines"
row    = { shop = "item.shop" }

[columns]
shop  = "text"
lines = "bigint"
cents = "bigint"
last  = "time"
least = "bigint"

[on."sale.rung.v1"]
add = { lines = "1", cents = "item.cents" }
max = { last = "time" }
min = { least = "item.cents" }

[[query]]
name   = "of"
where  = { shop = "eq" }
access = "public"
"#;

pub(crate) fn model(definition: &str) -> Arc<Model> {
    match load_str("a definition", definition, &catalog()) {
        Ok(model) => Arc::new(model),
        Err(errors) => panic!("{errors}"),
    }
}

pub(crate) fn user(number: u128) -> UserId {
    UserId(uuid::Uuid::from_u128(number << 64 | number))
}

/// Something that happened to a user.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) user: UserId,
    pub(crate) type_name: &'static str,
    pub(crate) data: Value,
}

impl Fact {
    pub(crate) fn context(&self) -> Context {
        if self.type_name.starts_with("sale") {
            sales()
        } else {
            wallets()
        }
    }
}

pub(crate) fn opened(user: UserId, name: &str) -> Fact {
    Fact {
        user,
        type_name: "wallet.opened.v1",
        data: json!({ "name": name }),
    }
}

pub(crate) fn paid(user: UserId, cents: i64) -> Fact {
    paid_in(user, cents, 1)
}

pub(crate) fn paid_in(user: UserId, cents: i64, parts: i64) -> Fact {
    Fact {
        user,
        type_name: "wallet.paid.v1",
        data: json!({ "cents": cents, "parts": parts }),
    }
}

pub(crate) fn closed(user: UserId) -> Fact {
    Fact {
        user,
        type_name: "wallet.closed.v1",
        data: json!({}),
    }
}

pub(crate) fn rung(user: UserId, lines: &[(&str, i64)]) -> Fact {
    let line = |(shop, cents): &(&str, i64)| json!({ "shop": shop, "cents": cents });
    let lines: Vec<_> = lines.iter().map(line).collect();
    Fact {
        user,
        type_name: "sale.rung.v1",
        data: json!({ "lines": lines }),
    }
}
