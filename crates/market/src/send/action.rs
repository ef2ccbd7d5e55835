//! What the clients ask of the marketplace: the commands' bodies and where they are sent.

use serde::Serialize;
use uuid::Uuid;

/// A command of the marketplace; serialises to the JSON body that its route takes.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Action {
    /// A person or a shop opens an account.
    Register(Register),
    /// A seller offers a product.
    ListProduct(ListProduct),
    /// A seller changes the price of a product.
    ChangePrice { product_id: Uuid, price_cents: i64 },
    /// A seller's stock of a product grows, or shrinks by a negative number.
    AdjustStock { product_id: Uuid, by: i64 },
    /// A seller offers a product no longer.
    DelistProduct { product_id: Uuid },
    /// A buyer orders.
    Place { order_id: Uuid, lines: Vec<Line> },
    /// The order's payment is approved.
    Approve { order_id: Uuid },
    /// The order is handed to the carrier.
    Ship { order_id: Uuid },
    /// The order has arrived.
    Deliver { order_id: Uuid },
    /// The order is called off.
    Cancel { order_id: Uuid, reason: String },
    /// The order cannot be fulfilled.
    MarkUnavailable { order_id: Uuid },
    /// The buyer pays, in whole or in part.
    Capture {
        payment_id: Uuid,
        order_id: Uuid,
        method: String,
        installments: u32,
        amount_cents: i64,
    },
    /// The buyer gets money back.
    Refund { payment_id: Uuid, amount_cents: i64 },
    /// The buyer says what they think of the order.
    Write(Write),
}

/// The body of `register`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Register {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zip_prefix: Option<String>,
}

/// The body of `list-product`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ListProduct {
    pub(crate) product_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    pub(crate) price_cents: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight_g: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length_cm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) height_cm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width_cm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) photos: Option<u32>,
}

/// One line of `place`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) product_id: Uuid,
    pub(crate) seller_id: Uuid,
    pub(crate) quantity: u32,
    pub(crate) unit_price_cents: i64,
    pub(crate) freight_cents: i64,
}

/// The body of `write`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Write {
    pub(crate) review_id: Uuid,
    pub(crate) order_id: Uuid,
    pub(crate) score: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl Line {
    /// What the line costs, freight included.
    pub(crate) fn cents(&self) -> i64 {
        i64::from(self.quantity) * self.unit_price_cents + self.freight_cents
    }
}

impl Action {
    /// The context and the command's name, as in `POST /v1/users/{user_id}/{context}/{command}`.
    pub(super) fn route(&self) -> (&'static str, &'static str) {
        match self {
            Self::Register(_) => ("accounts", "register"),
            Self::ListProduct(_) => ("catalog", "list-product"),
            Self::ChangePrice { .. } => ("catalog", "change-price"),
            Self::AdjustStock { .. } => ("catalog", "adjust-stock"),
            Self::DelistProduct { .. } => ("catalog", "delist-product"),
            Self::Place { .. } => ("orders", "place"),
            Self::Approve { .. } => ("orders", "approve"),
            Self::Ship { .. } => ("orders", "ship"),
            Self::Deliver { .. } => ("orders", "deliver"),
            Self::Cancel { .. } => ("orders", "cancel"),
            Self::MarkUnavailable { .. } => ("orders", "mark-unavailable"),
            Self::Capture { .. } => ("payments", "capture"),
            Self::Refund { .. } => ("payments", "refund"),
            Self::Write(_) => ("reviews", "write"),
        }
    }

    /// The JSON body; the same bytes for the same action, since the key's payload is compared.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("structs of texts and integers always serialise")
    }
}
