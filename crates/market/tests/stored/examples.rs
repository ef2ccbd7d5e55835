//! An event of every current type, and one more where members may be left out.

use foldline::kernel::{Personal, Timestamp, UserId};
use foldline::schema::StoredEvents;
use market::contexts::{accounts, catalog, orders, payments, reviews};
use market::{Currency, OrderId, PaymentId, ProductId, ReviewId};
use serde_json::Value;
use uuid::Uuid;

pub(crate) const ORDER: OrderId = OrderId(Uuid::from_u128(0xA));
pub(crate) const PRODUCT: ProductId = ProductId(Uuid::from_u128(0xC));
const PAYMENT: PaymentId = PaymentId(Uuid::from_u128(0x1A));
const REVIEW: ReviewId = ReviewId(Uuid::from_u128(0x2A));
const SELLER: UserId = UserId(Uuid::from_u128(0xD));

/// An event of any context.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Example {
    Account(accounts::AccountEvent),
    Catalog(catalog::CatalogEvent),
    Order(orders::OrderEvent),
    Payment(payments::PaymentEvent),
    Review(reviews::ReviewEvent),
}

impl Example {
    pub(crate) fn context(&self) -> &'static str {
        match self {
            Self::Account(_) => "accounts",
            Self::Catalog(_) => "catalog",
            Self::Order(_) => "orders",
            Self::Payment(_) => "payments",
            Self::Review(_) => "reviews",
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Account(event) => event.type_name(),
            Self::Catalog(event) => event.type_name(),
            Self::Order(event) => event.type_name(),
            Self::Payment(event) => event.type_name(),
            Self::Review(event) => event.type_name(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Account(event) => event.write_data(&mut out),
            Self::Catalog(event) => event.write_data(&mut out),
            Self::Order(event) => event.write_data(&mut out),
            Self::Payment(event) => event.write_data(&mut out),
            Self::Review(event) => event.write_data(&mut out),
        }
        .expect("an event has a JSON form");
        out
    }

    pub(crate) fn data(&self) -> Value {
        serde_json::from_slice(&self.bytes()).expect("an event is JSON")
    }
}

/// Every example, in the sequence of the contexts.
pub(crate) fn all() -> Vec<Example> {
    let mut all = Vec::new();
    all.extend(accounts().map(Example::Account));
    all.extend(products().map(Example::Catalog));
    all.extend(orders().map(Example::Order));
    all.extend(payments().map(Example::Payment));
    all.extend(reviews().map(Example::Review));
    all
}

fn accounts() -> [accounts::AccountEvent; 4] {
    use accounts::{Change, Closed, ProfileChanged, Registered};
    [
        Registered {
            name: Some(Personal::plain("Ana \"Nina\" Souza".into())),
            email: Some(Personal::Sealed {
                sealed: "AAEC".into(),
                key: "k1".into(),
            }),
            city: Some("são paulo".into()),
            state: Some("SP".into()),
            zip_prefix: Some("01310".into()),
        }
        .into(),
        ProfileChanged {
            name: Change::Clear,
            email: Change::Set(Personal::plain("ana@example.com".into())),
            city: Change::Set("recife".into()),
            ..ProfileChanged::default()
        }
        .into(),
        Closed {}.into(),
        Registered::default().into(),
    ]
}

pub(crate) fn listed() -> catalog::Listed {
    catalog::Listed {
        product_id: PRODUCT,
        name: Some("Caneca".into()),
        category: Some("housewares".into()),
        price_cents: 12_990,
        currency: Currency::BRL,
        weight_g: Some(300),
        length_cm: Some(16),
        height_cm: Some(10),
        width_cm: Some(12),
        photos: Some(2),
    }
}

fn products() -> [catalog::CatalogEvent; 5] {
    use catalog::{Delisted, Listed, PriceChanged, StockAdjusted};
    [
        listed().into(),
        PriceChanged {
            product_id: PRODUCT,
            price_cents: 0,
            currency: Currency::BRL,
        }
        .into(),
        StockAdjusted {
            product_id: PRODUCT,
            by: -2,
            stock: 3,
        }
        .into(),
        Delisted {
            product_id: PRODUCT,
        }
        .into(),
        Listed {
            name: None,
            category: None,
            weight_g: None,
            length_cm: None,
            height_cm: None,
            width_cm: None,
            photos: None,
            ..listed()
        }
        .into(),
    ]
}

fn orders() -> [orders::OrderEvent; 6] {
    use orders::{Approved, Cancelled, Delivered, MarkedUnavailable, Placed, PlacedLine, Shipped};
    let (order_id, placed_at) = (ORDER, monday());
    [
        Placed {
            order_id,
            placed_at,
            currency: Currency::BRL,
            lines: vec![PlacedLine {
                product_id: PRODUCT,
                seller_id: SELLER,
                quantity: 2,
                unit_price_cents: 12_990,
                freight_cents: 1_510,
            }],
            items_cents: 25_980,
            freight_cents: 1_510,
            total_cents: 27_490,
        }
        .into(),
        Approved {
            order_id,
            placed_at,
        }
        .into(),
        Shipped {
            order_id,
            placed_at,
        }
        .into(),
        Delivered {
            order_id,
            placed_at,
        }
        .into(),
        Cancelled {
            order_id,
            placed_at,
            reason: "demorou demais".into(),
        }
        .into(),
        MarkedUnavailable {
            order_id,
            placed_at,
        }
        .into(),
    ]
}

fn payments() -> [payments::PaymentEvent; 2] {
    let method = "credit_card".to_owned();
    let (order_id, placed_at, captured_at) = (ORDER, monday(), tuesday());
    [
        payments::Captured {
            payment_id: PAYMENT,
            order_id,
            method: method.clone(),
            installments: 3,
            amount_cents: 27_490,
            currency: Currency::BRL,
            captured_at,
            placed_at,
        }
        .into(),
        payments::Refunded {
            payment_id: PAYMENT,
            order_id,
            method,
            captured_at,
            amount_cents: 1_510,
            currency: Currency::BRL,
            placed_at,
        }
        .into(),
    ]
}

fn reviews() -> [reviews::ReviewEvent; 2] {
    let written = reviews::Written {
        review_id: REVIEW,
        order_id: ORDER,
        score: 5,
        title: Some("Ótimo".into()),
        message: Some("Chegou antes do prazo.\nRecomendo!".into()),
        seller_ids: vec![SELLER],
        placed_at: monday(),
    };
    let wordless = reviews::Written {
        title: None,
        message: None,
        ..written.clone()
    };
    [written.into(), wordless.into()]
}

fn monday() -> Timestamp {
    "2017-07-10T08:00:00Z".parse().expect("a time")
}

pub(crate) fn tuesday() -> Timestamp {
    "2017-07-11T09:30:00.25Z".parse().expect("a time")
}
